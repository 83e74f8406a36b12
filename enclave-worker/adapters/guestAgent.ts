import { DstackClient } from '@phala/dstack-sdk'
import { secp256k1 } from '@noble/curves/secp256k1'
import { z } from 'zod'
import { type Hex, equalBytes, fromHex, toHex } from '#schemas/bytes.ts'
import { BaseError } from '#schemas/errors.ts'
import { verifyKmsKey } from '#verifier/dstack/kmsChain.ts'
import type { GuestAgent } from '../ports.ts'

/** Raised when the guest agent is away, refuses, or answers what cannot be believed. */
export class GuestAgentError extends BaseError {
  override readonly name = 'GuestAgentError'
  override readonly retryable = true
}

const quoteResponse = z.object({
  quote: z.string().regex(/^(0x)?([0-9a-f]{2})+$/),
  event_log: z.string(),
})
const identityResponse = z.object({ app_id: z.string().regex(/^[0-9a-fA-F]{40}$/) })
const infoResponse = z.object({ tcb_info: z.object({ app_compose: z.string() }) })

/** TDX quote v4: header 48; in the TD 1.0 body, report data begins at 520 and has 64 bytes. */
const reportDataOffset = 48 + 520
/** TDX quote v5: header 48 + body type 2 + body size 4, then the same body. */
const reportDataOffsetV5 = 48 + 2 + 4 + 520

/** Whether a quote carries exactly these 64 bytes where its version puts them. */
function carries(quote: Uint8Array, reportData: Uint8Array): boolean {
  const version = (quote[0] ?? 0) | ((quote[1] ?? 0) << 8)
  const offset = version === 5 ? reportDataOffsetV5 : reportDataOffset
  return equalBytes(quote.subarray(offset, offset + 64), reportData)
}

/** Raised when a key is not one that the pinned key management service derived for this application. */
export class ForeignKeyError extends BaseError {
  override readonly name = 'ForeignKeyError'
}

/** Whose keys are taken for sealing. */
export type KmsPin = {
  /** Compressed root key of the key management service. */
  readonly root: Hex
  /** Application that the key must belong to; absent: the one that the agent says it runs. */
  readonly appId?: Hex | undefined
}

/** Signed by the KMS's chain beside the key; it does not change the key. */
const sealingPurpose = 'sealing'

/**
 * The enclave's guest agent through `@phala/dstack-sdk`, whose answers are taken for nothing until
 * they are checked: the SDK resolves with error objects, throws unrelated TypeErrors on refusals and
 * hashes nothing that it is told to.
 *
 * - `getQuote` is given bytes: of a text it would quote the hex of the characters.
 * - What comes back must carry the report data that was asked for.
 * - With a pin, a sealing key must come with signatures that lead from it to the pinned KMS root.
 * - A unix socket reply is counted in UTF-16 units by the SDK: paths are ASCII only.
 *
 * @param endpoint - http URL or socket path; never taken from the environment.
 * @param kms - Absent: sealing keys are taken from whatever KMS the guest has.
 */
export function createGuestAgent(endpoint: string, kms?: KmsPin): GuestAgent {
  // Made on each call: the constructor throws while the socket is not there yet.
  const client = (): DstackClient => new DstackClient(endpoint)
  const ask = async <Answer>(method: string, call: () => Promise<Answer>): Promise<Answer> => {
    try {
      return await call()
    } catch (cause) {
      throw new GuestAgentError(`The guest agent did not answer ${method}.`, {
        field: 'guestAgent',
        remedy: 'Check that dstack’s guest agent is up and its socket is mounted.',
        cause,
      })
    }
  }
  const unbelievable = (method: string, problem: string): never => {
    throw new GuestAgentError(`The guest agent’s answer to ${method} cannot be used.`, {
      field: 'guestAgent',
      metaMessages: [`Problem: ${problem}`],
    })
  }

  /** The key's own public key, never one that comes with the chain. */
  async function assertKmsKey(key: Uint8Array, chain: readonly Uint8Array[], pin: KmsPin) {
    const appId = pin.appId ?? (await ownAppId())
    try {
      verifyKmsKey({
        publicKey: toHex(secp256k1.getPublicKey(key, true)),
        purpose: sealingPurpose,
        appId,
        signatureChain: chain.map((signature) => toHex(signature)),
        kmsRoot: pin.root,
      })
    } catch (cause) {
      throw new ForeignKeyError('The sealing key is not one of the pinned KMS for this app.', {
        field: 'kms.root',
        metaMessages: [`App id: ${appId}`, `KMS root: ${pin.root}`],
        remedy: 'Correct kms.root, or deploy under the KMS that it names. Nothing was sealed.',
        cause,
      })
    }
  }

  async function ownAppId(): Promise<Hex> {
    const parsed = identityResponse.safeParse(await ask('Info', () => client().info()))
    if (!parsed.success) return unbelievable('Info', 'it tells no app id')
    return `0x${parsed.data.app_id.toLowerCase()}`
  }

  return {
    async quote(reportData) {
      const answer = await ask('GetQuote', () => client().getQuote(reportData))
      const parsed = quoteResponse.safeParse(answer)
      if (!parsed.success) return unbelievable('GetQuote', 'it is no quote')
      const quote: Hex = `0x${parsed.data.quote.replace(/^0x/, '')}`
      if (!carries(fromHex(quote, 'quote'), reportData)) {
        return unbelievable('GetQuote', 'the quote is over other report data')
      }
      return { quote, eventLog: parsed.data.event_log }
    },
    async sealingKey(path) {
      if (!/^[!-~]+$/.test(path)) return unbelievable('GetKey', 'the path is not ASCII')
      const answer = await ask('GetKey', () => client().getKey(path, sealingPurpose))
      const { key, signature_chain: chain } = answer
      if (!(key instanceof Uint8Array) || key.length !== 32 || key.every((byte) => byte === 0)) {
        return unbelievable('GetKey', 'the key is not 32 bytes')
      }
      if (kms !== undefined) await assertKmsKey(key, chain, kms)
      return key
    },
    async appCompose() {
      const answer = await ask('Info', () => client().info())
      const parsed = infoResponse.safeParse(answer)
      // An agent may keep the TCB info to itself: then there is nothing to tell.
      return parsed.success ? parsed.data.tcb_info.app_compose : undefined
    },
  }
}
