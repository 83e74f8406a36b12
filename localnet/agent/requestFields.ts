import { AgentRequestError } from './errors.ts'

/**
 * A request's fields, read as dstack's JSON codec reads them: what is absent or null has the default
 * of its type, what has another type is an error, what is unknown is ignored.
 */
export class RequestFields {
  readonly #fields: Readonly<Record<string, unknown>>

  constructor(fields: Readonly<Record<string, unknown>>) {
    this.#fields = fields
  }

  text(name: string): string {
    const value = this.#fields[name] ?? ''
    if (typeof value !== 'string') throw wrongType(name, 'a string')
    return value
  }

  texts(name: string): string[] {
    const value = this.#fields[name] ?? []
    if (!Array.isArray(value) || !value.every((each) => typeof each === 'string')) {
      throw wrongType(name, 'an array of strings')
    }
    return value
  }

  flag(name: string): boolean {
    const value = this.#fields[name] ?? false
    if (typeof value !== 'boolean') throw wrongType(name, 'a boolean')
    return value
  }

  integer(name: string): number | undefined {
    const value = this.#fields[name]
    if (value === undefined || value === null) return undefined
    if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) {
      throw wrongType(name, 'a non-negative integer')
    }
    return value
  }

  /** Bytes travel as bare hex: a `0x` in front is refused, as upstream refuses it. */
  bytes(name: string): Uint8Array {
    const value = this.text(name)
    if (value.length % 2 !== 0 || !/^[0-9a-fA-F]*$/.test(value)) {
      throw wrongType(name, 'bare hex of whole bytes')
    }
    return Uint8Array.from(Buffer.from(value, 'hex'))
  }
}

/** Fields of a query string: every value is text, but for the booleans and numbers it spells. */
export function queryFields(parameters: URLSearchParams): RequestFields {
  const fields: Record<string, unknown> = {}
  for (const [name, value] of parameters) {
    if (name === 'json' && value === '') continue
    if (name === 'alt_names') {
      fields[name] = parameters.getAll(name)
    } else if (/^(?:usage_|with_|random_)/.test(name)) {
      fields[name] = value === 'true' ? true : value === 'false' ? false : value
    } else if (name === 'not_before' || name === 'not_after') {
      fields[name] = Number(value)
    } else {
      fields[name] = value
    }
  }
  return new RequestFields(fields)
}

function wrongType(field: string, expected: string): AgentRequestError {
  return new AgentRequestError(`${field} must be ${expected}`, { field })
}
