/**
 * Keccak-256 over many short messages of one shape, two at a time in the lanes of WebAssembly's
 * 128-bit vectors. The module is written out here instruction by instruction, so that what is
 * measured with the image can be read; a test holds it against another implementation.
 *
 * @see FIPS 202, section 3 (Keccak-p), with the padding of the original submission (0x01 … 0x80)
 * @see WebAssembly Core Specification 2.0, section 5 (binary format)
 */

/** Where one 64-bit word of a message comes from. */
export type Lane =
  /** Eight bytes of the row. */
  | { readonly kind: 'word'; readonly offset: number }
  /** Four bytes of the row, behind four of zero: a `uint32` at the right end of its ABI word. */
  | { readonly kind: 'half'; readonly offset: number }
  /** The same eight bytes in every message, read as little endian. */
  | { readonly kind: 'constant'; readonly value: bigint }

/** Hashes rows, each of the size that the hasher was made for; 32 bytes for each. */
export type KeccakBatch = (rows: Uint8Array) => Uint8Array<ArrayBuffer>

const zero: Lane = { kind: 'constant', value: 0n }
const rateLanes = 17
const roundCount = 24

/** FIPS 202, algorithm 5: the round constants come from a shift register. */
function roundConstants(): BigUint64Array {
  const constants = new BigUint64Array(roundCount)
  let register = 1
  for (let round = 0; round < roundCount; round += 1) {
    let value = 0n
    for (let bit = 0; bit < 7; bit += 1) {
      if ((register & 1) === 1) value |= 1n << BigInt(2 ** bit - 1)
      register = register & 0x80 ? ((register << 1) ^ 0x171) & 0xff : register << 1
    }
    constants[round] = value
  }
  return constants
}

/** FIPS 202, algorithm 2: by how much each lane is rotated, at `x + 5 y`. */
function rotations(): number[] {
  const amounts = Array.from({ length: 25 }, () => 0)
  let [x, y] = [1, 0]
  for (let step = 0; step < 24; step += 1) {
    amounts[x + 5 * y] = (((step + 1) * (step + 2)) / 2) % 64
    ;[x, y] = [y, (2 * x + 3 * y) % 5]
  }
  return amounts
}

function unsigned(value: number): number[] {
  const bytes: number[] = []
  let rest = value
  do {
    bytes.push((rest & 0x7f) | (rest > 0x7f ? 0x80 : 0))
    rest >>>= 7
  } while (rest > 0)
  return bytes
}

/** Operands of `i32.const` are signed; all of ours are positive. */
function constant(value: number): number[] {
  const bytes = unsigned(value)
  const last = bytes.at(-1) ?? 0
  return (last & 0x40) === 0 ? bytes : [...bytes.slice(0, -1), last | 0x80, 0]
}

const get = (local: number): number[] => [0x20, ...unsigned(local)]
const set = (local: number): number[] => [0x21, ...unsigned(local)]
const tee = (local: number): number[] => [0x22, ...unsigned(local)]
const i32 = (value: number): number[] => [0x41, ...constant(value)]
const add = [0x6a]
const subtract = [0x6b]
const isEqual = [0x46]
const isDifferent = [0x47]
const empty = 0x40
const block = [0x02, empty]
const loop = [0x03, empty]
const when = [0x04, empty]
const end = [0x0b]
const branch = (depth: number): number[] => [0x0c, depth]
const branchIf = (depth: number): number[] => [0x0d, depth]
const vector = (opcode: number, ...operands: number[]): number[] => [
  0xfd,
  ...unsigned(opcode),
  ...operands,
]
/** Alignment of one byte, then the offset. */
const memory = (offset: number): number[] => [0, ...unsigned(offset)]
const xor = vector(0x51)
const andNot = vector(0x4f)
const or = vector(0x50)
const splat = (value: bigint): number[] => {
  const bytes = new Uint8Array(16)
  new DataView(bytes.buffer).setBigUint64(0, value, true)
  new DataView(bytes.buffer).setBigUint64(8, value, true)
  return vector(0x0c, ...bytes)
}
const shiftLeft = (bits: number): number[] => [...i32(bits), ...vector(0xcb)]
const shiftRight = (bits: number): number[] => [...i32(bits), ...vector(0xcd)]

/** Where the module keeps its constants, its rows and its digests. */
const rowsAt = 256
const rowsBytes = 384 * 1024
const digestsAt = rowsAt + rowsBytes
const memoryPages = 8

const locals = { rows: 0, digests: 1, pairs: 2, block: 3, round: 4 } as const
const state = (lane: number): number => 5 + lane
const moved = (lane: number): number => 30 + lane
const column = (x: number): number => 55 + (((x % 5) + 5) % 5)
const parity = 60

function rotated(local: number, bits: number): number[] {
  if (bits === 0) return get(local)
  return [...get(local), ...shiftLeft(bits), ...get(local), ...shiftRight(64 - bits), ...or]
}

/** One word of two rows as a vector. */
function loaded(lane: Lane, rowBytes: number): number[] {
  if (lane.kind === 'constant') return splat(lane.value)
  const first = memory(lane.offset)
  const second = memory(lane.offset + rowBytes)
  const row = get(locals.rows)
  if (lane.kind === 'word') {
    // load64_zero of the one, then load64_lane 1 of the other
    return [...row, ...row, ...vector(0x5d, ...first), ...vector(0x57, ...second, 1)]
  }
  // load32_zero, then load32_lane 2; moved up by four bytes
  const halves = [...row, ...row, ...vector(0x5c, ...first), ...vector(0x56, ...second, 2)]
  return [...halves, ...shiftLeft(32)]
}

function absorbed(lanes: readonly Lane[], rowBytes: number): number[] {
  return lanes.flatMap((lane, index) =>
    lane === zero
      ? []
      : [...get(state(index)), ...loaded(lane, rowBytes), ...xor, ...set(state(index))],
  )
}

function oneRound(amounts: readonly number[]): number[] {
  const code: number[] = []
  for (let x = 0; x < 5; x += 1) {
    code.push(...get(state(x)))
    for (let y = 1; y < 5; y += 1) code.push(...get(state(x + 5 * y)), ...xor)
    code.push(...set(column(x)))
  }
  for (let x = 0; x < 5; x += 1) {
    code.push(...get(column(x - 1)), ...rotated(column(x + 1), 1), ...xor, ...set(parity))
    for (let y = 0; y < 5; y += 1) {
      const lane = x + 5 * y
      const target = moved(y + 5 * ((2 * x + 3 * y) % 5))
      code.push(...get(state(lane)), ...get(parity), ...xor, ...set(state(lane)))
      code.push(...rotated(state(lane), amounts[lane] ?? 0), ...set(target))
    }
  }
  for (let y = 0; y < 5; y += 1) {
    for (let x = 0; x < 5; x += 1) {
      const next = moved(((x + 1) % 5) + 5 * y)
      const afterNext = moved(((x + 2) % 5) + 5 * y)
      code.push(...get(moved(x + 5 * y)), ...get(afterNext), ...get(next), ...andNot, ...xor)
      code.push(...set(state(x + 5 * y)))
    }
  }
  code.push(...get(state(0)), ...get(locals.round), ...vector(0x0a, ...memory(0)), ...xor)
  code.push(...set(state(0)))
  return code
}

function moduleBytes(message: readonly Lane[], rowBytes: number): Uint8Array<ArrayBuffer> {
  const blocks = Math.floor(message.length / rateLanes) + 1
  const padded = [...message]
  // 0x01 behind the message and 0x80 at the end of the last block; the two may share a word.
  const isShared = message.length === blocks * rateLanes - 1
  padded.push({ kind: 'constant', value: isShared ? 0x8000000000000001n : 1n })
  while (padded.length < blocks * rateLanes - 1) padded.push(zero)
  if (!isShared) padded.push({ kind: 'constant', value: 1n << 63n })

  const body = [
    ...block,
    ...loop,
    ...get(locals.pairs),
    0x45,
    ...branchIf(1), // i32.eqz
    ...Array.from({ length: 25 }, (_, lane) => [...splat(0n), ...set(state(lane))]).flat(),
    ...i32(0),
    ...set(locals.block),
    ...loop,
    ...Array.from({ length: blocks }, (_, index) => [
      ...get(locals.block),
      ...i32(index),
      ...isEqual,
      ...when,
      ...absorbed(padded.slice(index * rateLanes, (index + 1) * rateLanes), rowBytes),
      ...end,
    ]).flat(),
    ...i32(0),
    ...set(locals.round),
    ...loop,
    ...oneRound(rotations()),
    ...get(locals.round),
    ...i32(8),
    ...add,
    ...tee(locals.round),
    ...i32(8 * roundCount),
    ...isDifferent,
    ...branchIf(0),
    ...end,
    ...get(locals.block),
    ...i32(1),
    ...add,
    ...tee(locals.block),
    ...i32(blocks),
    ...isDifferent,
    ...branchIf(0),
    ...end,
    ...Array.from({ length: 8 }, (_, word) => [
      ...get(locals.digests),
      ...get(state(word % 4)),
      ...vector(0x5b, ...memory(word * 8), word < 4 ? 0 : 1), // store64_lane
    ]).flat(),
    ...get(locals.rows),
    ...i32(2 * rowBytes),
    ...add,
    ...set(locals.rows),
    ...get(locals.digests),
    ...i32(64),
    ...add,
    ...set(locals.digests),
    ...get(locals.pairs),
    ...i32(1),
    ...subtract,
    ...set(locals.pairs),
    ...branch(0),
    ...end,
    ...end,
    ...end,
  ]
  const i32Type = 0x7f
  const v128Type = 0x7b
  // Two i32 besides the three parameters; 25 + 25 + 5 + 1 vectors.
  const code = [2, 2, i32Type, 56, v128Type, ...body]
  const name = (text: string): number[] => [text.length, ...Buffer.from(text)]
  const section = (id: number, content: readonly number[]): number[] => [
    id,
    ...unsigned(content.length),
    ...content,
  ]
  return Uint8Array.from([
    0x00,
    0x61,
    0x73,
    0x6d,
    0x01,
    0x00,
    0x00,
    0x00,
    ...section(1, [1, 0x60, 3, i32Type, i32Type, i32Type, 0]),
    ...section(3, [1, 0]),
    ...section(5, [1, 0, memoryPages]),
    ...section(7, [2, ...name('memory'), 2, 0, ...name('hash'), 0, 0]),
    ...section(10, [1, ...unsigned(code.length), ...code]),
  ])
}

/** The part of WebAssembly's interface that is used; Node's types leave it to the browser's. */
const { WebAssembly: wasm } = globalThis as unknown as {
  readonly WebAssembly: {
    instantiate(bytes: Uint8Array): Promise<{
      readonly instance: {
        readonly exports: {
          readonly memory: { readonly buffer: ArrayBuffer }
          readonly hash: (rows: number, digests: number, pairs: number) => void
        }
      }
    }>
  }
}

/**
 * Makes a hasher for rows of a size, of which every message is made up in the same way.
 *
 * @param message - The message's 64-bit words in order.
 * @param rowBytes - Size of a row.
 */
export async function createKeccakBatch(
  message: readonly Lane[],
  rowBytes: number,
): Promise<KeccakBatch> {
  const { instance } = await wasm.instantiate(moduleBytes(message, rowBytes))
  const { memory: heap, hash } = instance.exports
  new BigUint64Array(heap.buffer, 0, roundCount).set(roundConstants())
  const bytes = new Uint8Array(heap.buffer)
  // A whole number of pairs that fits, digests too.
  const most = Math.floor(Math.min(rowsBytes / rowBytes, (bytes.length - digestsAt) / 32) / 2) * 2
  return (rows) => {
    const count = rows.length / rowBytes
    const digests = new Uint8Array(count * 32)
    for (let from = 0; from < count; from += most) {
      const part = Math.min(most, count - from)
      bytes.set(rows.subarray(from * rowBytes, (from + part) * rowBytes), rowsAt)
      hash(rowsAt, digestsAt, Math.ceil(part / 2))
      digests.set(bytes.subarray(digestsAt, digestsAt + part * 32), from * 32)
    }
    return digests
  }
}

/** The words of a run of bytes in a row. */
export function words(offset: number, count: number): Lane[] {
  return Array.from({ length: count }, (_, index) => ({ kind: 'word', offset: offset + index * 8 }))
}

/** The words of bytes that are the same in every message. */
export function constants(bytes: Uint8Array): Lane[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  return Array.from({ length: bytes.length / 8 }, (_, index) => ({
    kind: 'constant',
    value: view.getBigUint64(index * 8, true),
  }))
}

/** A run of words that are zero. */
export function zeros(count: number): Lane[] {
  return Array.from({ length: count }, () => zero)
}

/** Keccak-256 of pairs of nodes. */
export function createKeccakPairs(): Promise<KeccakBatch> {
  return createKeccakBatch(words(0, 8), 64)
}
