import { readFileSync, readdirSync } from 'node:fs'
import { dirname, join, relative, resolve, sep } from 'node:path'
import { describe, expect, it } from 'vitest'
import { root } from '#tools/paths.ts'

/** Every room and the rooms that it may import, itself aside. Nothing else is a room. */
const rooms: Record<string, readonly string[]> = {
  'attestation-schemas': [],
  evaluation: ['attestation-schemas'],
  verifier: ['attestation-schemas', 'evaluation'],
  'enclave-worker': ['attestation-schemas', 'evaluation', 'verifier'],
  relayer: ['attestation-schemas', 'evaluation', 'verifier', 'contracts'],
  contracts: ['attestation-schemas', 'verifier'],
  localnet: [
    'attestation-schemas',
    'evaluation',
    'verifier',
    'enclave-worker',
    'relayer',
    'contracts',
    'tools',
  ],
  cli: [
    'attestation-schemas',
    'evaluation',
    'verifier',
    'enclave-worker',
    'relayer',
    'contracts',
    'localnet',
    'tools',
  ],
  explorer: ['attestation-schemas', 'evaluation', 'verifier'],
  tools: [
    'attestation-schemas',
    'evaluation',
    'verifier',
    'enclave-worker',
    'relayer',
    'contracts',
    'localnet',
    'cli',
    'explorer',
    // The gas meter borrows the tests' chains: what is measured is what is tested.
    'test',
  ],
}

const pureRooms = ['attestation-schemas', 'evaluation', 'verifier']

const { imports: aliases } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
  imports: Record<string, string>
}

type Import = { file: string; specifier: string; target: string | undefined }

function sourceFiles(folder: string): string[] {
  return readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && /\.(ts|tsx|mts)$/.test(entry.name))
    .map((entry) => relative(root, join(entry.parentPath, entry.name)))
    .filter(
      (file) => !file.split(sep).some((part) => ['node_modules', 'out', 'dist'].includes(part)),
    )
}

function resolveSpecifier(file: string, specifier: string): string | undefined {
  if (specifier.startsWith('.')) return relative(root, resolve(root, dirname(file), specifier))
  for (const [alias, path] of Object.entries(aliases)) {
    const head = alias.replace('*', '')
    if (specifier.startsWith(head)) return join(path.replace('*', specifier.slice(head.length)))
  }
  return undefined
}

function importsOf(file: string): Import[] {
  const text = readFileSync(join(root, file), 'utf8').replace(/\/\*[\s\S]*?\*\//g, '')
  const found = text.matchAll(
    /(?:^|\n)\s*(?:import|export)\s(?:[^'"`;]*?\sfrom\s)?['"]([^'"]+)['"]|\bimport\(\s*['"]([^'"]+)['"]\s*\)/g,
  )
  return [...found].map((match) => {
    const specifier = match[1] ?? match[2] ?? ''
    return { file, specifier, target: resolveSpecifier(file, specifier) }
  })
}

const everyImport = Object.keys(rooms).flatMap((room) => sourceFiles(room).flatMap(importsOf))
const roomOf = (path: string) => path.split(sep)[0] ?? ''

describe('the house', () => {
  it('has imports to look at in every room that is built', () => {
    expect(everyImport.length).toBeGreaterThan(50)
  })

  it('imports point down only', () => {
    const climbing = everyImport
      .filter(({ target }) => target !== undefined)
      .filter(({ file, target }) => {
        const from = roomOf(file)
        const to = roomOf(target ?? '')
        return from !== to && !(rooms[from] ?? []).includes(to)
      })
      .map(({ file, specifier }) => `${file} imports ${specifier}`)
    expect(climbing).toStrictEqual([])
  })

  it('the worker and the relayer never meet', () => {
    expect(rooms['enclave-worker']).not.toContain('relayer')
    expect(rooms['relayer']).not.toContain('enclave-worker')
  })

  it('the pure rooms use no built-in module of Node outside their adapters', () => {
    const impure = everyImport
      .filter(({ file }) => pureRooms.includes(roomOf(file)))
      .filter(({ file }) => !/\/adapters\/node[^/]*\.ts$|\.bench\.ts$/.test(file))
      .filter(({ specifier }) => specifier.startsWith('node:'))
      .map(({ file, specifier }) => `${file} imports ${specifier}`)
    expect(impure).toStrictEqual([])
  })

  it('an alias is used from outside its room, a relative path within it', () => {
    const crossing = everyImport
      .filter(({ specifier, target }) => specifier.startsWith('.') && target !== undefined)
      .filter(({ file, target }) => roomOf(file) !== roomOf(target ?? ''))
      .map(({ file, specifier }) => `${file} imports ${specifier}`)
    expect(crossing).toStrictEqual([])
  })
})
