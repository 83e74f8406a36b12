import { CborFloat, CborSimple, CborTag, type CborValue } from '#schemas/cbor/cborValue.ts'

/** A decoded item in the plain JavaScript values that other decoders answer. */
export function plainValue(value: CborValue): unknown {
  if (value instanceof CborFloat) return value.value
  if (value instanceof CborSimple) return { simple: value.value }
  if (value instanceof CborTag) {
    if ((value.tag === 2 || value.tag === 3) && value.content instanceof Uint8Array) {
      let magnitude = 0n
      for (const byte of value.content) magnitude = magnitude * 256n + BigInt(byte)
      return value.tag === 2 ? magnitude : -1n - magnitude
    }
    return { tag: value.tag, content: plainValue(value.content) }
  }
  if (value instanceof Uint8Array) return Uint8Array.from(value)
  if (value instanceof Map) {
    return new Map([...value].map(([key, item]) => [plainValue(key), plainValue(item)]))
  }
  return Array.isArray(value) ? value.map((item: CborValue) => plainValue(item)) : value
}
