import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Command } from 'commander'
import { afterAll, describe, expect, it, vi } from 'vitest'
import { registerQuote } from '#cli/quote.ts'
import { createPlatform } from '#localnet/tdx/platform.ts'
import { strictPolicy } from '#localnet/tdx/strictPolicy.ts'
import { describeShared } from '#test/shared.ts'
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

/** The commands inside this process: what they print, the exit code they ask for, what they throw. */
function plumbline(...args: string[]) {
  const program = new Command('plumbline').exitOverride().configureOutput({ writeErr: () => {} })
  registerQuote(program)
  for (const command of program.commands.flatMap((child) => [child, ...child.commands])) {
    command.exitOverride().configureOutput({ writeErr: () => {} })
  }
  const print = vi.spyOn(process.stdout, 'write').mockReturnValue(true)
  const before = process.exitCode
  process.exitCode = 0
  let error: unknown
  try {
    program.parse(['quote', ...args], { from: 'user' })
  } catch (thrown) {
    error = thrown
  }
  const stdout = print.mock.calls.map(([text]) => String(text)).join('')
  const status = process.exitCode
  process.exitCode = before
  print.mockRestore()
  return { status, stdout, error }
}

/** The same as a user runs it. */
function spawned(...args: string[]) {
  return spawnSync(
    process.execPath,
    ['--disable-warning=ExperimentalWarning', join(root, 'cli', 'main.ts'), 'quote', ...args],
    { encoding: 'utf8' },
  )
}

function verifyArguments(quotePath: string, ...more: string[]) {
  const base = ['--quote', quotePath, '--collateral', paths.collateral]
  return ['verify', ...base, '--at', formatIsoTime(now), ...more]
}

function verify(quotePath: string, ...more: string[]) {
  return plumbline(...verifyArguments(quotePath, ...more))
}

describe('plumbline quote, run as a user runs it', () => {
  it('leaves with 0 when it accepts, 1 when it refuses, 3 when it cannot tell', () => {
    const accepted = spawned(...verifyArguments(paths.raw, '--root', paths.root))
    const refused = spawned(...verifyArguments(paths.raw))
    const failed = spawned(...verifyArguments(join(folder, 'none')))
    expect([accepted.status, refused.status, failed.status]).toEqual([0, 1, 3])
    expect(accepted.stdout).toMatch(/\nACCEPTED\n$/)
    expect(refused.stdout).toMatch(/\nREFUSED\n$/)
    expect(failed.stdout).toBe('')
    expect(failed.stderr).toContain('cannot be read')
  })
})

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
  ])('throws for %s and prints nothing', (_, [first = '', ...more]) => {
    const { stdout, error } = verify(first, ...more)
    expect(stdout).toBe('')
    expect(error).toBeInstanceOf(Error)
  })
})

const kms = { name: 'kms', id: '3059aa' }
const expectations = { appId: 'any', keyProviders: [kms], zeroMrConfigId: 'refuse' }

describe('plumbline quote verify --production', () => {
  const complete = [
    '--compose',
    file('app-compose.json', '{}'),
    '--expect',
    file('expect.json', JSON.stringify(expectations)),
  ]
  const policy = ['--policy', file('open.json', JSON.stringify(strictPolicy(platform)))]

  it('needs a policy, a compose file and expectations', () => {
    for (const [given, missing] of [
      [complete, '--policy'],
      [[...policy, ...complete.slice(0, 2)], '--expect'],
      [[...policy, ...complete.slice(2)], '--compose'],
    ] as const) {
      const { stdout, error } = verify(paths.raw, '--production', ...given)
      expect({ stdout, field: (error as { field?: string }).field }).toEqual({
        stdout: '',
        field: missing,
      })
    }
  })

  it.each([
    ['a local root', ['--root', paths.root, ...policy], 'LocalRoot'],
    ['the local image', policy, 'LocalImage'],
  ])('judges nothing under %s', (_, given, setting) => {
    const { stdout, error } = verify(paths.raw, '--production', ...given, ...complete)
    expect(stdout).toBe('')
    expect(error).toMatchObject({ name: 'NotForProductionError', setting })
  })

  it.each([
    ['a field too many', { ...expectations, kms: 1 }],
    ['a rule that is none', { ...expectations, zeroMrConfigId: 'maybe' }],
    ['an app id of 19 bytes', { ...expectations, appId: '11'.repeat(19) }],
  ])('does not read expectations with %s', (_, document) => {
    const path = file('wrong.json', JSON.stringify(document))
    const { error } = verify(paths.raw, ...policy, '--expect', path)
    expect(error).toMatchObject({ name: 'InvalidDocumentError' })
  })
})

describeShared(
  'plumbline quote verify --production and a real guest',
  'vectors/tdx/near-mpc',
  (from) => {
    const at = (name: string): string => join(from, name)
    const tcbInfo = JSON.parse(readFileSync(at('tcb_info.json'), 'utf8')) as Record<string, string>
    const { mrtd: mrTd, rtmr0, rtmr1, rtmr2, compose_hash: composeHash } = tcbInfo
    const production = {
      ...strictPolicy(platform),
      id: 'production',
      tcb: {
        acceptedStatuses: { UpToDate: { graceDays: null } },
        minimumEvaluationDataNumber: 19,
        minimumQeEvaluationDataNumber: 19,
        deniedAdvisories: [],
        maximumCollateralAgeDays: null,
      },
      platforms: { allowed: 'any', denied: [] },
      images: [{ name: 'guest', mrTd, rtmr0, rtmr1, rtmr2, composeHash }],
    }
    const verdict = (document: object) =>
      plumbline(
        'verify',
        '--quote',
        file('real.json', realQuote(at('quote.json'), at('tcb_info.json'))),
        '--collateral',
        at('collateral_eval19.json'),
        '--at',
        '2026-08-20T00:00:00Z',
        '--policy',
        file('production.json', JSON.stringify(production)),
        '--compose',
        at('app_compose.json'),
        '--production',
        '--expect',
        file('real-expect.json', JSON.stringify(document)),
      )

    it('refuses by the evidence a guest that has its keys from beside it, not from the KMS', () => {
      const { status, stdout } = verdict(expectations)
      expect(stdout).toContain('Rule: KeyProviderNotAllowed (412)')
      expect(status).toBe(1)
    })

    it('judges nothing when such a key provider is to be accepted', () => {
      expect(verdict({ ...expectations, keyProviders: 'any' }).error).toMatchObject({
        setting: 'AnyKeyProvider',
      })
    })
  },
)

/** The quote and its log in one file, as `GetQuote` answers them. */
function realQuote(quoteFile: string, tcbInfoFile: string): string {
  const quoteText: unknown = JSON.parse(readFileSync(quoteFile, 'utf8'))
  const tcbInfo = JSON.parse(readFileSync(tcbInfoFile, 'utf8')) as { event_log: unknown }
  return JSON.stringify({ quote: quoteText, event_log: tcbInfo.event_log })
}

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
