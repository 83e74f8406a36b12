import type { Hex } from '#schemas/bytes.ts'
import { BaseError } from '#schemas/errors.ts'

/** Raised when a node's answer does not have the shape that JSON-RPC prescribes. */
export class MalformedAnswerError extends BaseError {
  override readonly name = 'MalformedAnswerError'
  override readonly retryable = true
}

/** A JSON-RPC quantity as an integer. @see Ethereum JSON-RPC, "Hex value encoding" */
export function readQuantity(value: unknown, field: string): bigint {
  if (typeof value !== 'string' || !/^0x[0-9a-fA-F]{1,64}$/.test(value)) {
    throw new MalformedAnswerError(`A node's ${field} is not a quantity.`, { field })
  }
  return BigInt(value)
}

/** A quantity that counts something and fits a JavaScript integer. */
export function readCount(value: unknown, field: string): number {
  const count = Number(readQuantity(value, field))
  if (!Number.isSafeInteger(count)) {
    throw new MalformedAnswerError(`A node's ${field} is out of range.`, { field })
  }
  return count
}

/** Unformatted data of a fixed length. */
export function readHash(value: unknown, field: string): Hex {
  if (typeof value !== 'string' || !/^0x[0-9a-fA-F]{64}$/.test(value)) {
    throw new MalformedAnswerError(`A node's ${field} is not a hash.`, { field })
  }
  return value.toLowerCase() as Hex
}

export function readObject(value: unknown, field: string): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new MalformedAnswerError(`A node's ${field} is not an object.`, { field })
  }
  return value as Record<string, unknown>
}

export function toQuantity(value: bigint | number): Hex {
  return `0x${value.toString(16)}`
}
