import { crc32 } from 'node:zlib'

/**
 * A frame is what one group commit writes: `length (4) ‖ CRC-32 of the rest (4) ‖ number (8) ‖ body`,
 * little endian. It is whole or it is nothing: whatever shares a frame became durable together.
 */
export const frameHeaderBytes = 4 + 4 + 8

/** Larger than any group of records may grow; a length above it is damage, not a frame. */
export const maxFrameBodyBytes = 64 * 1024 * 1024

/** Writes the header of a frame whose body stands behind it already. */
export function closeFrame(frame: Uint8Array, number: bigint): void {
  const view = new DataView(frame.buffer, frame.byteOffset, frame.length)
  view.setUint32(0, frame.length - frameHeaderBytes, true)
  view.setBigUint64(8, number, true)
  view.setUint32(4, crc32(frame.subarray(8)), true)
}

/** A frame read back, or the reason why the bytes are none. */
export type FrameReading =
  | {
      readonly kind: 'frame'
      readonly number: bigint
      readonly body: Uint8Array
      readonly end: number
    }
  | { readonly kind: 'end' }
  | { readonly kind: 'broken'; readonly problem: string; readonly claimedEnd: number }

/** Reads the frame at `offset`; never throws, since a torn tail is an ordinary thing to find. */
export function readFrame(bytes: Uint8Array, offset: number): FrameReading {
  if (offset === bytes.length) return { kind: 'end' }
  if (bytes.length - offset < frameHeaderBytes) {
    return { kind: 'broken', problem: 'the frame header is cut off', claimedEnd: bytes.length }
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset + offset)
  const length = view.getUint32(0, true)
  const end = offset + frameHeaderBytes + length
  if (length > maxFrameBodyBytes) {
    return { kind: 'broken', problem: 'the frame length is impossible', claimedEnd: bytes.length }
  }
  if (end > bytes.length) {
    return { kind: 'broken', problem: 'the frame is cut off', claimedEnd: bytes.length }
  }
  if (crc32(bytes.subarray(offset + 8, end)) !== view.getUint32(4, true)) {
    return { kind: 'broken', problem: 'the checksum does not match', claimedEnd: end }
  }
  return {
    kind: 'frame',
    number: view.getBigUint64(8, true),
    body: bytes.subarray(offset + frameHeaderBytes, end),
    end,
  }
}

/** Size of a segment's header. 64 = magic 8 + seal id 4 + stream 32 + first frame's number 8 + reserve 12 */
export const segmentHeaderBytes = 64

/** Where the last whole frame of a segment's bytes ends. */
export function wholeFrames(bytes: Uint8Array): number {
  let end = Math.min(segmentHeaderBytes, bytes.length)
  for (;;) {
    const reading = readFrame(bytes, end)
    if (reading.kind !== 'frame') return end
    end = reading.end
  }
}

/** Records inside a frame: `length (4) ‖ bytes`, one after the other. */
export const recordHeaderBytes = 4

/** The records of an opened frame body with their offsets, or `undefined` when they do not add up. */
export function splitRecords(
  body: Uint8Array,
): { readonly at: number; readonly record: Uint8Array }[] | undefined {
  const records: { at: number; record: Uint8Array }[] = []
  const view = new DataView(body.buffer, body.byteOffset, body.length)
  let at = 0
  while (at < body.length) {
    if (body.length - at < recordHeaderBytes) return undefined
    const end = at + recordHeaderBytes + view.getUint32(at, true)
    if (end > body.length) return undefined
    records.push({ at, record: body.subarray(at + recordHeaderBytes, end) })
    at = end
  }
  return records
}
