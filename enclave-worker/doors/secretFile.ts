import { readFileSync } from 'node:fs'
import { BaseError } from '#schemas/errors.ts'

/** Raised when a file that a door is configured with cannot be used. */
export class DoorSetupError extends BaseError {
  override readonly name = 'DoorSetupError'
}

/** Reads a file that a door's configuration names. */
export function readDoorFile(path: string, field: string): Buffer {
  try {
    return readFileSync(path)
  } catch (cause) {
    throw new DoorSetupError('A file of a door cannot be read.', {
      field: `config.doors.${field}`,
      remedy: 'Correct the path; the worker has to be allowed to read it.',
      cause,
    })
  }
}

const minSecretBytes = 16

/** Reads a shared secret; white space around it is not part of it. */
export function readSecret(path: string, field: string): Uint8Array {
  const text = readDoorFile(path, field).toString().trim()
  if (text.length < minSecretBytes) {
    throw new DoorSetupError('The secret of a door is too short.', {
      field: `config.doors.${field}`,
      metaMessages: [`Expected: at least ${minSecretBytes} characters`],
      remedy: 'Make one, for example with openssl rand -hex 32.',
    })
  }
  return Buffer.from(text)
}
