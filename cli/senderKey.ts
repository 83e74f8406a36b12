import { readFileSync } from 'node:fs'
import { InvalidArgumentError } from 'commander'
import type { Hex } from '#schemas/bytes.ts'
import { BaseError } from '#schemas/errors.ts'

/** Where the key of whoever pays is looked for, when no file is named. */
export const senderKeyVariable = 'PLUMBLINE_SENDER_KEY'

/** Raised when there is no usable key. */
export class SenderKeyError extends BaseError {
  override readonly name = 'SenderKeyError'
}

/** Private key of the account that pays. Never an argument: other users of a machine can read those. */
export function readSenderKey(file: string | undefined): Hex {
  let text: string | undefined
  try {
    text = file === undefined ? process.env[senderKeyVariable] : readFileSync(file, 'utf8')
  } catch (cause) {
    throw new SenderKeyError(`${file} cannot be read.`, { cause, field: '--key-file' })
  }
  const key = text?.trim()
  if (key !== undefined && /^0x[\dA-Fa-f]{64}$/.test(key)) return key as Hex
  throw new SenderKeyError(
    key === undefined || key === '' ? 'A key is needed to pay.' : 'That is no private key.',
    {
      field: '--key-file',
      remedy: `Put 0x and 64 hex digits into ${senderKeyVariable}, or name a file that holds them.`,
    },
  )
}

/** Parser of an option that holds a chain id. */
export function chainIdOption(text: string): number {
  const value = Number(text)
  if (Number.isSafeInteger(value) && value > 0) return value
  throw new InvalidArgumentError('It must be a whole number above zero.')
}
