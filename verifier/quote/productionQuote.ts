import { equalBytes } from '#schemas/bytes.ts'
import {
  type DevelopmentSetting,
  NotForProductionError,
} from '../appraisal/notForProductionError.ts'
import { bearsLocalMark } from '../appraisal/productionPolicy.ts'
import { isZero } from '../appraisal/policy.ts'
import { intelRootCertificate } from '../collateral/intelRootCertificate.ts'
import { InvalidPemError, readPemCertificates } from '../x509/pem.ts'
import type { Quote } from './parseQuote.ts'

/**
 * Whether a worker may take this quote of itself for one of production. It is not verified here,
 * which only others can do to some purpose: this finds a development platform before the worker has
 * signed anything, and says so in plain words.
 *
 * @throws {@link NotForProductionError} `TdxAbsent`, `LocalRoot`, `ForeignRoot`, `TdDebug`,
 *   `MeasurementZero` or `MrConfigIdUnknown`.
 */
export function assertProductionQuote({ body, auth }: Quote): void {
  const fail = (setting: DevelopmentSetting, message: string, remedy: string) =>
    new NotForProductionError(setting, message, { field: 'quote', remedy })
  if (body.kind === 'SGX') {
    throw fail('TdxAbsent', 'The guest agent answers quotes of SGX.', 'Deploy as a TDX guest.')
  }
  const chain = readChain(auth.pckChain)
  if (chain.some(bearsLocalMark)) {
    throw fail(
      'LocalRoot',
      'The quote was minted by a local platform.',
      'Mount the socket of dstack’s own guest agent, not of `plumbline agent`.',
    )
  }
  const root = chain.at(-1)
  if (root === undefined || !equalBytes(root, intelRootCertificate)) {
    throw fail(
      'ForeignRoot',
      'The quote’s certificates do not end at Intel’s root.',
      'Ask the operator of the host for its provisioning.',
    )
  }
  // Byte 0 of TDATTRIBUTES holds the debug flags (Intel TDX Module ABI 1.5, TD_ATTRIBUTES.TUD).
  if (body.tdAttributes[0] !== 0) {
    throw fail('TdDebug', 'The trust domain can be debugged by its host.', 'Start it without.')
  }
  const { mrTd, rtmr0, rtmr1, rtmr2, mrConfigId } = body
  const measurements = { mrTd, rtmr0, rtmr1, rtmr2, mrConfigId }
  for (const [name, value] of Object.entries(measurements)) {
    if (!isZero(value)) continue
    throw fail(
      'MeasurementZero',
      `${name} is zero: the image is not measured.`,
      'Deploy on a host of dstack 0.5.4 or later.',
    )
  }
  if (![1, 2, 3].includes(mrConfigId[0] ?? 0)) {
    throw fail(
      'MrConfigIdUnknown',
      'MRCONFIGID is of no known version.',
      'Deploy on a host of dstack 0.5.4 or later.',
    )
  }
}

/** Empty where there is none: then it does not end at Intel's root either. */
function readChain(pem: Uint8Array): Uint8Array[] {
  try {
    return readPemCertificates(new TextDecoder('latin1').decode(pem), 'PCK chain', 4)
  } catch (cause) {
    if (cause instanceof InvalidPemError) return []
    throw cause
  }
}
