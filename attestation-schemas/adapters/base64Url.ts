const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
const sextetOf = new Map(
  Array.from(alphabet, (character, sextet): [string, number] => [character, sextet]),
)

/**
 * Base64url without padding to bytes, strictly: `undefined` for a foreign character, a length no
 * encoder makes, or left-over bits that are not zero, so that no two texts mean the same bytes.
 *
 * @see RFC 4648 §5, RFC 7515 §2
 */
export function fromBase64Url(text: string): Uint8Array | undefined {
  if (text.length % 4 === 1) return undefined
  const bytes = new Uint8Array(Math.floor((text.length * 3) / 4))
  let bits = 0
  let held = 0
  let length = 0
  for (const character of text) {
    const sextet = sextetOf.get(character)
    if (sextet === undefined) return undefined
    held = ((held << 6) | sextet) & 0xffff
    bits += 6
    if (bits < 8) continue
    bits -= 8
    bytes[length] = (held >> bits) & 0xff
    length += 1
  }
  return (held & ((1 << bits) - 1)) === 0 ? bytes : undefined
}

/** Bytes as base64url without padding. */
export function toBase64Url(bytes: Uint8Array): string {
  let text = ''
  for (let index = 0; index < bytes.length; index += 3) {
    const [first = 0, second = 0, third = 0] = bytes.subarray(index, index + 3)
    const group = (first << 16) | (second << 8) | third
    const characters = Math.min(bytes.length - index, 3) + 1
    for (let place = 0; place < characters; place += 1) {
      text += alphabet.charAt((group >> (18 - 6 * place)) & 63)
    }
  }
  return text
}
