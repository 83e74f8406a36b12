import { type CborReader, major } from '../cbor/cborReader.ts'
import { InvalidSign1Error } from './invalidSign1Error.ts'

/** Where the four parts of a COSE_Sign1 lie in the bytes that carry it. */
export type Sign1Layout = {
  /** Content of the protected byte string, head excluded. */
  readonly protectedStart: number
  readonly protectedEnd: number
  /** The whole unprotected map, head included. */
  readonly unprotectedStart: number
  readonly unprotectedEnd: number
  readonly payloadStart: number
  readonly payloadEnd: number
  readonly signatureStart: number
  readonly signatureEnd: number
}

const sign1Tag = 18
/** Depth of an unprotected map: the map, a list of countersignatures, one of them, its headers. */
const unprotectedDepth = 4

/**
 * Finds the parts of one COSE_Sign1 at the cursor, tagged (18) or untagged, and passes it. Nothing
 * inside the parts is judged yet.
 *
 * @throws {@link InvalidSign1Error} for another structure
 * @throws {@link InvalidCborError} for malformed bytes
 * @see RFC 9052 §4.2
 */
export function readSign1(reader: CborReader): Sign1Layout {
  let at = reader.position
  let kind = reader.readHead()
  if (kind === major.tag) {
    if (reader.argument !== sign1Tag) {
      throw new InvalidSign1Error('The tag is not that of COSE_Sign1.', {
        rule: 'wrong-tag',
        offset: at,
        metaMessages: ['Expected: 18', `Actual: ${reader.argument}`],
      })
    }
    at = reader.position
    kind = reader.readHead()
  }
  if (kind !== major.array || reader.argument !== 4) throw notSign1(at, 'an array of four items')

  const protectedLength = reader.expect(major.bytes, 'the protected header as a byte string')
  const protectedStart = reader.position
  reader.skipBytes(protectedLength)
  const protectedEnd = reader.position

  if (reader.peekMajor() !== major.map) throw notSign1(reader.position, 'the unprotected map')
  const unprotectedStart = reader.position
  reader.skipItem(unprotectedDepth)
  const unprotectedEnd = reader.position

  if (reader.peekMajor() !== major.bytes) {
    throw new InvalidSign1Error('The payload is not in the message.', {
      rule: 'detached-payload',
      offset: reader.position,
      remedy: 'Send the payload as a byte string inside the COSE_Sign1.',
    })
  }
  const payloadLength = reader.expect(major.bytes, 'the payload as a byte string')
  const payloadStart = reader.position
  reader.skipBytes(payloadLength)
  const payloadEnd = reader.position

  const signatureSize = reader.expect(major.bytes, 'the signature as a byte string')
  const signatureStart = reader.position
  reader.skipBytes(signatureSize)
  return {
    protectedStart,
    protectedEnd,
    unprotectedStart,
    unprotectedEnd,
    payloadStart,
    payloadEnd,
    signatureStart,
    signatureEnd: reader.position,
  }
}

function notSign1(offset: number, expected: string): InvalidSign1Error {
  return new InvalidSign1Error('The structure is not that of COSE_Sign1.', {
    rule: 'not-sign1',
    offset,
    metaMessages: [`Expected: ${expected}`],
  })
}
