import { PacketV1Codec, calculateGuid } from '@layerzerolabs/lz-v2-utilities'
import { concatBytes, fromHex, toHex } from '#schemas/bytes.ts'
import type { Hex } from '#schemas/bytes.ts'
import { keccak } from '#schemas/keccak.ts'
import { InvalidPacketError } from './errors.ts'

/** A line of messages from one contract to one other; each message on it has its number. */
export type Path = {
  readonly srcEid: number
  readonly sender: Hex
  readonly dstEid: number
  readonly receiver: Hex
}

export type Packet = Path & {
  readonly nonce: bigint
  readonly guid: Hex
  readonly message: Hex
}

const packetVersion = 1
/** 81 = version 1 + nonce 8 + source 4 + sender 32 + destination 4 + receiver 32. */
const headerLength = 81

const maxNonce = 2n ** 64n - 1n

/**
 * An address in the 32 bytes that LayerZero has for it. Its library would read digits without `0x` as
 * base58 and answer with another address.
 *
 * @throws {@link InvalidPacketError}
 */
export function addressWord(address: Hex): Hex {
  if (!/^0x[0-9a-fA-F]{40}$/.test(address)) {
    throw new InvalidPacketError('An address of a path has 20 bytes of hex behind 0x.', {
      field: 'address',
      metaMessages: [`Actual: ${address}`],
    })
  }
  return `0x${address.slice(2).toLowerCase().padStart(64, '0')}`
}

function addressIn(word: string, field: string): Hex {
  if (!/^0x0{24}[0-9a-f]{40}$/.test(word)) {
    throw new InvalidPacketError('A packet names a place that is no address of an EVM chain.', {
      field,
      metaMessages: [`Actual: ${word}`],
    })
  }
  return `0x${word.slice(26)}`
}

function checkPath({ srcEid, sender, dstEid, receiver }: Path, nonce: bigint): void {
  for (const eid of [srcEid, dstEid]) {
    if (!Number.isInteger(eid) || eid < 1 || eid > 0xffff_ffff) {
      throw new InvalidPacketError('An endpoint id is out of range.', {
        field: 'eid',
        metaMessages: [`Actual: ${eid}`],
      })
    }
  }
  addressWord(sender)
  addressWord(receiver)
  if (nonce < 1n || nonce > maxNonce) {
    throw new InvalidPacketError('The number of a message on its path starts at 1.', {
      field: 'nonce',
      metaMessages: [`Actual: ${nonce}`],
    })
  }
}

/**
 * The packet that carries a message under a number of a path: everything about it follows from these.
 *
 * @throws {@link InvalidPacketError}
 */
export function createPacket(path: Path, nonce: bigint, message: Hex): Packet {
  checkPath(path, nonce)
  const { srcEid, sender, dstEid, receiver } = path
  const guid = calculateGuid({
    version: packetVersion,
    nonce: nonce.toString(),
    srcEid,
    sender: addressWord(sender),
    dstEid,
    receiver: addressWord(receiver),
  }) as Hex
  return { srcEid, sender, dstEid, receiver, nonce, guid, message }
}

/** What verifiers vouch for: keccak of guid and message. */
export function payloadHash({ guid, message }: Pick<Packet, 'guid' | 'message'>): Hex {
  return toHex(keccak(concatBytes(fromHex(guid, 'guid', 32), fromHex(message, 'message'))))
}

export function encodePacket(packet: Packet): Hex {
  checkPath(packet, packet.nonce)
  return PacketV1Codec.encode({
    version: packetVersion,
    nonce: packet.nonce.toString(),
    srcEid: packet.srcEid,
    sender: addressWord(packet.sender),
    dstEid: packet.dstEid,
    receiver: addressWord(packet.receiver),
    guid: packet.guid,
    message: packet.message,
    payload: `${packet.guid}${packet.message.slice(2)}`,
  }) as Hex
}

/** First 81 bytes of an encoded packet: what a verifier network vouches for beside the payload's hash. */
export const packetHeader = (encoded: Hex): Hex => encoded.slice(0, 2 + headerLength * 2) as Hex

/**
 * Reads an encoded packet, as an endpoint's `PacketSent` carries it.
 *
 * @throws {@link InvalidPacketError} unless its guid is the one that its path and number give
 */
export function decodePacket(encoded: Hex): Packet {
  const bytes = fromHex(encoded, 'packet')
  // 113 = header 81 + guid 32.
  if (bytes.length < headerLength + 32 || bytes[0] !== packetVersion) {
    throw new InvalidPacketError('These bytes are no packet of version 1.', {
      field: 'packet',
      metaMessages: [`Length: ${bytes.length} bytes`, `Version: ${bytes[0] ?? 'none'}`],
    })
  }
  const codec = PacketV1Codec.from(encoded)
  const path: Path = {
    srcEid: codec.srcEid(),
    sender: addressIn(codec.sender(), 'sender'),
    dstEid: codec.dstEid(),
    receiver: addressIn(codec.receiver(), 'receiver'),
  }
  const packet = createPacket(path, BigInt(codec.nonce()), codec.message() as Hex)
  if (packet.guid !== codec.guid()) {
    throw new InvalidPacketError('A packet’s guid is not the one of its path and number.', {
      field: 'guid',
      metaMessages: [`Expected: ${packet.guid}`, `Actual: ${codec.guid()}`],
    })
  }
  if (encodePacket(packet) !== encoded) {
    throw new InvalidPacketError('A packet is not what it was read as.', { field: 'packet' })
  }
  return packet
}
