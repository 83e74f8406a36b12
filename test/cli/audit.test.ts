import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { AuditedBundle } from '#cli/audit/auditBundle.ts'
import type { AuditReport } from '#cli/audit/auditReport.ts'
import { findIn } from '#cli/audit/findings.ts'
import { zeroHash } from '#schemas/report.ts'
import { writeBundle } from '#schemas/bundle.ts'
import type { Hex } from '#schemas/bytes.ts'
import { bundlePlatform, makeBundle } from '#test/support/makeBundle.ts'
import { root } from '#tools/paths.ts'

const { text, content } = makeBundle()

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'plumbline-audit-'))
  mkdirSync(join(folder, 'bundles', 'below'), { recursive: true })
  writeFileSync(join(folder, 'root.pem'), bundlePlatform.rootCertificatePem)
})
afterEach(() => {
  rmSync(folder, { recursive: true, force: true })
})

function put(name: string, bundle: string): void {
  writeFileSync(join(folder, 'bundles', name), bundle)
}

function audit(...args: string[]) {
  const json = join(folder, 'audit.json')
  const run = spawnSync(
    process.execPath,
    [
      join(root, 'cli', 'main.ts'),
      'audit',
      join(folder, 'bundles'),
      '--root',
      join(folder, 'root.pem'),
      '--json',
      json,
      ...args,
    ],
    { encoding: 'utf8' },
  )
  return {
    ...run,
    report: () => JSON.parse(readFileSync(json, 'utf8')) as AuditReport,
  }
}

describe('plumbline audit', () => {
  it('accepts a folder of bundles that hold, and says what it looked at', () => {
    put('one.json', text)
    const run = audit()
    expect(run.status, run.stderr).toBe(0)
    expect(run.stdout).toContain('**Every claim examined holds.**')
    expect(run.stdout).toContain('| `one.json` | cooler 4 | Cool for an hour |')
    expect(run.report()).toMatchObject({
      kind: 'plumbline-audit-report',
      bundles: 1,
      accepted: 1,
      reports: 1,
      verdicts: { PASS: 1, FAIL: 0, INCONCLUSIVE: 0 },
      findings: [
        {
          number: 'F-001',
          severity: 'observation',
          title: 'Calibration is not demanded by the policy',
        },
        { number: 'F-002', severity: 'observation', title: 'The collateral has lapsed since' },
      ],
      policies: [{ reports: 1, coverageLowestPpm: 1_000_000, incomplete: 0, gapRule: 'violating' }],
    })
    expect(run.stdout).toContain(
      '| Cool for an hour | 1 | 100 % | 100 % | 0 | 0 h | a violation | not demanded |',
    )
  })

  it('reads compressed bundles, and no bomb', () => {
    writeFileSync(join(folder, 'bundles', 'one.json.gz'), gzipSync(text))
    expect(audit().report()).toMatchObject({ bundles: 1, accepted: 1 })
    writeFileSync(
      join(folder, 'bundles', 'two.json.gz'),
      gzipSync(Buffer.alloc(80 * 1024 * 1024, 32)),
    )
    expect(audit().report()).toMatchObject({ bundles: 2, accepted: 1 })
  })

  it('finds the one that was tampered with, wherever it lies, and says at which line', () => {
    put('genuine.json', text)
    put('below/forged.json', writeBundle({ ...content, streamName: 'another stream' }))
    put('notes.json', 'not JSON at all')
    const run = audit()
    expect(run.status).toBe(1)
    const { refused, findings, checks } = run.report()
    expect(refused).toBe(2)
    expect(findings.map(({ number, severity }) => [number, severity])).toStrictEqual([
      ['F-001', 'misstatement'],
      ['F-002', 'misstatement'],
      ...findings.slice(2).map(({ number, severity }) => [number, severity]),
    ])
    expect(run.stdout).toContain('“Signer → batch: signature and stream”')
    expect(run.stdout).toContain('`notes.json`')
    expect(checks['batch']).toStrictEqual({ passed: 1, failed: 1, notChecked: 0 })
  })

  it('names the lines that a bundle without packs leaves open', () => {
    const { devices: _, ...bare } = content
    put('bare.json', writeBundle(bare))
    const run = audit('--markdown', join(folder, 'audit.md'))
    expect(run.status).toBe(0)
    expect(run.stdout).toContain('1 of 1 bundles accepted, 5 findings')
    expect(readFileSync(join(folder, 'audit.md'), 'utf8')).toContain('A line was not examined')
  })

  it('ends with an error where there is nothing to audit', () => {
    const run = audit()
    expect(run.status).toBe(3)
    expect(run.stderr).toContain('holds no JSON file')
  })
})

describe('what only a set of bundles shows', () => {
  const hash = (digit: string): Hex => `0x${digit.repeat(64)}`

  function bundle(
    file: string,
    changes: Partial<NonNullable<AuditedBundle['about']>>,
  ): AuditedBundle {
    return {
      file,
      bytes: 1,
      isAccepted: true,
      checks: [],
      about: {
        stream: 'stream',
        subject: 'plant',
        policy: 'policy',
        policyId: hash('1'),
        periodStartMs: 0,
        periodEndMs: 1000,
        verdict: 'PASS',
        value: '1',
        unit: 'Wh',
        coveragePpm: 1_000_000,
        leaf: hash(file),
        amends: zeroHash,
        exclusiveTo: zeroHash,
        sequence: '1',
        batchDigest: hash('a'),
        previous: zeroHash,
        signer: '0x00',
        recordedAtSeconds: 1,
        collateralUntilSeconds: 2,
        findings: [],
        gapRule: 'violating',
        isCalibrationDemanded: true,
        uncalibratedMs: 0,
        ...changes,
      },
    }
  }
  const titles = (...bundles: AuditedBundle[]) => findIn(bundles).map(({ title }) => title)

  it('two batches of one number', () => {
    expect(titles(bundle('1', {}), bundle('2', { batchDigest: hash('b') }))).toStrictEqual([
      'A stream has two different batches of one number',
    ])
  })

  it('a batch that does not follow the one before it', () => {
    const second = { sequence: '2', batchDigest: hash('b') }
    expect(titles(bundle('1', {}), bundle('2', { ...second, previous: hash('c') }))).toStrictEqual([
      'A batch does not follow the one before it',
    ])
    expect(titles(bundle('1', {}), bundle('2', { ...second, previous: hash('a') }))).toStrictEqual(
      [],
    )
  })

  it('a right that is granted twice for the same time, unless one amends the other', () => {
    const right = { exclusiveTo: hash('9') }
    const overlapping = { ...right, periodStartMs: 500, periodEndMs: 1500 }
    expect(titles(bundle('1', right), bundle('2', overlapping))).toStrictEqual([
      'A right is granted twice for the same time',
    ])
    expect(
      titles(bundle('1', right), bundle('2', { ...overlapping, amends: hash('1') })),
    ).toStrictEqual([])
    expect(
      titles(bundle('1', right), bundle('2', { ...right, periodStartMs: 1000, periodEndMs: 2000 })),
    ).toStrictEqual([])
  })

  it('one report that lies there twice is one report', () => {
    expect(titles(bundle('1', {}), bundle('2', { leaf: hash('1') }))).toStrictEqual([
      'One report lies here more than once',
    ])
  })

  it('batches that lie between others and are not here', () => {
    const fourth = { sequence: '4', batchDigest: hash('b'), previous: hash('d') }
    const [finding] = findIn([bundle('1', {}), bundle('2', fourth)])
    expect(finding?.title).toBe('Batches between others are not here')
    expect(finding?.detail).toContain('stream: 2 to 3.')
  })

  it('time that no calibration covers, and a policy that demands none', () => {
    const [gap] = findIn([bundle('1', { uncalibratedMs: 5_400_000 })])
    expect(gap).toMatchObject({
      severity: 'nonconformity',
      title: 'Calibration does not cover the whole period',
    })
    expect(gap?.detail).toContain('1 reports, 1.5 h of device time')
    expect(titles(bundle('1', { uncalibratedMs: undefined }))).toStrictEqual([
      'Calibration could not be examined',
    ])
    expect(
      titles(bundle('1', { isCalibrationDemanded: false, uncalibratedMs: undefined })),
    ).toStrictEqual(['Calibration is not demanded by the policy'])
  })

  it('one note for a thousand reports that have the same', () => {
    const many = Array.from({ length: 1000 }, (_, index) =>
      bundle(String(index), { findings: ['gap'], subject: `plant ${index}`, coveragePpm: 990_000 }),
    )
    const findings = findIn(many)
    expect(findings).toHaveLength(1)
    expect(findings[0]?.detail).toBe('gap: “policy”, 1000 subjects; coverage at least 99 %.')
    expect(findings[0]?.files).toHaveLength(1000)
  })

  it('what is judged as of an instant whose collateral has lapsed since', () => {
    const [finding, ...rest] = findIn([bundle('1', {})], 10 * 86_400 + 1)
    expect(rest).toStrictEqual([])
    expect(finding?.detail).toBe(
      '1 bundles are judged as of the instant that they record, the earliest 1970-01-01T00:00:01.000Z, 10 days ago. A platform revoked after that is not seen.',
    )
    expect(findIn([bundle('1', {})], 1)).toStrictEqual([])
  })
})
