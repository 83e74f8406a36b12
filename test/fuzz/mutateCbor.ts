import { concatBytes } from '#schemas/bytes.ts'
import { CborReader, major } from '#schemas/cbor/cborReader.ts'
import { CborWriter } from '#schemas/cbor/cborWriter.ts'
import type { Random } from './harness.ts'

/** One item of well-formed CBOR: where its head, its content and its end lie. */
type Item = {
  readonly start: number
  readonly head: number
  readonly end: number
  readonly kind: number
}

/** All items of well-formed CBOR, nested ones too. */
function itemsOf(bytes: Uint8Array): readonly Item[] {
  const items: Item[] = []
  const reader = new CborReader(bytes)
  const visit = (): void => {
    const start = reader.position
    const kind = reader.readHead()
    const head = reader.position
    const { argument } = reader
    const at = items.push({ start, head, end: head, kind }) - 1
    if (kind === major.bytes || kind === major.text) reader.skipBytes(argument)
    const children =
      kind === major.array
        ? argument
        : kind === major.map
          ? argument * 2
          : kind === major.tag
            ? 1
            : 0
    for (let child = 0; child < children; child += 1) visit()
    items[at] = { start, head, end: reader.position, kind }
  }
  while (reader.position < reader.end) visit()
  return items
}

const interesting = [
  0,
  1,
  2,
  23,
  24,
  255,
  256,
  65_535,
  65_536,
  2 ** 28 - 1,
  2 ** 28,
  2 ** 31,
  2 ** 32 - 1,
  2 ** 32,
  2 ** 53 - 1,
  2 ** 53,
  2n ** 63n,
  2n ** 64n - 1n,
] as const

/** Heads and items that decoders like to stumble over. */
const oddities = [
  '80',
  'a0',
  '9fff',
  'bfff',
  '5fff',
  '7fff',
  'ff',
  'f6',
  'f7',
  'f4',
  'f5',
  'f800',
  'f8ff',
  'f97e00',
  'f97c00',
  'f9fc00',
  'f98000',
  'fa7fc00000',
  'fb7ff8000000000000',
  'fb7e37e43c8800759c',
  'c48220182a',
  'c4820a01',
  'c48229',
  'c4822901',
  'c482201bffffffffffffffff',
  'c249010000000000000000',
  '1bffffffffffffffff',
  '3bffffffffffffffff',
  '1800',
  '1900ff',
  '61ff',
  '62c080',
  '63eda080',
  '1c',
  'fc',
].map((hex) => Uint8Array.from(Buffer.from(hex, 'hex')))

/** Well-formed CBOR changed in one to four places, mostly along its own structure. */
export function mutateCbor(valid: Uint8Array, random: Random): Uint8Array {
  let bytes = valid
  for (let round = random.below(4); round >= 0; round -= 1) bytes = mutateOnce(bytes, random)
  return bytes
}

function mutateOnce(bytes: Uint8Array, random: Random): Uint8Array {
  let items: readonly Item[]
  try {
    items = itemsOf(bytes)
  } catch {
    items = []
  }
  const [item, other] = items.length === 0 ? [] : [random.pick(items), random.pick(items)]
  const splice = (start: number, end: number, middle: Uint8Array) =>
    concatBytes(bytes.subarray(0, start), middle, bytes.subarray(end))
  if (item === undefined || other === undefined || random.below(4) === 0) {
    return mutateBytes(bytes, random)
  }
  switch (random.below(9)) {
    case 0:
      // Another argument under the same head.
      return splice(
        item.start,
        item.head,
        new CborWriter().head(item.kind, random.pick(interesting)).finish(),
      )
    case 1:
      return splice(item.start, item.end, new Uint8Array())
    case 2:
      return splice(item.start, item.start, bytes.subarray(other.start, other.end))
    case 3:
      return splice(item.start, item.end, bytes.subarray(other.start, other.end))
    case 4:
      return splice(item.start, item.end, random.pick(oddities))
    case 5:
      return splice(item.start, item.start, random.pick(oddities))
    case 6: {
      // The same argument in a longer head.
      const head = bytes.subarray(item.start, item.head)
      const wide = new Uint8Array(9)
      wide[0] = ((head[0] ?? 0) & 0xe0) | 27
      if (head.length === 1) wide[8] = (head[0] ?? 0) & 0x1f
      else wide.set(head.subarray(1), 10 - head.length)
      return splice(item.start, item.head, wide)
    }
    case 7:
      // A neighbouring argument, so that counts and lengths are one off.
      return splice(
        item.start,
        item.head,
        Uint8Array.of((bytes[item.start] ?? 0) ^ 1, ...bytes.subarray(item.start + 1, item.head)),
      )
    default:
      return splice(
        item.start,
        item.start,
        new Uint8Array(1 + random.below(40)).fill(random.pick([0x81, 0xa1, 0xc1])),
      )
  }
}

function mutateBytes(bytes: Uint8Array, random: Random): Uint8Array {
  const at = random.below(bytes.length + 1)
  switch (random.below(5)) {
    case 0:
      return bytes.map((byte, index) => (index === at ? byte ^ (1 << random.below(8)) : byte))
    case 1:
      return bytes.map((byte, index) => (index === at ? random.below(256) : byte))
    case 2:
      return bytes.slice(0, at)
    case 3:
      return concatBytes(
        bytes.subarray(0, at),
        random.bytes(1 + random.below(8)),
        bytes.subarray(at),
      )
    default:
      return concatBytes(bytes, random.bytes(random.below(4)))
  }
}
