import { readFileSync, readdirSync } from 'node:fs'
import { dirname, join, relative, sep } from 'node:path'
import { describe, expect, it } from 'vitest'
import { root } from '#tools/paths.ts'

const contracts = join(root, 'contracts')
const packages = join(root, 'node_modules')

function importsOf(file: string): string[] {
  const text = readFileSync(file, 'utf8').replace(/\/\*[\s\S]*?\*\//g, '')
  return [...text.matchAll(/^import\s[^;]*?["']([^"']+)["'];/gm)].map(([, specifier = '']) =>
    specifier.startsWith('.') ? join(dirname(file), specifier) : join(packages, specifier),
  )
}

/** Every source that a contract is compiled from. */
function closureOf(file: string, seen = new Set<string>()): Set<string> {
  if (seen.has(file)) return seen
  seen.add(file)
  for (const next of importsOf(file)) closureOf(next, seen)
  return seen
}

const sources = readdirSync(contracts, { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile() && entry.name.endsWith('.sol'))
  .map((entry) => join(entry.parentPath, entry.name))
  .filter((file) => !file.includes(`${sep}out${sep}`))

const licenceOf = (file: string) =>
  /SPDX-License-Identifier: (\S+)/.exec(readFileSync(file, 'utf8'))?.[1]

describe('licences of what is compiled', () => {
  it('of LayerZero only sources under MIT: interfaces of the protocol, and the OApp', () => {
    const foreign = new Set(
      sources
        .flatMap((file) => [...closureOf(file)])
        .filter((file) => file.includes(`${sep}@layerzerolabs${sep}`)),
    )
    expect(foreign.size).toBeGreaterThan(5)
    for (const file of foreign) {
      expect([relative(packages, file), licenceOf(file)]).toEqual([relative(packages, file), 'MIT'])
    }
  })

  it('the protocol’s bytecode is read for local chains and nowhere else', () => {
    const rooms = [
      'attestation-schemas',
      'contracts',
      'relayer',
      'enclave-worker',
      'verifier',
      'cli',
    ]
    const readers = rooms
      .flatMap((room) =>
        readdirSync(join(root, room), { recursive: true, withFileTypes: true })
          .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
          .map((entry) => join(entry.parentPath, entry.name)),
      )
      .filter((file) => /lz-evm-(?:messagelib|protocol)-v2/.test(readFileSync(file, 'utf8')))
    expect(readers.map((file) => relative(root, file))).toEqual([])
  })
})
