import { type Hex, fromHex } from '#schemas/bytes.ts'

/**
 * Which of a fleet's partitions a subject belongs to: the first eight bytes of its id, modulo their
 * number. By subject, not by device: a report leans on all devices of one subject, and one worker has
 * to hold them all. The number of partitions is fixed when the first device learns its stream.
 */
export function partitionOf(subject: Hex, count: number): number {
  const bytes = fromHex(subject, 'subject', 32)
  const head = new DataView(bytes.buffer, bytes.byteOffset, 8).getBigUint64(0)
  return Number(head % BigInt(count))
}
