import { sigStructure } from '../cose/sigStructure.ts'
import type { DeviceSigner } from '../pack/portableSignatures.ts'
import type { CalibrationCertificate } from './calibrationCertificate.ts'
import {
  encodeCalibrationClaims,
  encodeCalibrationHeader,
  encodeCalibrationMessage,
} from './calibrationEncoding.ts'
import { decodeCalibration } from './decodeCalibration.ts'

/**
 * Signs a certificate, for laboratories' tools and tests.
 *
 * @returns The COSE_Sign1 to hand to a worker.
 * @throws CalibrationFormatError when it is none that a worker could read
 */
export function encodeCalibration(
  certificate: CalibrationCertificate,
  signer: DeviceSigner,
): Uint8Array {
  const protectedBytes = encodeCalibrationHeader(signer.key.algorithm, signer.key.id)
  const payload = encodeCalibrationClaims(certificate)
  const signature = signer.sign(
    sigStructure({ protectedBytes, externalAad: new Uint8Array(), payload }),
  )
  const bytes = encodeCalibrationMessage({ protectedBytes, payload, signature })
  decodeCalibration(bytes)
  return bytes
}
