import { type WordField, abiWords, readAbiWords } from './abiWords.ts'
import { type Batch, batchStructure } from './batch.ts'
import { type Hex, concatBytes, fromHex, toHex } from './bytes.ts'
import { BaseError } from './errors.ts'
import { recoverSigner } from './signatures.ts'
import { defineStructure, hashStructure, signingDigest } from './typedData.ts'

/**
 * What travels between chains by a bridge: the TypeScript twin of
 * `contracts/crosschain/CrosschainMessage.sol`. Version, kind, body; every length is exact.
 */

/** Raised when bytes are not a message that a spoke would take. */
export class InvalidMessageError extends BaseError {
  override readonly name = 'InvalidMessageError'
}

/** What the registry of the hub holds of a key. */
export type Registration = {
  readonly signer: Hex
  readonly stream: Hex
  readonly imageId: Hex
  /** Platform that made the quote, 16 bytes. */
  readonly ppid: Hex
  /** Unix seconds of the last quote, on the hub's clock. */
  readonly attestedAt: bigint
  readonly expiresAt: bigint
}

export type CrosschainMessage =
  | { readonly kind: 'batch'; readonly batch: Batch; readonly signature: Hex }
  | {
      readonly kind: 'registration'
      readonly registration: Registration
      readonly endorsements: readonly Hex[]
    }
  | { readonly kind: 'revocation'; readonly signers: readonly Hex[] }

/** Second byte of a message, and LayerZero's message type on the hub. */
export const messageKinds = { batch: 1, registration: 2, revocation: 3 } as const

export const maxEndorsements = 16
export const maxRevocations = 64

const version = 1
const signatureLength = 65
/** 2 = version 1 + kind 1. */
const headerLength = 2

const registrationFields: readonly WordField[] = [
  { name: 'signer', type: 'address' },
  { name: 'stream', type: 'bytes32' },
  { name: 'imageId', type: 'bytes32' },
  { name: 'ppid', type: 'bytes16' },
  { name: 'attestedAt', type: 'uint64' },
  { name: 'expiresAt', type: 'uint64' },
]

export const endorsementStructure = defineStructure('Endorsement', [
  { name: 'hubChainId', type: 'uint256' },
  { name: 'hubRegistry', type: 'address' },
  ...registrationFields,
])

/** Where a registration stands: the endorser has read it there. */
export type Hub = { readonly chainId: bigint; readonly registry: Hex }

/** What an endorser signs. A fact about the hub: one signature holds on every spoke. */
export function endorsementDigest(hub: Hub, registration: Registration): Hex {
  const values = { hubChainId: hub.chainId, hubRegistry: hub.registry, ...registration }
  return signingDigest(fromHex(hashStructure(endorsementStructure, values), 'endorsement', 32))
}

/**
 * Endorsements as a spoke wants them: by ascending address, each endorser once.
 *
 * @throws {@link InvalidSignatureError} for one that leads to no signer
 */
export function orderEndorsements(
  hub: Hub,
  registration: Registration,
  endorsements: readonly Hex[],
): { readonly endorser: Hex; readonly signature: Hex }[] {
  const digest = endorsementDigest(hub, registration)
  const byEndorser = new Map(
    endorsements.map((signature) => [recoverSigner(digest, signature), signature]),
  )
  return [...byEndorser]
    .map(([endorser, signature]) => ({ endorser, signature }))
    .toSorted((left, right) => (left.endorser < right.endorser ? -1 : 1))
}

function lengthError(length: number): InvalidMessageError {
  return new InvalidMessageError('A message between chains has the wrong length.', {
    field: 'message',
    metaMessages: [`Actual: ${length} bytes`],
  })
}

function countOf(length: number, partLength: number, maximum: number): number {
  const count = length / partLength
  if (!Number.isInteger(count) || count < 1 || count > maximum) throw lengthError(length)
  return count
}

/** @throws {@link InvalidMessageError} | {@link AbiRangeError} | {@link InvalidHexError} */
export function encodeMessage(message: CrosschainMessage): Hex {
  const header = new Uint8Array([version, messageKinds[message.kind]])
  switch (message.kind) {
    case 'batch':
      return toHex(
        concatBytes(
          header,
          abiWords(batchStructure.fields, message.batch),
          fromHex(message.signature, 'signature', signatureLength),
        ),
      )
    case 'registration': {
      const parts = message.endorsements.map((one) => fromHex(one, 'endorsement', signatureLength))
      countOf(parts.length * signatureLength, signatureLength, maxEndorsements)
      return toHex(
        concatBytes(header, abiWords(registrationFields, message.registration), ...parts),
      )
    }
    case 'revocation': {
      const parts = message.signers.map((signer) => fromHex(signer, 'signer', 20))
      countOf(parts.length * 20, 20, maxRevocations)
      return toHex(concatBytes(header, ...parts))
    }
  }
}

/** Cuts bytes into parts of one length. */
function partsOf(bytes: Uint8Array, partLength: number, maximum: number): Hex[] {
  const count = countOf(bytes.length, partLength, maximum)
  return Array.from({ length: count }, (_, at) =>
    toHex(bytes.subarray(at * partLength, (at + 1) * partLength)),
  )
}

/**
 * Reads a message as a spoke would.
 *
 * @throws {@link InvalidMessageError} | {@link AbiRangeError} for what a spoke would refuse
 */
export function decodeMessage(message: Hex): CrosschainMessage {
  const bytes = fromHex(message, 'message')
  if (bytes.length < headerLength) throw lengthError(bytes.length)
  if (bytes[0] !== version) {
    throw new InvalidMessageError('A message between chains is of another version.', {
      field: 'message.version',
      metaMessages: [`Expected: ${version}`, `Actual: ${bytes[0]}`],
    })
  }
  const body = bytes.subarray(headerLength)
  const kind = bytes[1]
  if (kind === messageKinds.batch) {
    const batchLength = batchStructure.fields.length * 32
    if (body.length !== batchLength + signatureLength) throw lengthError(bytes.length)
    const values = readAbiWords(batchStructure.fields, body.subarray(0, batchLength), 'batch')
    const batch = {
      ...values,
      reportCount: Number(values['reportCount']),
      rosterCount: Number(values['rosterCount']),
    } as unknown as Batch
    return { kind: 'batch', batch, signature: toHex(body.subarray(batchLength)) }
  }
  if (kind === messageKinds.registration) {
    const length = registrationFields.length * 32
    if (body.length < length) throw lengthError(bytes.length)
    const values = readAbiWords(registrationFields, body.subarray(0, length), 'registration')
    return {
      kind: 'registration',
      registration: values as unknown as Registration,
      endorsements: partsOf(body.subarray(length), signatureLength, maxEndorsements),
    }
  }
  if (kind === messageKinds.revocation) {
    return { kind: 'revocation', signers: partsOf(body, 20, maxRevocations) }
  }
  throw new InvalidMessageError('A message between chains is of an unknown kind.', {
    field: 'message.kind',
    metaMessages: [`Actual: ${kind}`],
  })
}
