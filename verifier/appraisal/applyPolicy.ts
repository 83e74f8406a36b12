import { equalBytes, toHex } from '#schemas/bytes.ts'
import type { VerifiedCollateral } from '../collateral/verifyCollateral.ts'
import type { Quote, TdReport } from '../quote/parseQuote.ts'
import { formatIsoTime } from '../x509/time.ts'
import type { SgxExtension } from '../x509/sgxExtension.ts'
import type { TcbAppraisal } from './appraisal.ts'
import { refusal, type RefusalDetails } from './errors.ts'
import { bareHex, imageKey, isZero, type QuotePolicy } from './policy.ts'
import type { RefusalCode } from './rules.ts'

const secondsPerDay = 86_400

export type PolicyInput = {
  readonly quote: Quote
  readonly collateral: VerifiedCollateral
  readonly platform: SgxExtension
  readonly tcb: TcbAppraisal
  readonly now: number
  readonly expectedReportData: Uint8Array | undefined
}

/**
 * The rules 300 and above, over a quote that is known to be genuine.
 *
 * @returns Name of the image or enclave that matched; `undefined` where the policy accepts any.
 * @throws {@link PolicyRefusedError}
 */
export function applyPolicy(policy: QuotePolicy, input: PolicyInput): string | undefined {
  const { quote, collateral, tcb, now } = input
  const about = {
    fmspc: collateral.fmspc,
    evaluationDataNumber: tcb.evaluationDataNumber,
  }
  if (!policy.tees.has(quote.tee)) {
    throw refusal('TeeNotAllowed', `The policy does not accept ${quote.tee} quotes.`, about)
  }
  expectFloor(
    'EvaluationNumberBelowFloor',
    'TCB info',
    tcb.evaluationDataNumber,
    policy.minimumEvaluationDataNumber,
    about,
  )
  expectFloor(
    'QeEvaluationNumberBelowFloor',
    'QE identity',
    tcb.qeEvaluationDataNumber,
    policy.minimumQeEvaluationDataNumber,
    about,
  )
  expectRecent(policy, collateral, now, about)
  expectStatus(policy, tcb, now, about)
  const denied = tcb.advisoryIds.find((advisory) => policy.deniedAdvisories.has(advisory))
  if (denied !== undefined) {
    throw refusal('AdvisoryDenied', `The platform is open to ${denied}.`, about)
  }
  expectPlatform(policy, bareHex(input.platform.ppid), about)
  const image =
    quote.tee === 'TDX'
      ? approvedImage(policy, quote.body, about)
      : approvedEnclave(policy, quote, about)
  if (
    input.expectedReportData !== undefined &&
    !equalBytes(quote.body.reportData, input.expectedReportData)
  ) {
    throw refusal('ReportDataMismatch', 'The quote was made for something else.', {
      ...about,
      field: 'quote.body.reportData',
      metaMessages: [
        `Expected: ${toHex(input.expectedReportData)}`,
        `Actual: ${toHex(quote.body.reportData)}`,
      ],
      remedy: 'Ask for a quote over this very statement and nonce.',
    })
  }
  return image
}

function expectFloor(
  code: RefusalCode,
  what: string,
  actual: number,
  minimum: number,
  about: RefusalDetails,
): void {
  if (actual >= minimum) return
  throw refusal(code, `The ${what} is older than the policy's floor.`, {
    ...about,
    metaMessages: [`Expected: evaluation data number ${minimum} or later`, `Actual: ${actual}`],
    remedy: `Fetch the ${what} with update=early or tcbEvaluationDataNumber=${minimum}.`,
  })
}

function expectRecent(
  policy: QuotePolicy,
  collateral: VerifiedCollateral,
  now: number,
  about: RefusalDetails,
): void {
  if (policy.maximumCollateralAgeDays === null) return
  const oldest = Math.min(
    collateral.tcbInfo.issueDateUnixSeconds,
    collateral.qeIdentity.issueDateUnixSeconds,
    collateral.pckCa.crl.thisUpdateUnixSeconds,
  )
  if (now - oldest <= policy.maximumCollateralAgeDays * secondsPerDay) return
  throw refusal('CollateralTooOld', 'A part of the collateral is older than the policy allows.', {
    ...about,
    metaMessages: [
      `Expected: at most ${policy.maximumCollateralAgeDays} days`,
      `Issued: ${formatIsoTime(oldest)}`,
    ],
    remedy: 'Fetch the collateral again.',
  })
}

function expectStatus(
  policy: QuotePolicy,
  tcb: TcbAppraisal,
  now: number,
  about: RefusalDetails,
): void {
  const graceDays = policy.graceDays.get(tcb.status)
  const metaMessages = [
    `Status: ${tcb.status}`,
    `Advisories: ${tcb.advisoryIds.join(', ') || 'none'}`,
  ]
  const remedy = 'Have the operator update BIOS, microcode and TDX module, then take a new quote.'
  if (graceDays === undefined) {
    throw refusal('TcbStatusNotAllowed', `The policy does not accept ${tcb.status} platforms.`, {
      ...about,
      metaMessages,
      remedy,
    })
  }
  const since = tcb.degradedSinceUnixSeconds
  if (graceDays === null || since === undefined) return
  if (now <= since + graceDays * secondsPerDay) return
  throw refusal('TcbGraceExpired', `The grace for ${tcb.status} platforms is over.`, {
    ...about,
    metaMessages: [
      ...metaMessages,
      `Behind since: ${formatIsoTime(since)}`,
      `Grace: ${graceDays} days`,
    ],
    remedy,
  })
}

function expectPlatform(policy: QuotePolicy, ppid: string, about: RefusalDetails): void {
  const metaMessages = [`PPID: ${ppid}`]
  if (policy.deniedPlatforms.has(ppid)) {
    throw refusal('PlatformDenied', 'The platform is on the deny list.', { ...about, metaMessages })
  }
  if (policy.allowedPlatforms !== 'any' && !policy.allowedPlatforms.has(ppid)) {
    throw refusal('PlatformNotAllowed', 'The platform is not on the allow list.', {
      ...about,
      metaMessages,
    })
  }
}

function approvedImage(
  policy: QuotePolicy,
  td: TdReport,
  about: RefusalDetails,
): string | undefined {
  // All optional bits; reserved ones and DEBUG were refused before.
  const optional = littleEndian(td.tdAttributes) & ~septVeDisable
  if ((optional & ~policy.allowedTdAttributes) !== 0n) {
    throw refusal('TdAttributeNotAllowed', 'The TD has attributes that the policy does not name.', {
      ...about,
      field: 'quote.body.tdAttributes',
      metaMessages: [`Actual: ${toHex(td.tdAttributes)}`],
    })
  }
  const serviceTd = td.mrServiceTd
  if (
    serviceTd !== undefined &&
    !isZero(serviceTd) &&
    !policy.allowedServiceTds.has(bareHex(serviceTd))
  ) {
    throw refusal('ServiceTdNotAllowed', 'A service TD is bound that the policy does not name.', {
      ...about,
      field: 'quote.body.mrServiceTd',
      metaMessages: [`Actual: ${toHex(serviceTd)}`],
    })
  }
  if (policy.images === 'any') return undefined
  const { mrTd, rtmr0, rtmr1, rtmr2, mrConfigId } = td
  for (const [name, value] of Object.entries({ mrTd, rtmr0, rtmr1, rtmr2, mrConfigId })) {
    if (!isZero(value)) continue
    throw refusal('MeasurementZero', `${name} is zero, so it says nothing about the image.`, {
      ...about,
      field: `quote.body.${name}`,
    })
  }
  const version = mrConfigId[0] ?? 0
  if (version < 1 || version > 3 || !isZero(mrConfigId.subarray(33))) {
    throw refusal('MrConfigIdUnknown', 'MRCONFIGID is not of a kind that is known here.', {
      ...about,
      field: 'quote.body.mrConfigId',
      metaMessages: [
        'Expected: version 1, 2 or 3, a 32-byte digest and 15 zero bytes',
        `Actual: ${toHex(mrConfigId)}`,
      ],
    })
  }
  const image = policy.images.get(imageKey([mrTd, rtmr0, rtmr1, rtmr2, mrConfigId]))
  if (image !== undefined) return image
  throw refusal('ImageNotAllowed', 'The image is not on the allow list.', {
    ...about,
    metaMessages: [
      `MRTD: ${toHex(mrTd)}`,
      `RTMR0: ${toHex(rtmr0)}`,
      `RTMR1: ${toHex(rtmr1)}`,
      `RTMR2: ${toHex(rtmr2)}`,
      `MRCONFIGID: ${toHex(mrConfigId)}`,
    ],
  })
}

function approvedEnclave(
  policy: QuotePolicy,
  quote: Quote,
  about: RefusalDetails,
): string | undefined {
  if (policy.enclaves === 'any' || quote.tee !== 'SGX') return undefined
  const { body } = quote
  const mrEnclave = toHex(body.mrEnclave)
  const mrSigner = toHex(body.mrSigner)
  const match = policy.enclaves.find(
    (enclave) =>
      enclave.mrSigner === mrSigner &&
      enclave.isvProdId === body.isvProdId &&
      enclave.minimumIsvSvn <= body.isvSvn &&
      (enclave.mrEnclave === undefined || enclave.mrEnclave === mrEnclave),
  )
  if (match !== undefined) return match.name
  throw refusal('EnclaveNotAllowed', 'The enclave is not on the allow list.', {
    ...about,
    metaMessages: [
      `MRENCLAVE: ${mrEnclave}`,
      `MRSIGNER: ${mrSigner}`,
      `ISVPRODID ${body.isvProdId}, ISVSVN ${body.isvSvn}`,
    ],
  })
}

const septVeDisable = 1n << 28n

function littleEndian(bytes: Uint8Array): bigint {
  let value = 0n
  for (let index = bytes.length - 1; index >= 0; index -= 1) {
    value = (value << 8n) | BigInt(bytes[index] ?? 0)
  }
  return value
}
