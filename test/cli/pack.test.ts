import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Command } from 'commander'
import { afterAll, describe, expect, it, vi } from 'vitest'
import { packExitCodes, registerPack } from '#cli/pack.ts'
import { root } from '#tools/paths.ts'
import { toBase64Url } from '#schemas/adapters/base64Url.ts'
import { concatBytes, toHex } from '#schemas/bytes.ts'
import { BaseError } from '#schemas/errors.ts'
import { annotatePack } from '#schemas/pack/annotatePack.ts'
import { decodePack } from '#schemas/pack/decodePack.ts'
import { createDeviceSigner } from '#schemas/pack/portableSignatures.ts'

const folder = mkdtempSync(join(tmpdir(), 'plumbline-pack-'))
afterAll(() => {
  rmSync(folder, { recursive: true })
})
const path = (name: string) => join(folder, name)
function file(name: string, content: string | Uint8Array): string {
  writeFileSync(path(name), content)
  return path(name)
}

/** The commands inside this process: what they print, and the exit code they ask for. */
function plumbline(...args: string[]) {
  const program = new Command('plumbline').exitOverride()
  registerPack(program)
  const print = vi.spyOn(process.stdout, 'write').mockReturnValue(true)
  const before = process.exitCode
  process.exitCode = 0
  let stderr = ''
  try {
    program.parse(['pack', ...args], { from: 'user' })
  } catch (error) {
    // As main.ts answers an error of ours.
    if (!(error instanceof BaseError)) throw error
    stderr = error.message
    process.exitCode = packExitCodes.error
  }
  const stdout = print.mock.calls.map(([text]) => String(text)).join('')
  const status = process.exitCode
  process.exitCode = before
  print.mockRestore()
  return { status, stdout, stderr }
}

/** The same as a user runs it. */
function spawned(...args: string[]) {
  return spawnSync(process.execPath, [join(root, 'cli', 'main.ts'), 'pack', ...args], {
    encoding: 'utf8',
  })
}

const secret = new Uint8Array(32).fill(7)
const { publicKey, id } = createDeviceSigner('ES256', secret).key
const jwk = {
  kty: 'EC',
  crv: 'P-256',
  x: toBase64Url(publicKey.subarray(0, 32)),
  y: toBase64Url(publicKey.subarray(32)),
}
const secretFile = file('secret.jwk', JSON.stringify({ ...jwk, d: toBase64Url(secret) }))
const publicFile = file('public.jwk', JSON.stringify(jwk))
const other = createDeviceSigner('ES256', new Uint8Array(32).fill(8)).key.publicKey
const otherFile = file(
  'other.jwk',
  JSON.stringify({
    ...jwk,
    x: toBase64Url(other.subarray(0, 32)),
    y: toBase64Url(other.subarray(32)),
  }),
)
const readings = file(
  'readings.csv',
  'series,ts_ms,value,unit\ncold:temp,1700000000000,4.2,Cel\ncold:temp,1700000060000,,Cel\n',
)
const firmware = `0x${'0f'.repeat(32)}`
const common = [
  '--key',
  secretFile,
  '--readings',
  readings,
  '--stream',
  'coldstore-7',
  '--firmware',
  firmware,
]

describe('plumbline pack', () => {
  const first = path('first.cbor')
  const second = path('second.cbor')
  const signed = plumbline('sign', ...common, '--out', first)
  const next = plumbline('sign', ...common, '--out', second, '--after', first, '--json')

  it('signs a first pack and the one after it as a chain', () => {
    expect(signed).toMatchObject({ status: 0, stderr: '' })
    expect(next).toMatchObject({ status: 0, stderr: '' })
    const one = decodePack(readFileSync(first))
    const two = decodePack(readFileSync(second))
    expect(two.claims.sequence).toBe(2n)
    expect(two.claims.previous).toBe(one.packHash)
    expect(JSON.parse(next.stdout)).toMatchObject({
      device: id,
      sequence: '2',
      hash: two.packHash,
      readings: 2,
    })
  })

  it('inspects and verifies a sequence, for people and for machines', () => {
    const both = file('both.cbor', concatBytes(readFileSync(first), readFileSync(second)))
    const { status, stdout } = plumbline(
      'inspect',
      both,
      '--key',
      publicFile,
      '--stream',
      'coldstore-7',
    )
    expect(status).toBe(0)
    expect(stdout).toContain('pack 2 of 2')
    expect(stdout).toContain('2023-11-14T22:13:20')
    expect(stdout).toContain('cold:temp  4.2 Cel')
    expect(stdout).toContain('(no value)')
    expect(stdout).toContain('VERIFIED under the given key')
    const machine = plumbline('inspect', both, '--key', publicFile, '--json')
    expect(JSON.parse(machine.stdout)).toMatchObject([
      {
        device: id,
        sequence: '1',
        verified: true,
        readings: [{ valueMicro: 4_200_000 }, { valueMicro: null }],
      },
      { sequence: '2', verified: true },
    ])
  })

  it('says that nothing was verified where no key was given, and reads hexadecimal', () => {
    const hex = file('first.hex', `${toHex(readFileSync(first))}\n`)
    const { status, stdout } = plumbline('inspect', hex)
    expect(status).toBe(0)
    expect(stdout).toContain('NOT VERIFIED')
  })

  it('refuses by exit code 1 and by name: another key, another stream, changed bytes', () => {
    const changed = readFileSync(first)
    changed[changed.length - 1] = (changed[changed.length - 1] ?? 0) ^ 1
    const tampered = file('tampered.cbor', changed)
    const outcomes = [
      plumbline('inspect', first, '--key', otherFile),
      plumbline('inspect', first, '--key', publicFile, '--stream', 'coldstore-8'),
      plumbline('inspect', tampered, '--key', publicFile),
    ]
    expect(outcomes.map(({ status }) => status)).toEqual([1, 1, 1])
    expect(outcomes.map(({ stdout }) => /Rule: (\S+)/.exec(stdout)?.[1])).toEqual([
      'other-key',
      'other-stream',
      'signature',
    ])
  })

  it('ends with exit code 3 when it cannot do what it was asked', () => {
    const outcomes = [
      plumbline('inspect', path('absent.cbor')),
      plumbline('inspect', first, '--stream', 'coldstore-7'),
      plumbline('inspect', first, '--key', secretFile),
      plumbline('sign', ...common.with(1, publicFile), '--out', path('never.cbor')),
      plumbline('sign', ...common, '--out', path('never.cbor'), '--boot', 'one'),
      plumbline('sign', ...common, '--out', path('never.cbor'), '--after', file('empty.cbor', '')),
    ]
    expect(outcomes.map(({ status }) => status)).toEqual([3, 3, 3, 3, 3, 3])
    expect(outcomes.map(({ stderr }) => stderr.split('\n')[0]?.replace(/^\/\S+\//, '')))
      .toMatchInlineSnapshot(`
      [
        "absent.cbor cannot be read.",
        "A stream is only compared where a signature is checked.",
        "The JWK holds a private key.",
        "The key holds no secret to sign with.",
        "The boot counter is no whole number.",
        "empty.cbor holds no pack to go on from.",
      ]
    `)
  })

  it('runs as a user runs it', () => {
    const { status, stdout } = spawned('inspect', first, '--key', publicFile)
    expect(stdout).toContain('VERIFIED under the given key')
    expect(status).toBe(0)
  })

  it('explains every byte exactly once', () => {
    const bytes = readFileSync(second)
    const notes = annotatePack(bytes)
    expect(notes.map((note) => note.bytes).join('')).toBe(toHex(bytes).slice(2))
    expect(notes.map(({ offset }) => offset)).toEqual(
      notes.map(({ offset }) => offset).toSorted((a, b) => a - b),
    )
    expect(plumbline('inspect', second, '--bytes').stdout).toContain('alg (1)')
  })
})
