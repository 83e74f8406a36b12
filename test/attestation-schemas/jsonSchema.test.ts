import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Ajv2020 } from 'ajv/dist/2020.js'
import { describe, expect, it } from 'vitest'
import batches from '#schemas/vectors/batches.json' with { type: 'json' }
import reports from '#schemas/vectors/reports.json' with { type: 'json' }
import statements from '#schemas/vectors/statements.json' with { type: 'json' }
import { schemaFiles } from '#tools/jsonSchemas.ts'
import { root } from '#tools/paths.ts'

function validator(name: string) {
  const file = join(root, 'attestation-schemas', 'json-schema', `${name}.schema.json`)
  return new Ajv2020({ strict: true, allowUnionTypes: true }).compile(
    JSON.parse(readFileSync(file, 'utf8')) as object,
  )
}

describe('published JSON Schemas', () => {
  it.each(schemaFiles().map(({ path, text }) => [path.split('/').at(-1), path, text]))(
    '%s is what the decoder says',
    (_name, path, text) => {
      expect(readFileSync(path ?? '', 'utf8')).toBe(text)
    },
  )

  it('accept every golden vector, by a validator that nobody here wrote', () => {
    const samples: [string, unknown[]][] = [
      ['report', reports.cases.map(({ report }) => report)],
      ['batch', batches.cases.map(({ batch }) => batch)],
      ['statement', statements.cases.map(({ statement }) => statement)],
    ]
    for (const [name, values] of samples) {
      const validate = validator(name)
      expect(values.length).toBeGreaterThan(0)
      for (const value of values) {
        expect(validate(value), JSON.stringify(validate.errors)).toBe(true)
      }
    }
  })

  it('refuse an unknown version, an unknown field and a number where text is demanded', () => {
    const validate = validator('report')
    const [sample] = reports.cases
    expect(validate({ ...sample?.report, version: 2 })).toBe(false)
    expect(validate({ ...sample?.report, surprise: 1 })).toBe(false)
    expect(validate({ ...sample?.report, valueMicro: 5 })).toBe(false)
  })
})
