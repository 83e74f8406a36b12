import { InvalidJsonError, type JsonRule } from './jsonError.ts'

/** A number as it was written, so that nothing is lost to binary before a unit decides. */
export class JsonNumber {
  readonly text: string

  constructor(text: string) {
    this.text = text
  }
}

export type JsonValue =
  | null
  | boolean
  | string
  | JsonNumber
  | readonly JsonValue[]
  | ReadonlyMap<string, JsonValue>

const maxTextBytes = 1_048_576
const maxDepth = 8

const numberPattern = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y
const spacePattern = /[ \t\n\r]*/y
/** A run of characters that stand for themselves: no quote, no backslash, nothing below a space. */
const plainPattern = /[ !#-[\]-\uffff]*/y

const escapes: Readonly<Record<string, string>> = {
  '"': '"',
  '\\': '\\',
  '/': '/',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
}

/**
 * Parses untrusted JSON, strictly: valid UTF-8, no byte order mark, no duplicate names, no lone
 * surrogates, nothing after the value, at most 1 MiB and eight levels. Numbers keep their text:
 * `JSON.parse` would round them, and would keep the last of two equal names in silence.
 *
 * @throws {@link InvalidJsonError}
 * @see RFC 8259, RFC 7493 §2
 */
export function parseStrictJson(bytes: Uint8Array): JsonValue {
  if (bytes.length > maxTextBytes) throw refusal('too-large', 'The text is too large.', 0)
  const parser = new JsonParser(decode(bytes))
  return parser.document()
}

function decode(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch (cause) {
    throw new InvalidJsonError('The text is not valid UTF-8.', { rule: 'invalid-utf8', cause })
  }
}

class JsonParser {
  private readonly text: string
  private position = 0

  constructor(text: string) {
    this.text = text
  }

  document(): JsonValue {
    const value = this.value(maxDepth)
    this.skipSpace()
    if (this.position < this.text.length) {
      throw refusal('trailing-text', 'Text follows the value.', this.position)
    }
    return value
  }

  private value(depth: number): JsonValue {
    this.skipSpace()
    const character = this.text.charAt(this.position)
    switch (character) {
      case '{':
        return this.object(depth)
      case '[':
        return this.array(depth)
      case '"':
        return this.string()
      case 't':
        return this.word('true', true)
      case 'f':
        return this.word('false', false)
      case 'n':
        return this.word('null', null)
      default:
        return this.number()
    }
  }

  private object(depth: number): ReadonlyMap<string, JsonValue> {
    this.enter(depth)
    const members = new Map<string, JsonValue>()
    if (this.isClosed('}')) return members
    for (;;) {
      this.skipSpace()
      const at = this.position
      const name = this.string()
      if (members.has(name)) throw refusal('duplicate-key', 'A name occurs twice.', at)
      this.skipSpace()
      this.expect(':')
      members.set(name, this.value(depth - 1))
      this.skipSpace()
      if (this.isClosed('}')) return members
      this.expect(',')
    }
  }

  private array(depth: number): readonly JsonValue[] {
    this.enter(depth)
    const items: JsonValue[] = []
    if (this.isClosed(']')) return items
    for (;;) {
      items.push(this.value(depth - 1))
      this.skipSpace()
      if (this.isClosed(']')) return items
      this.expect(',')
    }
  }

  private enter(depth: number): void {
    if (depth <= 0) throw refusal('too-deep', 'Values are nested too deep.', this.position)
    this.position += 1
    this.skipSpace()
  }

  private string(): string {
    this.expect('"')
    const start = this.position
    let text = ''
    for (;;) {
      text += this.match(plainPattern)
      const character = this.text.charAt(this.position)
      this.position += 1
      if (character === '"') break
      if (character !== '\\') {
        throw refusal('syntax', 'A text is not closed.', Math.min(this.position, this.text.length))
      }
      text += this.escape()
    }
    if (!text.isWellFormed()) throw refusal('lone-surrogate', 'A text is not Unicode.', start)
    return text
  }

  private escape(): string {
    const character = this.text.charAt(this.position)
    this.position += 1
    if (character === 'u') {
      const digits = this.text.slice(this.position, this.position + 4)
      if (!/^[0-9a-fA-F]{4}$/.test(digits)) {
        throw refusal('syntax', 'An escape is not four hexadecimal digits.', this.position)
      }
      this.position += 4
      return String.fromCharCode(Number.parseInt(digits, 16))
    }
    const meaning = Object.hasOwn(escapes, character) ? escapes[character] : undefined
    if (meaning === undefined) throw refusal('syntax', 'An escape is unknown.', this.position)
    return meaning
  }

  private number(): JsonNumber {
    const at = this.position
    const text = this.match(numberPattern)
    if (text === '') throw refusal('syntax', 'A value is missing.', at)
    return new JsonNumber(text)
  }

  private word<Value>(word: string, value: Value): Value {
    if (!this.text.startsWith(word, this.position)) {
      throw refusal('syntax', 'A word is unknown.', this.position)
    }
    this.position += word.length
    return value
  }

  private isClosed(bracket: string): boolean {
    if (this.text.charAt(this.position) !== bracket) return false
    this.position += 1
    return true
  }

  private expect(character: string): void {
    if (this.text.charAt(this.position) !== character) {
      throw refusal('syntax', `A ${character} is missing.`, this.position)
    }
    this.position += 1
  }

  private skipSpace(): void {
    this.match(spacePattern)
  }

  private match(pattern: RegExp): string {
    pattern.lastIndex = this.position
    const found = pattern.exec(this.text)?.[0] ?? ''
    this.position += found.length
    return found
  }
}

function refusal(rule: JsonRule, message: string, offset: number): InvalidJsonError {
  return new InvalidJsonError(message, { rule, offset })
}
