import { generateKeyPairSync } from 'node:crypto'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DataIntegrityProof } from '@digitalbazaar/data-integrity'
import { createVerifyCryptosuite } from '@digitalbazaar/eddsa-jcs-2022-cryptosuite'
import { defaultDocumentLoader, verifyCredential } from '@digitalbazaar/vc'
import { compactVerify, importJWK } from 'jose'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type ProjectFacts, cadTrustProject } from '#cli/export/cadTrustProject.ts'
import { type UnitFacts, cadTrustUnit } from '#cli/export/cadTrustUnits.ts'
import { type ExaminedBundle, examineForExport } from '#cli/export/examined.ts'
import { granularCertificates } from '#cli/export/granularCertificates.ts'
import { type ClaimFacts, impactClaim } from '#cli/export/impactClaim.ts'
import { credentialSchema } from '#cli/export/verifiableCredential.ts'
import { writeBundle } from '#schemas/bundle.ts'
import { type Policy, decodePolicy } from '#schemas/policy/policy.ts'
import { unitCode } from '#schemas/report.ts'
import { bundlePlatform, makeBundle } from '#test/support/makeBundle.ts'
import { root } from '#tools/paths.ts'
import { plainQuotePolicy } from '#verifier/appraisal/plainQuotePolicy.ts'
import { createQuotePolicy } from '#verifier/appraisal/policy.ts'

const { text, content } = makeBundle()
const options = {
  rootCertificate: bundlePlatform.rootCertificateDer,
  quotePolicy: createQuotePolicy(plainQuotePolicy),
}

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'plumbline-export-'))
  const { privateKey } = generateKeyPairSync('ed25519')
  const files = {
    'bundle.json': text,
    'forged.json': writeBundle({ ...content, subjectName: 'cooler 5' }),
    'root.pem': bundlePlatform.rootCertificatePem,
    'issuer.jwk': JSON.stringify(privateKey.export({ format: 'jwk' })),
    'public.jwk': JSON.stringify({ kty: 'OKP', crv: 'Ed25519', x: 'AA' }),
  }
  for (const [name, body] of Object.entries(files)) writeFileSync(join(folder, name), body)
})
afterAll(() => {
  rmSync(folder, { recursive: true, force: true })
})

function run(bundle: string, ...args: string[]) {
  return spawnSync(
    process.execPath,
    [
      join(root, 'cli', 'main.ts'),
      'export',
      join(folder, bundle),
      '--root',
      join(folder, 'root.pem'),
      ...args,
    ],
    { encoding: 'utf8' },
  )
}

function contextsOf(credential: object): string[] {
  return (credential as { '@context': string[] })['@context']
}

/** Judged by the data model and the proof of an implementation that is not ours, without a network. */
async function verifyByOthers(credential: unknown) {
  const { verified, error } = await verifyCredential({
    credential,
    suite: new DataIntegrityProof({ cryptosuite: createVerifyCryptosuite() }),
    documentLoader: async (url) => {
      const [did = '', fragment] = url.split('#')
      if (!did.startsWith('did:key:')) return defaultDocumentLoader(url)
      const publicKeyMultibase = did.slice('did:key:'.length)
      const id = `${did}#${publicKeyMultibase}`
      const method = {
        '@context': 'https://w3id.org/security/multikey/v1',
        id,
        type: 'Multikey',
        controller: did,
        publicKeyMultibase,
      }
      const controller = {
        '@context': ['https://www.w3.org/ns/did/v1', 'https://w3id.org/security/multikey/v1'],
        id: did,
        verificationMethod: [method],
        assertionMethod: [id],
      }
      return { documentUrl: url, document: fragment === undefined ? controller : method }
    },
  })
  return { verified, error }
}

describe('plumbline export', () => {
  it('writes a monitoring report that says what was measured and what was examined', () => {
    const { stdout, status, stderr } = run('bundle.json', '--format', 'monitoring-report')
    expect(status, stderr).toBe(0)
    expect(stdout).toContain('| Verdict | PASS |')
    expect(stdout).toContain('| Result | 300 s |')
    expect(stdout).toContain('| violating | 300 s |')
    expect(stdout).toContain('An unobserved time counts as a violation.')
    expect(stdout).toContain('Every line was examined and holds.')
    expect(stdout).toContain('not demanded by the policy; to be shown separately')
  })

  it('writes the judged readings as CSV, one record for each', () => {
    const { stdout } = run('bundle.json', '--format', 'readings-csv')
    const records = stdout.split('\r\n')
    expect(records[0]).toBe('time_utc,device,series,unit,value,tier')
    expect(records).toHaveLength(62)
    expect(records[31]).toMatch(
      /^2026-01-14T23:30:00.000Z,0x[0-9a-f]{64},temperature,Cel,6.5,hardware$/,
    )
  })

  it('writes a credential that a library of others verifies against its issuer’s own key', async () => {
    const key = join(folder, 'issuer.jwk')
    const { stdout } = run('bundle.json', '--format', 'vc', '--issuer-key', key)
    const jws = stdout.trim()
    const [header = ''] = jws.split('.')
    const { kid } = JSON.parse(Buffer.from(header, 'base64url').toString()) as { kid: string }
    const did = kid.replace(/#0$/, '')
    const jwk = JSON.parse(
      Buffer.from(did.replace('did:jwk:', ''), 'base64url').toString(),
    ) as Parameters<typeof importJWK>[0]
    expect(jwk).not.toHaveProperty('d')
    const { payload, protectedHeader } = await compactVerify(jws, await importJWK(jwk, 'EdDSA'))
    expect(protectedHeader).toMatchObject({ alg: 'EdDSA', typ: 'vc+jwt', cty: 'vc' })
    const credential = credentialSchema.parse(JSON.parse(new TextDecoder().decode(payload)))
    expect(credential.issuer).toBe(did)
    expect(credential.credentialSubject).toMatchObject({
      name: 'cooler 4',
      verdict: 'PASS',
      value: '300',
      unit: 's',
      coveragePercent: '100',
    })
    const forged = `${jws.slice(0, -4)}AAAA`
    await expect(compactVerify(forged, await importJWK(jwk, 'EdDSA'))).rejects.toThrow('signature')
  })

  it('writes a credential with a proof inside that a library of others accepts, and no altered one', async () => {
    const key = join(folder, 'issuer.jwk')
    const { stdout } = run('bundle.json', '--format', 'vc-data-integrity', '--issuer-key', key)
    const credential = JSON.parse(stdout) as { credentialSubject: Record<string, string> }
    expect(await verifyByOthers(credential)).toStrictEqual({ verified: true, error: undefined })
    for (const altered of [
      { ...credential, credentialSubject: { ...credential.credentialSubject, value: '301' } },
      { ...credential, validFrom: '2020-01-01T00:00:00Z' },
      { ...credential, '@context': [...contextsOf(credential)].reverse() },
    ]) {
      expect((await verifyByOthers(altered)).verified).toBe(false)
    }
  })

  it('exports nothing of a bundle that does not hold', () => {
    const { status, stdout, stderr } = run('forged.json', '--format', 'monitoring-report')
    expect(status).toBe(1)
    expect(stdout).toBe('')
    expect(stderr).toContain('The report is on another subject than the bundle says.')
  })

  it.each([
    [['--format', 'vc'], 'needs the key of whoever issues the credential'],
    [['--format', 'vc', '--issuer-key', 'public.jwk'], 'no private Ed25519 key'],
    [['--format', 'energytag'], 'needs facts about the device'],
    [['--format', 'cad-trust-project'], 'needs facts about the project that the registry knows'],
    [['--format', 'impact-claim'], 'needs facts about the project that the claim is about'],
    [['--format', 'spreadsheet'], 'Allowed choices are'],
  ])('says what is missing: %j', (args, message) => {
    const { status, stderr } = run(
      'bundle.json',
      ...args.map((arg) => (arg.endsWith('.jwk') ? join(folder, arg) : arg)),
    )
    expect(status).toBe(3)
    expect(stderr).toContain(message)
  })
})

describe('granular certificates', () => {
  const facts = {
    accountId: 'a',
    deviceName: 'd',
    technology: 't',
    energySource: 'Solar',
    productionStartDate: '2014-05-01',
    capacityW: 1,
    location: ['50.0', '8.0'] as [string, string],
    country: 'DE',
    grid: 'g',
    marketZone: 'm',
    issuingBody: 'i',
    issuanceDate: '2026-11-24',
    expiryDate: '2028-11-24',
    registryConfiguration: 1 as const,
  }
  const power = decodePolicy({
    version: 1,
    name: 'Energy',
    signal: { series: 'power', unit: 'W', interval: '30m' },
    window: { kind: 'period' },
    interpolation: { kind: 'interval-mean', step: '30m', stamp: 'start' },
    gaps: 'unknown',
    minCoverage: '50%',
    aggregates: [{ kind: 'integral', per: 'h', unit: 'Wh', negative: 'zero' }],
    objectives: [],
    quality: {},
    settlement: { measure: 'integral', unit: 'Wh', rounding: 'down' },
    audience: { kind: 'anyone' },
  })
  const examined = examineForExport(JSON.parse(text), options)
  const startMs = Number(examined.bundle.report.periodStartMs)

  /** The examined bundle as if its device had measured power, every half hour of its hour. */
  function producing(
    wattsMicro: readonly (number | null)[],
    policy: Policy = power,
  ): ExaminedBundle {
    const device = examined.readings?.[0]?.device ?? '0x'
    return {
      ...examined,
      policy,
      measures: { integral: '1000000000' },
      readings: wattsMicro.map((valueMicro, index) => ({
        device,
        series: 'power',
        unit: 'W',
        timeMs: startMs + index * 1_800_000,
        valueMicro,
        tier: 1,
      })),
    }
  }

  it('count whole watt-hours, rounded down in every hour', () => {
    const [first, ...rest] = granularCertificates(producing([3_500_000, 4_200_000]), facts)
    expect(rest).toStrictEqual([])
    // (3.5 W + 4.2 W) for half an hour each: 3.85 Wh.
    expect(first?.bundle_quantity).toBe(3)
    expect(first?.bundle_id_range_end).toBe(2)
    expect(first?.production_starting_interval).toBe(new Date(startMs).toISOString())
  })

  it('count nothing for what was not observed, nothing below zero, and no empty hour', () => {
    const [only] = granularCertificates(producing([10_000_000, null]), facts)
    expect(only?.bundle_quantity).toBe(5)
    expect(granularCertificates(producing([-10_000_000, 1_000_000]), facts)).toStrictEqual([])
  })

  it('are refused where the readings come to more than the report proves', () => {
    const bundle = { ...producing([9_000_000, 9_000_000]), measures: { integral: '8000000' } }
    expect(() => granularCertificates(bundle, facts)).toThrow('more than the report proves')
  })

  it('are refused for what is no electric power', () => {
    expect(() => granularCertificates(examined, facts)).toThrow('not about electric power')
  })
})

describe('units for CAD Trust', () => {
  const examined = examineForExport(JSON.parse(text), options)
  const facts: UnitFacts = {
    serialPrefix: 'LOCAL-0001',
    firstUnit: 101,
    countryJurisdictionOfOwner: 'Germany',
    unitType: 'Reduction - technical',
    unitRegistryLink: 'https://registry.example/units/1',
    correspondingAdjustmentDeclaration: 'Unknown',
    correspondingAdjustmentStatus: 'Not Started',
    verificationBody: 'Verifier',
    verificationReportDate: '2026-11-24',
  }
  const right: ExaminedBundle['bundle']['report'] = {
    ...examined.bundle.report,
    exclusiveTo: `0x${'99'.repeat(32)}`,
    unit: unitCode('kgCO2e'),
    valueMicro: 115_005_332_092n,
  }
  const of = (report: typeof right, verdict: ExaminedBundle['verdict'] = 'PASS') =>
    cadTrustUnit({ ...examined, verdict, bundle: { ...examined.bundle, report } }, facts)

  it('are the whole tonnes of a right, with serials without a hole', () => {
    expect(of(right)).toMatchObject({
      unitCount: 115,
      unitBlockStart: 'LOCAL-0001-2026-101',
      unitBlockEnd: 'LOCAL-0001-2026-215',
      vintageYear: 2026,
      unitStatus: 'Held',
    })
    expect(of({ ...right, unit: unitCode('tCO2e'), valueMicro: 7_900_000n }).unitCount).toBe(7)
  })

  it('are of the vintage in which the last instant lies', () => {
    const newYear = BigInt(Date.UTC(2026, 0, 1))
    const december = { ...right, periodStartMs: newYear - 86_400_000n, periodEndMs: newYear }
    expect(of(december).vintageYear).toBe(2025)
    expect(() => of({ ...december, periodEndMs: newYear + 1n })).toThrow('two vintages')
  })

  it('are refused of a fact, of a failure, of less than a tonne and of anything else', () => {
    expect(() => of({ ...right, exclusiveTo: `0x${'00'.repeat(32)}` })).toThrow('is a fact')
    expect(() => of(right, 'FAIL')).toThrow('did not pass')
    expect(() => of({ ...right, valueMicro: 999_999_999n })).toThrow('less than a tonne')
    expect(() => of({ ...right, unit: unitCode('Wh') })).toThrow('The report is in Wh.')
  })
})

describe('a project for CAD Trust', () => {
  const examined = examineForExport(JSON.parse(text), options)
  const facts: ProjectFacts = {
    projectId: 'P-1',
    originProjectId: 'P-1',
    registryOfOrigin: 'Registry',
    projectName: 'Solar plant 1',
    projectLink: 'https://registry.example/projects/P-1',
    projectDeveloper: 'Developer',
    sector: 'Energy (renewable/non-renewable)',
    projectType: 'Energy demand',
    coveredByNDC: 'Unknown',
    projectStatus: 'Registered',
    projectStatusDate: '2026-01-01',
    methodology: 'Grid-connected electricity generation from renewable sources --- Version 20.0',
    verificationBody: 'Verifier',
    verificationReportDate: '2026-11-24',
  }
  const of = (valueMicro: bigint, unit: string, verdict: ExaminedBundle['verdict'] = 'PASS') =>
    cadTrustProject(
      {
        ...examined,
        verdict,
        bundle: {
          ...examined.bundle,
          report: { ...examined.bundle.report, unit: unitCode(unit), valueMicro },
        },
      },
      facts,
    )

  it('carries the policy in plain words and the period as an issuance', () => {
    const project = of(1_000_000_000n, 'kgCO2e')
    expect(project).toMatchObject({ projectId: 'P-1', unitMetric: 'tCO2e' })
    expect(project.description).toContain('An unobserved time counts as a violation.')
    expect(project.issuances).toStrictEqual([
      {
        startDate: '2026-01-14T23:00:00.000Z',
        endDate: '2026-01-15T00:00:00.000Z',
        verificationApproach: `Attested report, proof bundle ${examined.bundle.digest}`,
        verificationReportDate: '2026-11-24',
        verificationBody: 'Verifier',
      },
    ])
  })

  it('is refused where nothing could be issued', () => {
    expect(() => of(999_999_999n, 'kgCO2e')).toThrow('less than a tonne')
    expect(() => of(1_000_000_000n, 'Wh')).toThrow('The report is in Wh.')
    expect(() => of(1_000_000_000n, 'kgCO2e', 'FAIL')).toThrow('did not pass')
  })
})

describe('an impact claim', () => {
  const examined = examineForExport(JSON.parse(text), options)
  const facts: ClaimFacts = {
    aimId: 'aim-1',
    aioId: 'aio-1',
    projectDeveloperId: 'developer-1',
    bundleUri: 'https://registry.example/bundles/1.json',
    coBenefits: ['ClimateAction'],
  }
  const of = (valueMicro: bigint, unit: string, verdict: ExaminedBundle['verdict'] = 'PASS') =>
    impactClaim(
      {
        ...examined,
        verdict,
        bundle: {
          ...examined.bundle,
          report: { ...examined.bundle.report, unit: unitCode(unit), valueMicro },
        },
      },
      facts,
    )

  it('links the bundle by its digest, names the devices, and has the policy as its formula', () => {
    const claim = of(115_005_332_092n, 'kgCO2e')
    expect(claim).toMatchObject({
      aimId: 'aim-1',
      unitOfMeasure: 'TonneCo2E',
      quantity: '115.005332092',
      startDate: '2026-01-14',
      endDate: '2026-01-14',
    })
    const [checkpoint] = claim.checkpoints
    const [dataPackage] = checkpoint?.dataPackages ?? []
    expect(checkpoint?.efAfter).toBe(claim.quantity)
    expect(
      checkpoint?.variables.find(({ id }) => id.endsWith(':violating_ms'))?.data,
    ).toStrictEqual({ dataType: 'ms', value: '300000' })
    expect(dataPackage?.verifiedLinkToDataPackage).toMatchObject({
      hashProof: examined.bundle.digest.slice(2),
      hashAlgorithm: 'Sha256',
    })
    expect(dataPackage?.manifest.dataFiles.map((file) => file.claimSourceId)).toStrictEqual(
      checkpoint?.claimSourceIds,
    )
    expect(claim.formulas[0]?.data.value).toBe(examined.bundle.policy)
  })

  it.each([
    [1_500_000_000n, 'Wh', 'KwH', '1.5'],
    [1n, 'Wh', 'KwH', '0.000000001'],
    [2_000_000n, 'tCO2e', 'TonneCo2E', '2'],
  ])('says %d millionths of a %s exactly', (valueMicro, unit, name, quantity) => {
    expect(of(valueMicro, unit)).toMatchObject({ unitOfMeasure: name, quantity })
  })

  it('is refused of a failure and of what the data model has no unit for', () => {
    expect(() => of(1n, 'Wh', 'FAIL')).toThrow('did not pass')
    expect(() => of(1n, 's')).toThrow('The report is in s.')
  })
})
