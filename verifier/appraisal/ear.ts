import type { Hex } from '#schemas/bytes.ts'
import type { DstackAppraisal } from '../dstack/verifyDstackEvidence.ts'
import type { QuoteAppraisal } from './appraisal.ts'
import type { QuoteRefusedError } from './errors.ts'
import { refusalRules, type RefusalStage } from './rules.ts'

/**
 * Trustworthiness claims of AR4SI. 2 affirms, 32 warns, 96 and above contraindicates, 0 says nothing.
 *
 * @see draft-ietf-rats-ar4si, §2.3
 */
export type TrustworthinessVector = {
  readonly 'instance-identity'?: number
  readonly configuration?: number
  readonly executables?: number
  readonly hardware?: number
  readonly 'runtime-opaque'?: number
}

export type EarStatus = 'none' | 'affirming' | 'warning' | 'contraindicated'

export type EarSubmodule = {
  readonly ear_status: EarStatus
  readonly ear_trustworthiness_vector: TrustworthinessVector
  readonly ear_appraisal_policy_ids: readonly string[]
  readonly [claim: string]: unknown
}

/** Claims of an EAT attestation result, ready to be signed as JWT or CWT by whoever needs that. */
export type Ear = {
  readonly eat_profile: typeof earProfile
  readonly iat: number
  readonly exp?: number
  readonly eat_nonce?: string
  readonly ear_status: EarStatus
  readonly ear_verifier_id: { readonly developer: string; readonly build: string }
  readonly submods: Readonly<Record<string, EarSubmodule>>
}

export const earProfile = 'tag:ietf.org,2026:rats/ear#04'

export type EarOptions = {
  /** Release of the verifier, for `ear_verifier_id`. */
  readonly build: string
  /** Nonce of the challenge that the quote answers, base64url, when there was one. */
  readonly nonce?: string
}

/**
 * The appraisal as an attestation result: submodule `intel-tdx` or `intel-sgx` for the platform, and
 * `application` for the dstack application, where that was verified too.
 *
 * Claim names: RFC 9711 (`iat`, `exp`, `eat_nonce`, `dbgstat`, `intuse`, `submods`), the TDX profile
 * draft-kdyxy-rats-tdx-eat-profile (`tdx_*`), and `plumbline_*` for what neither names.
 *
 * @see draft-ietf-rats-ear-04
 */
export function toEar(
  appraisal: QuoteAppraisal,
  application: DstackAppraisal | undefined,
  { build, nonce }: EarOptions,
): Ear {
  const isCurrent = appraisal.tcb.status === 'UpToDate'
  const isImageKnown = appraisal.image !== undefined
  const platform = submodule(
    appraisal.policyId,
    {
      // A genuine platform; 32 where a policy accepts one with known weaknesses.
      hardware: isCurrent ? 2 : 32,
      'instance-identity': 2,
      executables: isImageKnown ? 2 : 0,
      configuration: isImageKnown ? 2 : 0,
      // TDX and SGX keep memory encrypted from the host.
      'runtime-opaque': 2,
    },
    {
      // Debugging is refused, and it cannot be switched on after launch.
      dbgstat: 'disabled-since-boot',
      intuse: 'generic',
      ...platformClaims(appraisal),
    },
  )
  const submods: Record<string, EarSubmodule> = {
    [appraisal.tee === 'TDX' ? 'intel-tdx' : 'intel-sgx']: platform,
  }
  if (application !== undefined) {
    submods['application'] = submodule(
      appraisal.policyId,
      { executables: 2, configuration: application.mrConfigVersion === 0 ? 32 : 2 },
      {
        plumbline_app_id: bare(application.appId),
        plumbline_compose_hash: bare(application.composeHash),
        plumbline_instance_id: bare(application.instanceId),
        plumbline_key_provider: application.keyProvider.name,
        ...(application.osImageHash === undefined
          ? {}
          : { plumbline_os_image_hash: bare(application.osImageHash) }),
      },
    )
  }
  return {
    eat_profile: earProfile,
    iat: appraisal.appraisedAtUnixSeconds,
    exp: appraisal.validUntilUnixSeconds,
    ...(nonce === undefined ? {} : { eat_nonce: nonce }),
    ear_status: worst(Object.values(submods).map((module) => module.ear_status)),
    ear_verifier_id: { developer: earDeveloper, build },
    submods,
  }
}

/**
 * A refusal as an attestation result. It holds no claims about the platform: nothing of refused
 * evidence is known to be true.
 *
 * @param now - Instant of appraisal, whole Unix seconds.
 */
export function refusalToEar(
  error: QuoteRefusedError,
  now: number,
  policyId: string,
  { build, nonce }: EarOptions,
): Ear {
  return {
    eat_profile: earProfile,
    iat: now,
    ...(nonce === undefined ? {} : { eat_nonce: nonce }),
    ear_status: 'contraindicated',
    ear_verifier_id: { developer: earDeveloper, build },
    submods: {
      'intel-tdx': {
        ear_status: 'contraindicated',
        ear_trustworthiness_vector: vectorOfStage[refusalRules[error.code].stage],
        ear_appraisal_policy_ids: [policyId],
        plumbline_refusal: error.code,
        plumbline_refusal_rule: error.ruleId,
        plumbline_refusal_text: error.shortMessage,
        ...(error.remedy === undefined ? {} : { plumbline_remedy: error.remedy }),
        ...(error.fmspc === undefined ? {} : { plumbline_fmspc: error.fmspc }),
        ...(error.evaluationDataNumber === undefined
          ? {}
          : { plumbline_tcb_evaluation_data_number: error.evaluationDataNumber }),
      },
    },
  }
}

/** 99: validation of the evidence failed; 96: the platform itself is not to be trusted (AR4SI §2.3.2). */
const vectorOfStage: Readonly<Record<RefusalStage, TrustworthinessVector>> = {
  input: {},
  collateral: {},
  window: {},
  format: { hardware: 99 },
  genuineness: { hardware: 99 },
  tcb: { hardware: 96 },
  policy: {},
  dstack: { executables: 99 },
}

const earDeveloper = 'Plumbline'

function submodule(
  policyId: string,
  vector: TrustworthinessVector,
  claims: Readonly<Record<string, unknown>>,
): EarSubmodule {
  const values = Object.values(vector)
  return {
    ear_status: values.some((value) => value >= 96)
      ? 'contraindicated'
      : values.some((value) => value >= 32)
        ? 'warning'
        : 'affirming',
    ear_trustworthiness_vector: vector,
    ear_appraisal_policy_ids: [policyId],
    ...claims,
  }
}

const severity: readonly EarStatus[] = ['none', 'affirming', 'warning', 'contraindicated']

function worst(statuses: readonly EarStatus[]): EarStatus {
  return severity[Math.max(...statuses.map((status) => severity.indexOf(status)))] ?? 'none'
}

function platformClaims(appraisal: QuoteAppraisal): Record<string, unknown> {
  const { td, enclave, platform, tcb } = appraisal
  return {
    ...(td === undefined
      ? {}
      : {
          tdx_tee_tcb_svn: bare(td.teeTcbSvn),
          tdx_mrseam: bare(td.mrSeam),
          tdx_mrsignerseam: bare(td.mrSignerSeam),
          tdx_seam_attributes: bare(td.seamAttributes),
          tdx_td_attributes: bare(td.tdAttributes),
          tdx_xfam: bare(td.xfam),
          tdx_mrtd: bare(td.mrTd),
          tdx_mrconfigid: bare(td.mrConfigId),
          tdx_mrowner: bare(td.mrOwner),
          tdx_mrownerconfig: bare(td.mrOwnerConfig),
          tdx_rtmr0: bare(td.rtmr[0]),
          tdx_rtmr1: bare(td.rtmr[1]),
          tdx_rtmr2: bare(td.rtmr[2]),
          tdx_rtmr3: bare(td.rtmr[3]),
          tdx_report_data: bare(appraisal.reportData),
        }),
    ...(enclave === undefined
      ? {}
      : {
          sgx_mrenclave: bare(enclave.mrEnclave),
          sgx_mrsigner: bare(enclave.mrSigner),
          sgx_isvprodid: enclave.isvProdId,
          sgx_isvsvn: enclave.isvSvn,
          sgx_report_data: bare(appraisal.reportData),
        }),
    plumbline_quote_id: bare(appraisal.quoteId),
    plumbline_ppid: bare(platform.ppid),
    plumbline_fmspc: platform.fmspc,
    plumbline_tcb_status: tcb.status,
    plumbline_tcb_evaluation_data_number: tcb.evaluationDataNumber,
    plumbline_advisory_ids: tcb.advisoryIds,
    ...(appraisal.image === undefined ? {} : { plumbline_image: appraisal.image }),
  }
}

function bare(hex: Hex): string {
  return hex.slice(2)
}
