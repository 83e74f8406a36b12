import { toHex } from '../bytes.ts'
import { CborReader, major, textBetween } from '../cbor/cborReader.ts'
import { signatureAlgorithmOf } from '../cose/signatureAlgorithm.ts'
import { senmlFieldNames } from '../senml/senmlLabels.ts'
import { decodePack } from './decodePack.ts'
import { claimKey, headerLabel } from './packProfile.ts'

/** Some bytes of a pack and what they say. */
export type PackAnnotation = {
  readonly offset: number
  readonly bytes: string
  readonly depth: number
  readonly meaning: string
}

const headerNames = new Map<number, string>([
  [headerLabel.algorithm, 'alg'],
  [headerLabel.critical, 'crit'],
  [headerLabel.contentType, 'content type'],
  [headerLabel.keyId, 'kid'],
  [headerLabel.cwtClaims, 'CWT claims'],
])
const claimNames = new Map(Object.entries(claimKey).map(([name, key]) => [key, name]))

/**
 * Says what every byte of a pack is for: for people who write firmware and look at a dump.
 *
 * @throws as `decodePack` does: only a pack of the profile is explained.
 */
export function annotatePack(bytes: Uint8Array): readonly PackAnnotation[] {
  decodePack(bytes)
  return new PackAnnotator(bytes).annotate()
}

class PackAnnotator {
  private readonly bytes: Uint8Array
  private readonly reader: CborReader
  private readonly notes: PackAnnotation[] = []

  constructor(bytes: Uint8Array) {
    this.bytes = bytes
    this.reader = new CborReader(bytes)
  }

  annotate(): readonly PackAnnotation[] {
    const { reader } = this
    if (reader.peekMajor() === major.tag) this.head(0, 'COSE_Sign1 (tag 18)')
    this.head(0, 'array of 4')
    const protectedLength = this.head(1, 'protected header, a byte string of', true)
    const protectedEnd = reader.position + protectedLength
    this.map(2, headerNames, (name, depth) => {
      if (name === 'CWT claims') this.map(depth, claimNames, (claim, at) => this.item(at, claim))
      else this.item(depth, name)
    })
    reader.position = protectedEnd
    this.head(1, 'unprotected header: empty')
    const payloadLength = this.head(1, 'payload, a byte string of', true)
    const payloadEnd = reader.position + payloadLength
    this.senml()
    reader.position = payloadEnd
    this.head(1, 'signature, a byte string of', true)
    this.note(reader.position, this.bytes.length, 2, 'r ‖ s (ECDSA) or R ‖ S (Ed25519)')
    return this.notes
  }

  private senml(): void {
    const records = this.head(2, 'SenML pack, records:', true)
    const names = new Map(senmlFieldNames.map((name, index) => [index - 6, name]))
    for (let record = 0; record < records; record += 1) {
      this.map(3, names, (name, depth) => {
        this.item(depth, name)
      })
    }
  }

  private map(
    depth: number,
    names: ReadonlyMap<number, string>,
    value: (name: string, depth: number) => void,
  ): void {
    const pairs = this.head(depth, 'map, pairs:', true)
    for (let pair = 0; pair < pairs; pair += 1) {
      const start = this.reader.position
      const kind = this.reader.readHead()
      const key = kind === major.unsigned ? this.reader.argument : -1 - this.reader.argument
      const name = names.get(key) ?? 'unknown'
      this.note(start, this.reader.position, depth + 1, `${name} (${key})`)
      value(name, depth + 2)
    }
  }

  /** Notes one whole value, as text where it is one. */
  private item(depth: number, name: string): void {
    const start = this.reader.position
    const kind = this.reader.readHead()
    const { argument, info } = this.reader
    const contentStart = this.reader.position
    switch (kind) {
      case major.unsigned:
        return this.note(start, contentStart, depth, `${this.reader.exactArgument()}`)
      case major.negative: {
        const value = -1 - argument
        const algorithm = name === 'alg' ? signatureAlgorithmOf(value) : undefined
        return this.note(start, contentStart, depth, `${value}${algorithm ? `: ${algorithm}` : ''}`)
      }
      case major.text: {
        this.reader.skipBytes(argument)
        const text = textBetween(this.bytes, contentStart, this.reader.position)
        return this.note(start, this.reader.position, depth, JSON.stringify(text))
      }
      case major.bytes:
        this.reader.skipBytes(argument)
        return this.note(start, this.reader.position, depth, `${argument} bytes`)
      case major.simple:
        return this.note(start, contentStart, depth, simpleText(info, this.reader))
      case major.tag: {
        this.reader.skipItem(2)
        return this.note(start, this.reader.position, depth, decimalText(this.bytes, contentStart))
      }
      default:
        this.reader.position = start
        this.reader.skipItem(2)
        return this.note(start, this.reader.position, depth, 'a list of labels')
    }
  }

  /** Notes one head alone and answers its argument. */
  private head(depth: number, meaning: string, hasArgument = false): number {
    const start = this.reader.position
    this.reader.readHead()
    const { argument } = this.reader
    this.note(start, this.reader.position, depth, hasArgument ? `${meaning} ${argument}` : meaning)
    return argument
  }

  private note(start: number, end: number, depth: number, meaning: string): void {
    const bytes = toHex(this.bytes.subarray(start, end)).slice(2)
    this.notes.push({ offset: start, bytes, depth, meaning })
  }
}

function simpleText(info: number, reader: CborReader): string {
  return info === 20 ? 'false' : info === 21 ? 'true' : `float ${reader.floatValue()}`
}

/** A decimal fraction as its two numbers. */
function decimalText(bytes: Uint8Array, start: number): string {
  const reader = new CborReader(bytes, start)
  reader.readHead()
  const numbers = [0, 1].map(() =>
    reader.readHead() === major.unsigned ? reader.argument : -1 - reader.argument,
  )
  return `${numbers[1]} · 10^${numbers[0]}`
}
