import { type Hex, toHex } from '#schemas/bytes.ts'
import { keccak } from '#schemas/keccak.ts'
import type { Quote } from './parseQuote.ts'

/** Raised by {@link imageId} for quotes of something other than a trust domain. */
export class NoImageError extends TypeError {}

/** The measured fields that make an image; 48 bytes each, the last two 8. */
export type ImageMeasurements = Readonly<
  Record<'mrTd' | 'rtmr0' | 'rtmr1' | 'rtmr2' | 'mrConfigId' | 'tdAttributes' | 'xfam', Uint8Array>
>

/**
 * What the on-chain allow-list knows an image by:
 * `keccak256(MRTD ‖ RTMR0 ‖ RTMR1 ‖ RTMR2 ‖ MRCONFIGID ‖ TDATTRIBUTES ‖ XFAM)`.
 * Firmware, kernel, command line, file system, compose file and the TD's mode of operation: whatever
 * changes any of them is another image. RTMR3 is left out: it differs from one start to the next.
 */
export function imageIdOf(measurements: ImageMeasurements): Hex {
  const { mrTd, rtmr0, rtmr1, rtmr2, mrConfigId, tdAttributes, xfam } = measurements
  return toHex(keccak(mrTd, rtmr0, rtmr1, rtmr2, mrConfigId, tdAttributes, xfam))
}

/** {@link imageIdOf} a quote's body. */
export function imageId({ body }: Quote): Hex {
  if (body.kind === 'SGX') throw new NoImageError('An SGX quote names an enclave, not an image.')
  return imageIdOf(body)
}
