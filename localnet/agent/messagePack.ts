import { concatBytes, utf8 } from '#schemas/bytes.ts'
import { AgentConfigurationError } from './errors.ts'

/**
 * A MessagePack map of at most 15 names to byte strings or texts: all that dstack's application
 * record needs. @see https://github.com/msgpack/msgpack/blob/master/spec.md
 */
export function encodeMessagePackMap(
  entries: Readonly<Record<string, Uint8Array | string>>,
): Uint8Array {
  const pairs = Object.entries(entries)
  if (pairs.length > 15) {
    throw new AgentConfigurationError('A small MessagePack map holds at most 15 entries.')
  }
  return concatBytes(
    Uint8Array.of(0x80 | pairs.length),
    ...pairs.flatMap(([name, value]) => [
      encodeText(name),
      typeof value === 'string' ? encodeText(value) : encodeBinary(value),
    ]),
  )
}

function encodeText(text: string): Uint8Array {
  const bytes = utf8(text)
  if (bytes.length < 32) return concatBytes(Uint8Array.of(0xa0 | bytes.length), bytes)
  return concatBytes(lengthPrefix(bytes.length, 0xd9, 0xda), bytes)
}

function encodeBinary(bytes: Uint8Array): Uint8Array {
  return concatBytes(lengthPrefix(bytes.length, 0xc4, 0xc5), bytes)
}

function lengthPrefix(length: number, tag8: number, tag16: number): Uint8Array {
  if (length < 0x100) return Uint8Array.of(tag8, length)
  if (length < 0x1_0000) return Uint8Array.of(tag16, length >> 8, length & 0xff)
  throw new AgentConfigurationError('A MessagePack value here is at most 65535 bytes long.')
}
