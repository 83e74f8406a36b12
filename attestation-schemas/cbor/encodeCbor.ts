import { CborWriter } from './cborWriter.ts'
import { CborFloat, CborSimple, CborTag, type CborValue } from './cborValue.ts'
import { preferredFloat } from './preferredFloat.ts'

/**
 * The one preferred encoding of a value; maps keep the order of their pairs unless `sortKeys` asks
 * for the bytewise order of core deterministic encoding.
 *
 * @see RFC 8949 §4.1, §4.2.1
 */
export function encodeCbor(
  value: CborValue,
  { sortKeys = false }: { sortKeys?: boolean } = {},
): Uint8Array {
  const writer = new CborWriter()
  write(writer, value, sortKeys)
  return writer.finish()
}

function write(writer: CborWriter, value: CborValue, sortKeys: boolean): void {
  if (typeof value === 'number' || typeof value === 'bigint') writer.integer(value)
  else if (typeof value === 'string') writer.text(value)
  else if (typeof value === 'boolean') writer.boolean(value)
  else if (value === null) writer.byte(0xf6)
  else if (value === undefined) writer.byte(0xf7)
  else if (value instanceof Uint8Array) writer.bytes(value)
  else if (value instanceof CborFloat) writer.raw(preferredFloat(value.value))
  else if (value instanceof CborSimple) writer.head(7, value.value)
  else if (value instanceof CborTag) {
    writer.head(6, value.tag)
    write(writer, value.content, sortKeys)
  } else if (isArray(value)) {
    writer.array(value.length)
    for (const item of value) write(writer, item, sortKeys)
  } else {
    const pairs = [...value].map(
      ([key, content]) =>
        [encodeCbor(key, { sortKeys }), encodeCbor(content, { sortKeys })] as const,
    )
    if (sortKeys) pairs.sort(([left], [right]) => compareBytes(left, right))
    writer.map(pairs.length)
    for (const [key, content] of pairs) writer.raw(key).raw(content)
  }
}

function isArray(value: CborValue): value is readonly CborValue[] {
  return Array.isArray(value)
}

function compareBytes(left: Uint8Array, right: Uint8Array): number {
  const shared = Math.min(left.length, right.length)
  for (let index = 0; index < shared; index += 1) {
    const difference = (left[index] ?? 0) - (right[index] ?? 0)
    if (difference !== 0) return difference
  }
  return left.length - right.length
}
