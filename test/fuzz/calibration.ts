import { equalBytes } from '#schemas/bytes.ts'
import {
  encodeCalibrationClaims,
  encodeCalibrationHeader,
  encodeCalibrationMessage,
} from '#schemas/calibration/calibrationEncoding.ts'
import { decodeCalibration, verifyCalibration } from '#schemas/calibration/decodeCalibration.ts'
import { encodeCalibration } from '#schemas/calibration/encodeCalibration.ts'
import { FormatRefusedError } from '#schemas/cbor/formatRefusedError.ts'
import { createNodeSignatures } from '#schemas/adapters/nodeSignatures.ts'
import { createDeviceSigner } from '#schemas/pack/portableSignatures.ts'
import { type Fuzzer, fuzzMain } from './harness.ts'
import { mutateCbor } from './mutateCbor.ts'

const signer = createDeviceSigner('ES256', new Uint8Array(32).fill(7))
const verifier = createNodeSignatures({ capacity: 1 })
const samples = [undefined, '2026-1'].map((replaces) =>
  encodeCalibration(
    {
      laboratory: 'Laboratory',
      number: '2026-2',
      device: `0x${'d0'.repeat(32)}`,
      series: 'temperature',
      unit: 'Cel',
      issuedMs: 1_800_000_000_000,
      validFromMs: 1_800_000_000_000,
      validUntilMs: 1_831_536_000_000,
      document: replaces === undefined ? undefined : `0x${'5a'.repeat(32)}`,
      replaces,
    },
    signer,
  ),
)

/**
 * A mutated certificate is refused by a typed error, or it decodes, encodes to the same bytes, and
 * then fails by its signature unless nothing that was signed has changed.
 */
export const calibrationFuzzer: Fuzzer = {
  name: 'calibration',
  attempt(random) {
    const sample = random.pick(samples)
    const bytes = mutateCbor(sample, random)
    let decoded: ReturnType<typeof decodeCalibration>
    try {
      decoded = decodeCalibration(bytes)
    } catch (error) {
      if (error instanceof FormatRefusedError) return false
      throw error
    }
    const again = encodeCalibrationMessage({
      protectedBytes: encodeCalibrationHeader(decoded.algorithm, decoded.laboratoryKey),
      payload: encodeCalibrationClaims(decoded.certificate),
      signature: decoded.signature,
    })
    if (!equalBytes(again, bytes)) throw new Error('A certificate with two encodings.')
    try {
      verifyCalibration(decoded, { key: signer.key, verifier })
    } catch (error) {
      if (!(error instanceof FormatRefusedError)) throw error
      return true
    }
    const { digest } = decodeCalibration(sample)
    if (decoded.digest !== digest) throw new Error('A forgery verifies.')
    return true
  },
}

if (import.meta.main) fuzzMain([calibrationFuzzer])
