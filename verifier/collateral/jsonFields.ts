import { fromHex, InvalidHexError } from '#schemas/bytes.ts'
import { BaseError } from '#schemas/errors.ts'
import { parseIsoTime } from '../x509/time.ts'

/** Raised when a JSON document lacks a field or holds one of another shape. */
export class InvalidDocumentError extends BaseError {
  override readonly name = 'InvalidDocumentError'
}

/** Typed access to the fields of one JSON object; every failure names the path of the field. */
export class JsonFields {
  readonly path: string
  private readonly record: Readonly<Record<string, unknown>>

  constructor(value: unknown, path: string) {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      throw new InvalidDocumentError(`${path} is not an object.`, { field: path })
    }
    this.path = path
    this.record = value as Record<string, unknown>
  }

  has(name: string): boolean {
    return Object.hasOwn(this.record, name)
  }

  value(name: string): unknown {
    if (!this.has(name)) this.fail(name, 'is missing')
    return this.record[name]
  }

  text(name: string, maximumLength: number): string {
    const value = this.value(name)
    if (typeof value !== 'string') this.fail(name, 'is not a text')
    if (value.length > maximumLength) this.fail(name, `is longer than ${maximumLength} characters`)
    return value
  }

  oneOf<Choice extends string>(name: string, choices: readonly Choice[]): Choice {
    const value = this.value(name)
    const choice = choices.find((candidate) => candidate === value)
    if (choice === undefined) this.fail(name, `is none of ${choices.join(', ')}`)
    return choice
  }

  integer(name: string, minimum: number, maximum: number): number {
    const value = this.value(name)
    if (typeof value !== 'number' || !Number.isInteger(value)) this.fail(name, 'is not an integer')
    if (value < minimum || value > maximum) {
      this.fail(name, `lies outside ${minimum} to ${maximum}`)
    }
    return value
  }

  hex(name: string, length: number): Uint8Array {
    const text = this.text(name, length * 2 + 2)
    try {
      return fromHex(text, `${this.path}.${name}`, length)
    } catch (cause) {
      if (!(cause instanceof InvalidHexError)) throw cause
      return this.fail(name, `is not ${length} bytes of hex`)
    }
  }

  /** `YYYY-MM-DDTHH:MM:SSZ` as Unix seconds. */
  time(name: string): number {
    const seconds = parseIsoTime(this.text(name, 32))
    if (seconds === undefined) this.fail(name, 'is not a UTC time with seconds')
    return seconds
  }

  object(name: string): JsonFields {
    return new JsonFields(this.value(name), `${this.path}.${name}`)
  }

  objects(name: string, maximum: number): JsonFields[] {
    return this.array(name, maximum).map(
      (item, index) => new JsonFields(item, `${this.path}.${name}[${index}]`),
    )
  }

  texts(name: string, maximum: number): string[] {
    return this.array(name, maximum).map((item) => {
      if (typeof item !== 'string' || item.length > 256)
        this.fail(name, 'holds something else than texts')
      return item
    })
  }

  /** Refuses any field besides these: in a policy, a misspelt rule must not vanish. */
  only(...names: readonly string[]): void {
    for (const name of Object.keys(this.record)) {
      if (!names.includes(name)) this.fail(name, 'is not known here')
    }
  }

  fail(name: string, problem: string): never {
    const field = `${this.path}.${name}`
    throw new InvalidDocumentError(`${field} ${problem}.`, { field })
  }

  private array(name: string, maximum: number): readonly unknown[] {
    const value = this.value(name)
    if (!Array.isArray(value)) this.fail(name, 'is not a list')
    if (value.length > maximum) this.fail(name, `has more than ${maximum} entries`)
    return value as readonly unknown[]
  }
}
