import { keccak_256 } from '@noble/hashes/sha3'
import { concatBytes, fromHex } from '#schemas/bytes.ts'
import { extensionOid, findExtension, parseCertificate } from '#verifier/x509/certificate.ts'
import { parseSgxExtension } from '#verifier/x509/sgxExtension.ts'

/**
 * What a PCK certificate says, in the 168 bytes in which evidence carries it once `rememberPck` has
 * verified the certificate: x 32, y 32, Keccak-256 of the issuer's name 32, serial 20, notBefore 5,
 * notAfter 5, PPID 16, component SVNs 16, PCESVN 2, PCEID 2, FMSPC 6.
 *
 * @param certificate - DER.
 * @throws {@link InvalidDerError}
 */
export function packPckFacts(certificate: Uint8Array): Uint8Array {
  const pck = parseCertificate(certificate, 'The PCK certificate')
  const platform = parseSgxExtension(findExtension(pck, extensionOid.sgx) ?? new Uint8Array())
  return concatBytes(
    pck.publicKey,
    keccak_256(pck.issuer),
    fromHex(pck.serial.padStart(40, '0'), 'serial', 20),
    bigEndian(pck.notBeforeUnixSeconds, 5),
    bigEndian(pck.notAfterUnixSeconds, 5),
    platform.ppid,
    platform.componentSvns,
    bigEndian(platform.pceSvn, 2),
    platform.pceId,
    platform.fmspc,
  )
}

/** A whole number in so many bytes; what lies before 1970 counts as zero, as on chain. */
function bigEndian(value: number, length: number): Uint8Array {
  const digits = Math.max(value, 0).toString(16)
  return fromHex(digits.padStart(length * 2, '0'), 'number', length)
}
