import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { createPlatform } from '#localnet/tdx/platform.ts'
import { strictPolicy } from '#localnet/tdx/strictPolicy.ts'
import { root } from '#tools/paths.ts'
import { formatIsoTime } from '#verifier/x509/time.ts'

const now = 1_790_000_000
const platform = createPlatform({ now })
const quote = platform.mintQuote({ reportData: new Uint8Array(64) })
const hex = Buffer.from(quote).toString('hex')

const folder = mkdtempSync(join(tmpdir(), 'plumbline-quote-'))
const file = (name: string, content: string | Uint8Array) => {
  const path = join(folder, name)
  writeFileSync(path, content)
  return path
}
afterAll(() => {
  rmSync(folder, { recursive: true })
})

const paths = {
  raw: file('quote.bin', quote),
  hex: file('quote.hex', `0x${hex}\n`),
  json: file('quote.json', JSON.stringify({ quote: hex, event_log: '[]' })),
  list: file('quote-list.json', JSON.stringify([...quote])),
  text: file('quote.txt', 'no quote at all'),
  collateral: file('collateral.json', JSON.stringify(platform.collateral())),
  root: file('root.pem', platform.rootCertificatePem),
  policy: file('policy.json', JSON.stringify(strictPolicy(platform))),
  strange: file('strange.json', JSON.stringify({ ...strictPolicy(platform), images: [] })),
}

function plumbline(...args: string[]) {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    ['--disable-warning=ExperimentalWarning', join(root, 'cli', 'main.ts'), 'quote', ...args],
    { encoding: 'utf8' },
  )
  return { status, stdout, stderr }
}

function verify(quotePath: string, ...more: string[]) {
  const at = formatIsoTime(now)
  const base = ['--quote', quotePath, '--collateral', paths.collateral, '--at', at]
  return plumbline('verify', ...base, ...more)
}

describe('plumbline quote verify', () => {
  it.each(['raw', 'hex', 'json', 'list'] as const)('accepts a quote as %s with 0', (form) => {
    const { status, stdout } = verify(paths[form], '--root', paths.root, '--policy', paths.policy)
    expect(stdout).toMatch(/^Image +local$/m)
    expect(stdout).toMatch(/\nACCEPTED\n$/)
    expect(status).toBe(0)
  })

  it('says what was not judged where no policy is given', () => {
    const { status, stdout } = verify(paths.raw, '--root', paths.root)
    expect(stdout).toMatch(/^Image +not judged$/m)
    expect(status).toBe(0)
  })

  it('refuses a local platform under Intel’s root with 1', () => {
    const { status, stdout } = verify(paths.raw)
    expect(stdout).toContain('Rule: IssuerChainRootMismatch (112)')
    expect(stdout).toMatch(/\nREFUSED\n$/)
    expect(status).toBe(1)
  })

  it('refuses what the policy does not name, as an attestation result', () => {
    const { status, stdout } = verify(
      paths.raw,
      '--root',
      paths.root,
      '--policy',
      paths.strange,
      '--json',
    )
    expect(JSON.parse(stdout)).toMatchObject({
      ear_status: 'contraindicated',
      submods: { 'intel-tdx': { plumbline_refusal: 'ImageNotAllowed' } },
    })
    expect(status).toBe(1)
  })

  it('prints an accepted quote as an attestation result', () => {
    const { stdout } = verify(paths.raw, '--root', paths.root, '--policy', paths.policy, '--json')
    expect(JSON.parse(stdout)).toMatchObject({ ear_status: 'affirming', iat: now })
  })

  it.each([
    ['a file that is not there', [join(folder, 'none')]],
    ['a file without a quote', [paths.text]],
    ['a policy that is none', [paths.raw, '--policy', paths.collateral]],
    ['a root that is none', [paths.raw, '--root', paths.collateral]],
    ['a time without a zone', [paths.raw, '--at', '2026-08-20T00:00:00']],
    ['an unknown option', [paths.raw, '--lenient']],
  ])('leaves with 3 for %s', (_, [first = '', ...more]) => {
    const { status, stdout, stderr } = verify(first, ...more)
    expect(stdout).toBe('')
    expect(stderr).not.toBe('')
    expect(status).toBe(3)
  })
})

describe('plumbline quote inspect', () => {
  it('prints fields and says that none of it was verified', () => {
    const { status, stdout } = plumbline('inspect', '--quote', paths.raw)
    expect(stdout).toMatch(/^pck\.fmspc +4C4F43414C00$/m)
    expect(stdout).toMatch(/\nNOT VERIFIED\n$/)
    expect(status).toBe(0)
  })

  it('leaves with 1 for bytes that are no quote', () => {
    const cut = file('cut.bin', quote.subarray(0, 700))
    expect(plumbline('inspect', '--quote', cut).status).toBe(1)
  })
})
