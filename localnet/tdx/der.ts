import { concatBytes, utf8 } from '#schemas/bytes.ts'
import { BaseError } from '#schemas/errors.ts'

/** Raised when a value has no DER encoding of the asked type. */
export class DerEncodingError extends BaseError {
  override readonly name = 'DerEncodingError'
}

/** Definite length in the fewest octets, as DER demands. @see ITU-T X.690 (02/2021) §10.1 */
export function derLength(length: number): Uint8Array {
  if (!Number.isSafeInteger(length) || length < 0) {
    throw new DerEncodingError(`A DER length cannot be ${length}.`, { field: 'length' })
  }
  if (length < 0x80) return Uint8Array.of(length)
  const octets: number[] = []
  for (let rest = length; rest > 0; rest = Math.floor(rest / 256)) octets.unshift(rest % 256)
  return Uint8Array.of(0x80 | octets.length, ...octets)
}

/** One tag, one length, one content. The tag is a single octet: no tag number here exceeds 30. */
export function der(tag: number, ...contents: readonly Uint8Array[]): Uint8Array {
  const content = concatBytes(...contents)
  return concatBytes(Uint8Array.of(tag), derLength(content.length), content)
}

export function derSequence(...contents: readonly Uint8Array[]): Uint8Array {
  return der(0x30, ...contents)
}

/** A SET OF with its members in ascending order of their encodings. @see X.690 §11.6 */
export function derSetOf(...members: readonly Uint8Array[]): Uint8Array {
  return der(0x31, ...members.toSorted(compareBytes))
}

export function derBoolean(value: boolean): Uint8Array {
  return der(0x01, Uint8Array.of(value ? 0xff : 0x00))
}

/**
 * A non-negative INTEGER from a number, a bigint or big-endian bytes, in the fewest octets.
 *
 * @see X.690 §8.3
 */
export function derInteger(value: number | bigint | Uint8Array): Uint8Array {
  let magnitude: Uint8Array
  if (value instanceof Uint8Array) {
    magnitude = value
  } else {
    if (value < 0 || (typeof value === 'number' && !Number.isSafeInteger(value))) {
      throw new DerEncodingError(`A DER integer here cannot be ${value}.`, { field: 'integer' })
    }
    const octets: number[] = []
    for (let rest = BigInt(value); rest > 0n; rest >>= 8n) octets.unshift(Number(rest & 0xffn))
    magnitude = Uint8Array.from(octets)
  }
  let start = 0
  while (start < magnitude.length - 1 && magnitude[start] === 0) start += 1
  const octets = magnitude.length === 0 ? Uint8Array.of(0) : magnitude.subarray(start)
  const isNegativeLooking = (octets[0] ?? 0) >= 0x80
  return isNegativeLooking ? der(0x02, Uint8Array.of(0), octets) : der(0x02, octets)
}

export function derEnumerated(value: number): Uint8Array {
  if (!Number.isInteger(value) || value < 0 || value > 0x7f) {
    throw new DerEncodingError(`A one-octet enumerated value cannot be ${value}.`, {
      field: 'enumerated',
    })
  }
  return der(0x0a, Uint8Array.of(value))
}

/** A BIT STRING of whole octets, or of `unusedBits` fewer in the last one. */
export function derBitString(bytes: Uint8Array, unusedBits = 0): Uint8Array {
  return der(0x03, Uint8Array.of(unusedBits), bytes)
}

/**
 * A named bit list such as KeyUsage: bit 0 is the most significant bit of the first octet, and
 * trailing zero bits are left out. @see X.690 §11.2.2
 */
export function derNamedBits(...bits: readonly number[]): Uint8Array {
  if (bits.length === 0) return derBitString(new Uint8Array(0))
  const last = Math.max(...bits)
  const octets = new Uint8Array(Math.floor(last / 8) + 1)
  for (const bit of bits) {
    const index = Math.floor(bit / 8)
    octets[index] = (octets[index] ?? 0) | (0x80 >> (bit % 8))
  }
  return derBitString(octets, 7 - (last % 8))
}

export function derOctetString(...contents: readonly Uint8Array[]): Uint8Array {
  return der(0x04, ...contents)
}

/** An OBJECT IDENTIFIER from its dotted form. @see X.690 §8.19 */
export function derOid(dotted: string): Uint8Array {
  if (!/^[0-2](?:\.(?:0|[1-9]\d*)){2,}$/.test(dotted)) {
    throw new DerEncodingError(`${dotted} is not an object identifier.`, { field: 'oid' })
  }
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number)
  const octets: number[] = []
  for (const arc of [first * 40 + second, ...rest]) {
    const groups = [arc % 128]
    for (let left = Math.floor(arc / 128); left > 0; left = Math.floor(left / 128)) {
      groups.unshift(0x80 | (left % 128))
    }
    octets.push(...groups)
  }
  return der(0x06, Uint8Array.from(octets))
}

export function derUtf8String(text: string): Uint8Array {
  return der(0x0c, utf8(text))
}

export function derPrintableString(text: string): Uint8Array {
  if (!/^[A-Za-z0-9 '()+,\-./:=?]*$/.test(text)) {
    throw new DerEncodingError(`A PrintableString cannot hold ${JSON.stringify(text)}.`)
  }
  return der(0x13, utf8(text))
}

/**
 * A Time of RFC 5280 §4.1.2.5: UTCTime through 2049, GeneralizedTime from 2050, whole seconds, `Z`.
 *
 * @param unixSeconds - Integer, from 1950 to 9999.
 */
export function derTime(unixSeconds: number): Uint8Array {
  if (!Number.isSafeInteger(unixSeconds)) {
    throw new DerEncodingError(`A certificate time cannot be ${unixSeconds}.`, {
      field: 'unixSeconds',
      remedy: 'Pass whole seconds since 1970.',
    })
  }
  const compact = new Date(unixSeconds * 1000)
    .toISOString()
    .replace(/\.\d+Z$/, 'Z')
    .replace(/[-:T]/g, '')
  const year = Number(compact.slice(0, 4))
  if (!/^\d{14}Z$/.test(compact) || year < 1950) {
    throw new DerEncodingError(`Year ${compact.slice(0, 4)} has no certificate time.`)
  }
  return year < 2050 ? der(0x17, utf8(compact.slice(2))) : der(0x18, utf8(compact))
}

/** Context-specific and constructed, the wrapping of an EXPLICIT tag. */
export function derExplicit(tagNumber: number, ...contents: readonly Uint8Array[]): Uint8Array {
  return der(0xa0 | tagNumber, ...contents)
}

/** Context-specific and primitive, an IMPLICIT tag over a primitive type. */
export function derImplicit(tagNumber: number, ...contents: readonly Uint8Array[]): Uint8Array {
  return der(0x80 | tagNumber, ...contents)
}

function compareBytes(left: Uint8Array, right: Uint8Array): number {
  const shared = Math.min(left.length, right.length)
  for (let index = 0; index < shared; index += 1) {
    const difference = (left[index] ?? 0) - (right[index] ?? 0)
    if (difference !== 0) return difference
  }
  return left.length - right.length
}
