import { CborReader, major } from './cborReader.ts'
import { CborFloat, type CborMap, CborSimple, CborTag, type CborValue } from './cborValue.ts'
import { InvalidCborError } from './invalidCborError.ts'
import { isPreferredFloat } from './preferredFloat.ts'

/** Deepest nesting of arrays, maps and tags that anything here needs. */
export const defaultMaxDepth = 16

/**
 * Decodes exactly one item, strictly: definite shortest lengths, shortest floats, valid UTF-8, no
 * duplicate keys, nothing after it. The order of keys is free.
 *
 * @throws {@link InvalidCborError}
 * @see RFC 8949 §4.1 (preferred serialization), §5.6 (duplicate keys)
 */
export function decodeCbor(
  bytes: Uint8Array,
  { maxDepth = defaultMaxDepth }: { maxDepth?: number } = {},
): CborValue {
  const reader = new CborReader(bytes)
  const value = readValue(reader, maxDepth)
  reader.expectEnd()
  return value
}

/** Reads one item at the cursor; see {@link decodeCbor}. */
export function readValue(reader: CborReader, maxDepth: number): CborValue {
  const at = reader.position
  const kind = reader.readHead()
  switch (kind) {
    case major.unsigned:
      return narrow(reader)
    case major.negative: {
      if (reader.argument < Number.MAX_SAFE_INTEGER) return -1 - reader.argument
      const value = -1n - reader.exactArgument()
      return value >= -BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : value
    }
    case major.bytes:
      return reader.take(reader.argument)
    case major.text:
      reader.position = at
      return reader.readText('text')
    case major.array: {
      reader.position = at
      const count = reader.readCount(major.array, 'array')
      requireDepth(maxDepth, at)
      const items: CborValue[] = []
      for (let item = 0; item < count; item += 1) items.push(readValue(reader, maxDepth - 1))
      return items
    }
    case major.map:
      reader.position = at
      requireDepth(maxDepth, at)
      return readMap(reader, maxDepth)
    case major.tag: {
      const tag = narrow(reader)
      requireDepth(maxDepth, at)
      return new CborTag(tag, readValue(reader, maxDepth - 1))
    }
    default:
      return readSimple(reader, at)
  }
}

/** Reads a map at the cursor, refusing a key that occurs twice. */
export function readMap(reader: CborReader, maxDepth: number): CborMap {
  const count = reader.readCount(major.map, 'map')
  const map = new Map<CborValue, CborValue>()
  // Every head has one form only, so two keys are equal exactly when their bytes are.
  const seen = new Set<string>()
  for (let pair = 0; pair < count; pair += 1) {
    const keyAt = reader.position
    const key = readValue(reader, maxDepth - 1)
    const identity = keyIdentity(key, reader.bytes.subarray(keyAt, reader.position))
    if (seen.has(identity)) throw new InvalidCborError('duplicate-key', keyAt)
    seen.add(identity)
    map.set(key, readValue(reader, maxDepth - 1))
  }
  return map
}

function keyIdentity(key: CborValue, encoded: Uint8Array): string {
  if (typeof key === 'number') return `i${key}`
  if (typeof key === 'string') return `t${key}`
  return `b${encoded.join(',')}`
}

function narrow(reader: CborReader): number | bigint {
  return reader.argument <= Number.MAX_SAFE_INTEGER ? reader.argument : reader.exactArgument()
}

function requireDepth(maxDepth: number, at: number): void {
  if (maxDepth <= 0) throw new InvalidCborError('too-deep', at)
}

function readSimple(reader: CborReader, at: number): CborValue {
  switch (reader.info) {
    case 20:
      return false
    case 21:
      return true
    case 22:
      return null
    case 23:
      return undefined
    case 25:
    case 26:
    case 27: {
      const value = reader.floatValue()
      if (!isPreferredFloat(reader.bytes.subarray(at, reader.position), value)) {
        throw new InvalidCborError('non-shortest-float', at)
      }
      return new CborFloat(value)
    }
    default:
      return new CborSimple(reader.argument)
  }
}
