import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { vectorFiles } from '#tools/vectors.ts'

describe('golden vectors', () => {
  it.each(vectorFiles().map(({ path, text }) => [path.split('/').at(-1), path, text]))(
    '%s is what this code computes',
    (_name, path, text) => {
      expect(readFileSync(path ?? '', 'utf8')).toBe(text)
    },
  )
})
