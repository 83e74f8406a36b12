import { CborReader } from '../cbor/cborReader.ts'
import type { CborMap, CborValue } from '../cbor/cborValue.ts'
import { readMap } from '../cbor/decodeCbor.ts'
import type { DeviceKey } from '../pack/deviceKey.ts'
import type { SignatureVerifier } from '../pack/signatureVerifier.ts'
import { InvalidSign1Error, type Sign1Rule } from './invalidSign1Error.ts'
import { readSign1 } from './readSign1.ts'
import { sigStructure } from './sigStructure.ts'
import { signatureAlgorithmOf } from './signatureAlgorithm.ts'

/** A COSE_Sign1 of any content, as maker statements and CWTs use it. */
export type Sign1 = {
  readonly protectedHeader: CborMap
  readonly unprotectedHeader: CborMap
  /** Content of the protected byte string as sent. */
  readonly protectedBytes: Uint8Array
  readonly payload: Uint8Array
  readonly signature: Uint8Array
}

const maxHeaderDepth = 6
const algorithmLabel = 1
const criticalLabel = 2

/**
 * Decodes a COSE_Sign1 with whatever headers it carries. Packs have a stricter and faster reader of
 * their own, `decodePack`; both find the parts by the same `readSign1`.
 *
 * @param understood - Labels the caller honours, besides 1 to 4: what `crit` may name.
 * @throws {@link InvalidSign1Error}, {@link InvalidCborError}
 */
export function decodeSign1(
  bytes: Uint8Array,
  { understood = [] }: { readonly understood?: readonly (number | string)[] } = {},
): Sign1 {
  const reader = new CborReader(bytes)
  const layout = readSign1(reader)
  reader.expectEnd()
  const protectedBytes = bytes.subarray(layout.protectedStart, layout.protectedEnd)
  // RFC 9052 §3: no bytes stand for an empty map.
  const protectedHeader =
    protectedBytes.length === 0
      ? new Map<CborValue, CborValue>()
      : readHeader(bytes, layout.protectedStart, layout.protectedEnd)
  const unprotectedHeader = readHeader(bytes, layout.unprotectedStart, layout.unprotectedEnd)
  for (const label of protectedHeader.keys()) {
    if (unprotectedHeader.has(label)) {
      throw refusal('header-twice', 'A header stands in both maps.', layout.unprotectedStart)
    }
  }
  requireUnderstood(protectedHeader, unprotectedHeader, understood, layout.protectedStart)
  return {
    protectedHeader,
    unprotectedHeader,
    protectedBytes,
    payload: bytes.subarray(layout.payloadStart, layout.payloadEnd),
    signature: bytes.subarray(layout.signatureStart, layout.signatureEnd),
  }
}

/**
 * Proves that the holder of a key signed a COSE_Sign1. The key fixes the algorithm; the message must
 * name it where the signature covers it.
 *
 * @throws {@link InvalidSign1Error}
 * @see RFC 9052 §4.4
 */
export function verifySign1(
  message: Sign1,
  expected: {
    readonly key: DeviceKey
    readonly verifier: SignatureVerifier
    readonly externalAad?: Uint8Array
  },
): void {
  const identifier = message.protectedHeader.get(algorithmLabel)
  if (identifier === undefined) {
    if (message.unprotectedHeader.has(algorithmLabel)) {
      throw refusal('algorithm-unprotected', 'The algorithm is named outside the signature.')
    }
    throw refusal('algorithm-missing', 'The message names no algorithm.')
  }
  const algorithm = typeof identifier === 'number' ? signatureAlgorithmOf(identifier) : undefined
  if (algorithm === undefined) {
    throw refusal('algorithm-unknown', 'The algorithm is none that a key here can have.')
  }
  if (algorithm !== expected.key.algorithm) {
    throw refusal('other-algorithm', 'The message names another algorithm than the key has.')
  }
  const signedBytes = sigStructure({
    protectedBytes: message.protectedBytes,
    externalAad: expected.externalAad ?? new Uint8Array(),
    payload: message.payload,
  })
  if (!expected.verifier.verify(expected.key, signedBytes, message.signature)) {
    throw refusal('signature', 'The signature does not fit the message and the key.')
  }
}

function readHeader(bytes: Uint8Array, start: number, end: number): CborMap {
  const reader = new CborReader(bytes, start, end)
  const header = readMap(reader, maxHeaderDepth)
  reader.expectEnd()
  for (const label of header.keys()) {
    if (typeof label !== 'number' && typeof label !== 'string') {
      throw refusal('header-type', 'A header label is neither an integer nor a text.', start)
    }
  }
  return header
}

/** RFC 9052 §3.1: `crit` is protected, not empty, and names headers that are there and understood. */
function requireUnderstood(
  protectedHeader: CborMap,
  unprotectedHeader: CborMap,
  understood: readonly (number | string)[],
  offset: number,
): void {
  if (unprotectedHeader.has(criticalLabel)) {
    throw refusal('critical-unprotected', 'crit is not protected.', offset)
  }
  if (!protectedHeader.has(criticalLabel)) return
  const critical: unknown = protectedHeader.get(criticalLabel)
  if (!Array.isArray(critical) || critical.length === 0) {
    throw refusal('critical-malformed', 'crit is not an array of labels.', offset)
  }
  for (const label of critical as readonly unknown[]) {
    if (typeof label !== 'number' && typeof label !== 'string') {
      throw refusal('critical-malformed', 'crit holds something that is no label.', offset)
    }
    const isKnown =
      (typeof label === 'number' && label >= 1 && label <= 4) || understood.includes(label)
    if (!isKnown || !protectedHeader.has(label)) {
      throw refusal('critical-unknown', 'crit names a header that is not understood here.', offset)
    }
  }
}

function refusal(rule: Sign1Rule, message: string, offset?: number): InvalidSign1Error {
  return new InvalidSign1Error(message, { rule, offset })
}
