import { z } from 'zod'
import type { WordField } from './abiWords.ts'
import { type Hex, fromHex, toHex, utf8 } from './bytes.ts'
import { BaseError } from './errors.ts'
import { keccak, keccakText } from './keccak.ts'
import { zeroHash } from './report.ts'
import { recoverSigner, signDigest } from './signatures.ts'
import { defineStructure, hashStructure, signingDigest } from './typedData.ts'
import { hexSchema } from './workerApi.ts'

/** What an operator may allow somebody to do with a worker, each by itself. */
export const capabilityScopes = ['enrol', 'retire', 'transfer', 'close'] as const
export type CapabilityScope = (typeof capabilityScopes)[number]

/**
 * The operator's leave to do one kind of thing with one stream for a short time. It opens calls of
 * administration and nothing else: no capability can change what is signed.
 */
export type Capability = {
  readonly stream: Hex
  readonly scope: CapabilityScope
  /** The one subject it is for, of a transfer the {@link transferRoute}; zero for any. */
  readonly subject: Hex
  /** Unix milliseconds, both inclusive. */
  readonly notBeforeMs: number
  readonly expiresAtMs: number
}

const capabilityFields: readonly WordField[] = [
  { name: 'stream', type: 'bytes32' },
  { name: 'scope', type: 'bytes32' },
  { name: 'subject', type: 'bytes32' },
  { name: 'notBeforeMs', type: 'uint64' },
  { name: 'expiresAtMs', type: 'uint64' },
]

export const capabilityStructure = defineStructure('Capability', capabilityFields)

/**
 * What a capability for a transfer names in place of a subject: the two that a device moves between.
 * Whoever may move devices from one site to another may neither take from a third nor give to one.
 */
export function transferRoute(fromSubject: Hex, toSubject: Hex): Hex {
  const ids = [fromHex(fromSubject, 'fromSubject', 32), fromHex(toSubject, 'toSubject', 32)]
  return toHex(keccak(utf8('plumbline/transfer/1'), ...ids))
}

/** Longer than a working day is a password, not a capability. */
export const longestCapabilityMs = 86_400_000

const tokenSchema = z.strictObject({
  scope: z.enum(capabilityScopes),
  subject: hexSchema(32),
  notBeforeMs: z.int().min(0),
  expiresAtMs: z.int().min(0),
  signature: hexSchema(65),
})

/** Raised for a request without a capability, or with one that is not the operator's. */
export class UnauthorizedError extends BaseError {
  override readonly name = 'UnauthorizedError'
}

/** Raised for a genuine capability that does not reach as far as the request. */
export class ForbiddenError extends BaseError {
  override readonly name = 'ForbiddenError'
}

export function capabilityDigest(capability: Capability): Hex {
  const words = {
    ...capability,
    scope: keccakText(`plumbline/capability/1/${capability.scope}`),
  }
  return signingDigest(fromHex(hashStructure(capabilityStructure, words), 'capability', 32))
}

/** The token of an `Authorization` header, for `Plumbline TOKEN`: JSON in hex. */
export function writeCapability(capability: Capability, operatorKey: Uint8Array): string {
  const { stream: _, ...rest } = capability
  const signature = signDigest(capabilityDigest(capability), operatorKey)
  return [...new TextEncoder().encode(JSON.stringify({ ...rest, signature }))]
    .map((byte) => byte.toString(16).padStart(2, '0'))
    .join('')
}

/**
 * Checks an `Authorization` header against what a request needs.
 *
 * @param needed.subject - The subject the request is about; leave out when it is about none.
 * @throws {@link UnauthorizedError} | {@link ForbiddenError}
 */
export function assertCapability(
  header: string | undefined,
  needed: {
    readonly stream: Hex
    readonly operator: Hex | undefined
    readonly scope: CapabilityScope
    readonly subject?: Hex
    readonly nowMs: number
  },
): Capability {
  const field = 'Authorization'
  if (needed.operator === undefined) {
    throw new UnauthorizedError('No operator key is configured, so nothing can be allowed.', {
      field: 'config.operator',
      remedy: 'Configure the operator’s address.',
    })
  }
  const token = /^Plumbline ([0-9a-f]{2,4096})$/.exec(header ?? '')?.[1]
  if (token === undefined) {
    throw new UnauthorizedError('The request carries no capability.', {
      field,
      remedy: 'Send “Authorization: Plumbline TOKEN”.',
    })
  }
  let parsed: z.output<typeof tokenSchema>
  try {
    parsed = tokenSchema.parse(
      JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(fromHex(token, field))),
    )
  } catch (cause) {
    throw new UnauthorizedError('The capability cannot be read.', { field, cause })
  }
  const { signature, ...rest } = parsed
  const capability: Capability = { stream: needed.stream, ...rest }
  let signer: Hex
  try {
    signer = recoverSigner(capabilityDigest(capability), signature)
  } catch (cause) {
    throw new UnauthorizedError('The capability is not signed.', { field, cause })
  }
  if (signer !== needed.operator) {
    throw new UnauthorizedError('The capability is not the operator’s, or of another stream.', {
      field,
    })
  }
  if (capability.expiresAtMs - capability.notBeforeMs > longestCapabilityMs) {
    throw new ForbiddenError('The capability lasts too long.', {
      field: `${field}.expiresAtMs`,
      metaMessages: [`Allowed: ${longestCapabilityMs} ms`],
    })
  }
  if (needed.nowMs < capability.notBeforeMs || needed.nowMs > capability.expiresAtMs) {
    throw new ForbiddenError('The capability is not valid now.', {
      field: `${field}.expiresAtMs`,
      remedy: 'Ask the operator for a new one.',
    })
  }
  if (capability.scope !== needed.scope) {
    throw new ForbiddenError(
      `The capability is for “${capability.scope}”, not “${needed.scope}”.`,
      {
        field: `${field}.scope`,
      },
    )
  }
  if (capability.subject !== zeroHash && capability.subject !== needed.subject) {
    throw new ForbiddenError('The capability is for another subject.', {
      field: `${field}.subject`,
    })
  }
  return capability
}
