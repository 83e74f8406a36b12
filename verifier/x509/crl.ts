import {
  expectAlgorithm,
  readExtensions,
  readSerial,
  readSignature,
  readTime,
} from './certificate.ts'
import { DerReader, derTag, InvalidDerError, smallUnsigned } from './der.ts'

/**
 * A complete X.509 revocation list of version 2, signed with ECDSA P-256 and SHA-256.
 *
 * @see RFC 5280 §5.1
 */
export type Crl = {
  /** The TBSCertList, which `signature` signs. */
  readonly signedBytes: Uint8Array
  readonly issuer: Uint8Array
  readonly thisUpdateUnixSeconds: number
  readonly nextUpdateUnixSeconds: number
  /** Serial numbers as {@link Certificate.serial} writes them. */
  readonly revokedSerials: ReadonlySet<string>
  readonly signature: Uint8Array
}

/** Intel's longest list so far has 57 entries in under 3 kB. */
const maximumCrlBytes = 65_535

/** Delta and partial lists would need rules of their own; a list with a critical extension is refused. */
const crlNumberOid = '2.5.29.20'
const authorityKeyIdentifierOid = '2.5.29.35'

/**
 * Reads a revocation list. nextUpdate is demanded (RFC 5280 §5.1.2.5): a list that never expires
 * could be withheld for ever.
 *
 * @throws {@link InvalidDerError}
 */
export function parseCrl(der: Uint8Array, what: string): Crl {
  if (der.length > maximumCrlBytes) throw new InvalidDerError(`${what} is too large.`)
  const outer = new DerReader(der, what)
  const list = outer.enter(derTag.sequence)
  outer.finish()
  const signedBytes = list.readWhole(derTag.sequence)
  expectAlgorithm(list)
  const signature = readSignature(list.read(derTag.bitString), what)
  list.finish()

  const frame = new DerReader(signedBytes, what)
  const fields = frame.enter(derTag.sequence)
  if (smallUnsigned(fields.read(derTag.integer), what) !== 1) fields.fail('is not of version 2')
  expectAlgorithm(fields)
  const issuer = fields.readWhole(derTag.sequence)
  const thisUpdateUnixSeconds = readTime(fields)
  const nextUpdateUnixSeconds = readTime(fields)
  const revokedSerials = new Set<string>()
  if (fields.nextIs(derTag.sequence)) {
    const entries = fields.enter(derTag.sequence)
    if (entries.isDone) fields.fail('writes an empty list of entries')
    while (!entries.isDone) {
      const entry = entries.enter(derTag.sequence)
      revokedSerials.add(readSerial(entry.read(derTag.integer), what))
      readTime(entry)
      // Reason codes bear on nothing here: every listed serial is revoked, "on hold" included.
      if (entry.nextIs(derTag.sequence)) entry.read(derTag.sequence)
      entry.finish()
    }
  }
  const extensionFrame = fields.enter(0xa0)
  for (const extension of readExtensions(extensionFrame.enter(derTag.sequence))) {
    const isKnown = extension.oid === crlNumberOid || extension.oid === authorityKeyIdentifierOid
    if (!isKnown || extension.isCritical) {
      fields.fail(`has extension ${extension.oid}, which a complete list does not carry`)
    }
  }
  extensionFrame.finish()
  fields.finish()
  return {
    signedBytes,
    issuer,
    thisUpdateUnixSeconds,
    nextUpdateUnixSeconds,
    revokedSerials,
    signature,
  }
}
