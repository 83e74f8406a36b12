import { describe, expect, it } from 'vitest'
import { createPlatform } from '#localnet/tdx/platform.ts'
import { strictPolicy } from '#localnet/tdx/strictPolicy.ts'
import { refusalToEar, toEar } from '#verifier/appraisal/ear.ts'
import { refusal } from '#verifier/appraisal/errors.ts'
import { createQuotePolicy } from '#verifier/appraisal/policy.ts'
import { nodeCrypto } from '#verifier/crypto/adapters/nodeCrypto.ts'
import type { DstackAppraisal } from '#verifier/dstack/verifyDstackEvidence.ts'
import { verifyQuoteWithCollateral } from '#verifier/quote/verifyQuote.ts'
import { permissivePolicy } from '../vectors.ts'

const now = 1_790_000_000
const honest = createPlatform({ now })

function appraise(platform = honest, policy = createQuotePolicy(strictPolicy(platform))) {
  return verifyQuoteWithCollateral(
    platform.mintQuote({ reportData: new Uint8Array(64) }),
    platform.collateral(),
    { rootCertificate: platform.rootCertificateDer, now, policy, crypto: nodeCrypto },
  )
}

const application: DstackAppraisal = {
  appId: `0x${'11'.repeat(20)}`,
  composeHash: `0x${'22'.repeat(32)}`,
  instanceId: `0x${'33'.repeat(20)}`,
  osImageHash: undefined,
  keyProvider: { name: 'kms', id: 'c0' },
  mrConfigVersion: 1,
  applicationEvents: [],
}

describe('an attestation result', () => {
  it('affirms an approved image on a platform at its best', () => {
    const ear = toEar(appraise(), application, { build: 'test', nonce: 'bm9uY2U' })
    expect(ear).toMatchObject({
      eat_profile: 'tag:ietf.org,2026:rats/ear#04',
      iat: now,
      eat_nonce: 'bm9uY2U',
      ear_status: 'affirming',
      ear_verifier_id: { developer: 'Plumbline', build: 'test' },
      submods: {
        'intel-tdx': {
          ear_status: 'affirming',
          ear_trustworthiness_vector: { hardware: 2, executables: 2, configuration: 2 },
          ear_appraisal_policy_ids: ['local-strict'],
          dbgstat: 'disabled-since-boot',
          plumbline_image: 'local',
          plumbline_tcb_evaluation_data_number: 20,
        },
        application: { ear_status: 'affirming', plumbline_compose_hash: '22'.repeat(32) },
      },
    })
  })

  it('writes measurements as hex of their own length', () => {
    const claims = toEar(appraise(), undefined, { build: 'test' }).submods['intel-tdx'] ?? {}
    const lengths = Object.entries(claims)
      .filter(([name]) => name.startsWith('tdx_'))
      .map(([name, value]) => [name, String(value).length])
    expect(Object.fromEntries(lengths)).toEqual({
      tdx_tee_tcb_svn: 32,
      tdx_mrseam: 96,
      tdx_mrsignerseam: 96,
      tdx_seam_attributes: 16,
      tdx_td_attributes: 16,
      tdx_xfam: 16,
      tdx_mrtd: 96,
      tdx_mrconfigid: 96,
      tdx_mrowner: 96,
      tdx_mrownerconfig: 96,
      tdx_rtmr0: 96,
      tdx_rtmr1: 96,
      tdx_rtmr2: 96,
      tdx_rtmr3: 96,
      tdx_report_data: 128,
    })
  })

  it('warns of a platform that a policy tolerates, and says nothing of an image not judged', () => {
    const outOfDate = createPlatform({ now, tcbStatus: 'OutOfDate' })
    const ear = toEar(appraise(outOfDate, permissivePolicy), undefined, { build: 'test' })
    expect(ear.ear_status).toBe('warning')
    expect(ear.submods['intel-tdx']?.ear_trustworthiness_vector).toEqual({
      hardware: 32,
      'instance-identity': 2,
      executables: 0,
      configuration: 0,
      'runtime-opaque': 2,
    })
  })

  it('warns of an application that no host bound', () => {
    const unbound = { ...application, mrConfigVersion: 0 } as const
    expect(toEar(appraise(), unbound, { build: 'test' }).ear_status).toBe('warning')
  })

  it('of a refusal contraindicates, names the rule, and claims nothing of the platform', () => {
    const error = refusal('TdDebug', 'The TD runs in debug mode.', { fmspc: 'B0C06F000000' })
    const ear = refusalToEar(error, now, 'strict', { build: 'test' })
    expect(ear).toEqual({
      eat_profile: 'tag:ietf.org,2026:rats/ear#04',
      iat: now,
      ear_status: 'contraindicated',
      ear_verifier_id: { developer: 'Plumbline', build: 'test' },
      submods: {
        'intel-tdx': {
          ear_status: 'contraindicated',
          ear_trustworthiness_vector: { hardware: 96 },
          ear_appraisal_policy_ids: ['strict'],
          plumbline_refusal: 'TdDebug',
          plumbline_refusal_rule: 271,
          plumbline_refusal_text: 'The TD runs in debug mode.',
          plumbline_remedy:
            'Do not trust this platform until its operator has updated or reconfigured it.',
          plumbline_fmspc: 'B0C06F000000',
        },
      },
    })
  })
})
