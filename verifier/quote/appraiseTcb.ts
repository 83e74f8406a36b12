import { equalBytes, toHex } from '#schemas/bytes.ts'
import type { TcbAppraisal } from '../appraisal/appraisal.ts'
import { refusal, type RefusalDetails } from '../appraisal/errors.ts'
import type { IsvLevel, TcbInfo, TcbLevel, TdxModuleIdentity } from '../collateral/tcbInfo.ts'
import { convergeStatus } from '../collateral/tcbStatus.ts'
import type { VerifiedCollateral } from '../collateral/verifyCollateral.ts'
import type { SgxExtension } from '../x509/sgxExtension.ts'
import type { Quote, TdReport } from './parseQuote.ts'

/**
 * Rules 270 to 299: modes of operation that are never acceptable, the identity of the TDX module, and
 * the TCB level of platform, module and quoting enclave, converged into one status.
 *
 * @see Intel SGX DCAP QuoteVerificationLibrary, `QuoteVerifier` and `TcbLevelCheck`
 * @throws {@link PlatformUntrustedError}
 */
export function appraiseTcb(
  quote: Quote,
  platform: SgxExtension,
  collateral: VerifiedCollateral,
): TcbAppraisal {
  const { tcbInfo, qeIdentity } = collateral
  const about = {
    fmspc: collateral.fmspc,
    evaluationDataNumber: tcbInfo.evaluationDataNumber,
  }
  let module: TdxModuleIdentity | undefined
  if (quote.tee === 'SGX') {
    if (((quote.body.attributes[0] ?? 0) & sgxDebug) !== 0) {
      throw refusal('EnclaveDebug', 'The enclave runs in debug mode.', {
        ...about,
        field: 'quote.body.attributes',
      })
    }
  } else {
    expectSafeAttributes(quote.body.tdAttributes, about)
    module = identifyModule(quote.body, tcbInfo, about)
  }

  const td = quote.tee === 'TDX' ? quote.body : undefined
  const at = tcbInfo.levels.findIndex((level) => reaches(level, platform, td))
  const level = tcbInfo.levels[at]
  if (level === undefined) {
    throw refusal('TcbLevelNotFound', 'The platform is below every TCB level that Intel names.', {
      ...about,
      metaMessages: [
        `Component SVNs: ${toHex(platform.componentSvns)}`,
        `PCESVN: ${platform.pceSvn}`,
        ...(td === undefined ? [] : [`TEE TCB SVNs: ${toHex(td.teeTcbSvn)}`]),
      ],
      remedy: 'Update BIOS and microcode, provision the platform again and take a new quote.',
    })
  }
  const parts: Matched[] = []
  if (td !== undefined && module !== undefined) {
    const isvSvn = td.teeTcbSvn[0] ?? 0
    parts.push(matchIsv(module.levels, isvSvn, 'TdxModuleTcbLevelNotFound', 'TDX module', about))
  }
  const qe = quote.auth.qeReport
  parts.push(matchIsv(qeIdentity.levels, qe.isvSvn, 'QeTcbLevelNotFound', 'quoting enclave', about))

  let status = level.status
  for (const part of parts) status = convergeStatus(status, part.level.status)
  if (status === 'Revoked') {
    throw refusal('TcbRevoked', 'Intel has revoked the TCB of this platform.', {
      ...about,
      metaMessages: [`Advisories: ${level.advisoryIds.join(', ') || 'none'}`],
    })
  }
  const advisoryIds = new Set(level.advisoryIds)
  for (const part of parts) for (const id of part.level.advisoryIds) advisoryIds.add(id)
  const platformPart = { level, above: tcbInfo.levels[at - 1] }
  const behind = [platformPart, ...parts].filter((part) => part.level.status !== 'UpToDate')
  return {
    status,
    advisoryIds: [...advisoryIds],
    evaluationDataNumber: tcbInfo.evaluationDataNumber,
    qeEvaluationDataNumber: qeIdentity.evaluationDataNumber,
    dateUnixSeconds: level.dateUnixSeconds,
    degradedSinceUnixSeconds:
      behind.length === 0
        ? undefined
        : Math.min(...behind.map((part) => (part.above ?? part.level).dateUnixSeconds)),
  }
}

type Matched = { readonly level: IsvLevel; readonly above: IsvLevel | undefined }

const sgxDebug = 0x02

/**
 * Bits of TDATTRIBUTES that Intel defines, byte by byte: TUD (all of it debugging, so none), then
 * LASS, SEPT_VE_DISABLE, MIGRATABLE, PKS and KL in byte 3, TPA and PERFMON in byte 7.
 */
const definedTdAttributes = [0x00, 0x00, 0x00, 0xf8, 0x00, 0x00, 0x00, 0xc0]
/** Bit 28: without it the host can inject #VE into the guest by removing its pages. */
const septVeDisableByte3 = 0x10

function expectSafeAttributes(attributes: Uint8Array, about: RefusalDetails): void {
  const details = {
    ...about,
    field: 'quote.body.tdAttributes',
    metaMessages: [`Actual: ${toHex(attributes)}`],
  }
  // Byte 0 is the group "TD under debug": any bit means that the host may look inside.
  if (attributes[0] !== 0) {
    throw refusal('TdDebug', 'The TD runs in a debug or profiling mode.', details)
  }
  if (attributes.some((byte, at) => (byte & ~(definedTdAttributes[at] ?? 0)) !== 0)) {
    throw refusal('TdAttributesReserved', 'The TD has reserved attribute bits set.', details)
  }
  if (((attributes[3] ?? 0) & septVeDisableByte3) === 0) {
    throw refusal('TdSeptVeDisableClear', 'The TD runs without SEPT_VE_DISABLE.', details)
  }
}

/**
 * The TDX module must be one that Intel signed: by its major version (TEE_TCB_SVN[1]) in
 * `tdxModuleIdentities`, or by `tdxModule` for the very first, which names no version.
 */
function identifyModule(
  td: TdReport,
  tcbInfo: TcbInfo,
  about: RefusalDetails,
): TdxModuleIdentity | undefined {
  const major = td.teeTcbSvn[1] ?? 0
  const id = `TDX_${toHex(Uint8Array.of(major)).slice(2).toUpperCase()}`
  const identity =
    major === 0
      ? undefined
      : tcbInfo.tdxModuleIdentities.find((candidate) => candidate.id.toUpperCase() === id)
  const module = major === 0 ? tcbInfo.tdxModule : identity
  if (module === undefined) {
    throw refusal('TdxModuleUnknown', `Intel names no TDX module ${id}.`, {
      ...about,
      field: 'quote.body.teeTcbSvn',
      metaMessages: [
        `Known: ${tcbInfo.tdxModuleIdentities.map((known) => known.id).join(', ') || 'none'}`,
      ],
      remedy: 'Fetch newer TCB info; if it does not name the module either, do not trust it.',
    })
  }
  if (!equalBytes(td.mrSignerSeam, module.mrSigner)) {
    throw refusal('TdxModuleSignerMismatch', 'The TDX module is not signed by Intel.', {
      ...about,
      field: 'quote.body.mrSignerSeam',
      metaMessages: [`Expected: ${toHex(module.mrSigner)}`, `Actual: ${toHex(td.mrSignerSeam)}`],
    })
  }
  if (!equalUnderMask(td.seamAttributes, module.attributes, module.attributesMask)) {
    throw refusal('TdxModuleAttributesMismatch', 'The TDX module runs with other attributes.', {
      ...about,
      field: 'quote.body.seamAttributes',
      metaMessages: [
        `Expected: ${toHex(module.attributes)}`,
        `Actual: ${toHex(td.seamAttributes)}`,
      ],
    })
  }
  return identity
}

/**
 * Whether a platform is at least at this level, component by component. From module 1.5 on
 * (TEE_TCB_SVN[1] > 0) the first two TDX components are the module's version and are judged by the
 * module's identity instead.
 */
function reaches(level: TcbLevel, platform: SgxExtension, td: TdReport | undefined): boolean {
  for (let index = 0; index < 16; index += 1) {
    if ((platform.componentSvns[index] ?? 0) < (level.sgxComponents[index] ?? 0)) return false
  }
  if (platform.pceSvn < level.pceSvn) return false
  if (td === undefined) return true
  if (level.tdxComponents === undefined) return false
  for (let index = (td.teeTcbSvn[1] ?? 0) > 0 ? 2 : 0; index < 16; index += 1) {
    if ((td.teeTcbSvn[index] ?? 0) < (level.tdxComponents[index] ?? 0)) return false
  }
  return true
}

function matchIsv(
  levels: readonly IsvLevel[],
  isvSvn: number,
  code: 'TdxModuleTcbLevelNotFound' | 'QeTcbLevelNotFound',
  what: string,
  about: RefusalDetails,
): Matched {
  const at = levels.findIndex((candidate) => candidate.isvSvn <= isvSvn)
  const level = levels[at]
  if (level !== undefined) return { level, above: levels[at - 1] }
  throw refusal(code, `The ${what} is below every TCB level that Intel names.`, {
    ...about,
    metaMessages: [`SVN: ${isvSvn}`],
    remedy: `Update the ${what} and take a new quote.`,
  })
}

/** `actual & mask == expected & mask`, byte by byte. */
export function equalUnderMask(
  actual: Uint8Array,
  expected: Uint8Array,
  mask: Uint8Array,
): boolean {
  return mask.every((bits, at) => ((actual[at] ?? 0) & bits) === ((expected[at] ?? 0) & bits))
}
