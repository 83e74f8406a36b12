import { keccak_256 } from '@noble/hashes/sha3'
import { concatBytes, fromHex } from '#schemas/bytes.ts'
import { readPckCertificate } from '#verifier/quote/packQuoteEvidence.ts'
import type { Quote } from '#verifier/quote/parseQuote.ts'
import { extensionOid, findExtension, parseCertificate } from '#verifier/x509/certificate.ts'
import { parseSgxExtension } from '#verifier/x509/sgxExtension.ts'

/**
 * What stays the same from quote to quote of one platform, in the 224 bytes in which evidence carries it
 * once `rememberPlatform` has verified it. The table stands in `TdxQuote.sol`.
 *
 * @throws {@link InvalidDerError}, {@link QuoteNotGenuineError}
 */
export function packPlatformFacts({ auth }: Pick<Quote, 'auth'>): Uint8Array {
  const pck = parseCertificate(readPckCertificate({ auth }), 'The PCK certificate')
  const platform = parseSgxExtension(findExtension(pck, extensionOid.sgx) ?? new Uint8Array())
  const { qeReport } = auth
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
    qeReport.mrSigner,
    qeReport.attributes,
    // As it stands in the report, which is little-endian.
    bigEndian(qeReport.miscSelect, 4).toReversed(),
    bigEndian(qeReport.isvProdId, 2),
    bigEndian(qeReport.isvSvn, 2),
  )
}

/** A whole number in so many bytes; what lies before 1970 counts as zero, as on chain. */
function bigEndian(value: number, length: number): Uint8Array {
  const digits = Math.max(value, 0).toString(16)
  return fromHex(digits.padStart(length * 2, '0'), 'number', length)
}
