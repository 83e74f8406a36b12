import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { writeBundle } from '#schemas/bundle.ts'
import { bundlePlatform, makeBundle } from '#test/support/makeBundle.ts'
import { root } from '#tools/paths.ts'
import { type Ear, earProfile } from '#verifier/appraisal/ear.ts'

const { text, content } = makeBundle()

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'plumbline-verify-'))
  writeFileSync(join(folder, 'bundle.json.gz'), gzipSync(text))
  writeFileSync(
    join(folder, 'forged.json'),
    writeBundle({ ...content, streamName: 'another stream' }),
  )
  writeFileSync(join(folder, 'root.pem'), bundlePlatform.rootCertificatePem)
})
afterAll(() => {
  rmSync(folder, { recursive: true, force: true })
})

function verify(file: string, ...args: string[]) {
  return spawnSync(
    process.execPath,
    [
      join(root, 'cli', 'main.ts'),
      'verify',
      join(folder, file),
      '--root',
      join(folder, 'root.pem'),
      ...args,
    ],
    { encoding: 'utf8' },
  )
}

describe('plumbline verify', () => {
  it('accepts a bundle long after its collateral lapsed, and says as of when', () => {
    const { stdout, stderr, status } = verify('bundle.json.gz')
    expect(status, stderr).toBe(0)
    expect(stdout).toMatch(
      /As of {5}2026-01-15T00:00:00\.000Z; the collateral lapsed on 2026-\d\d-\d\dT[\d:.]+Z, \d+ days ago: it held then, and nothing later is known of the platform/,
    )
    expect(stdout).toContain('\nACCEPTED\nNot examined: what chains made of it (--rpc); ')
  })

  it('prints an attestation result: the platform, and the report that stands on it', () => {
    const { stdout } = verify('bundle.json.gz', '--json')
    const ear = JSON.parse(stdout) as Ear
    expect(ear).toMatchObject({
      eat_profile: earProfile,
      iat: Date.UTC(2026, 0, 15) / 1000,
      ear_status: 'affirming',
      submods: {
        'intel-tdx': { ear_status: 'affirming', dbgstat: 'disabled-since-boot' },
        'plumbline-report': {
          ear_status: 'affirming',
          ear_appraisal_policy_ids: [content['report']].map(
            (report) => (report as { policyId: string }).policyId,
          ),
          plumbline_report: { verdict: 'PASS', value: '300', unit: 's', coveragePpm: 1_000_000 },
        },
      },
    })
    expect(ear.submods['plumbline-report']?.['plumbline_checks']).toHaveLength(15)
  })

  it('claims nothing of a refused bundle in its result', () => {
    const { stdout, status } = verify('forged.json', '--json', '--rpc', 'http://127.0.0.1:1')
    const ear = JSON.parse(stdout) as Ear & { plumbline_chains: unknown[] }
    expect(status).toBe(1)
    expect(ear.ear_status).toBe('contraindicated')
    expect(ear.submods['plumbline-report']).toMatchObject({
      ear_status: 'contraindicated',
      ear_trustworthiness_vector: { executables: 99 },
      ear_appraisal_policy_ids: [],
    })
    expect(ear.submods['plumbline-report']).not.toHaveProperty('plumbline_report')
    // No chain is asked about what does not hold.
    expect(ear.plumbline_chains).toStrictEqual([])
  })

  it('goes on without a chain that does not answer, and says so', () => {
    const { stdout, status } = verify('bundle.json.gz', '--rpc', 'http://127.0.0.1:1')
    expect(status).toBe(0)
    expect(stdout).toContain('– The chain could not be asked\n')
  })
})
