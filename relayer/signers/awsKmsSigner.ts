import * as z from 'zod/mini'
import type { Hex } from '#schemas/bytes.ts'
import { signerOfAccount } from '../chain/localSigner.ts'
import type { Fetch, Now, TransactionSigner } from '../ports.ts'
import { accountOfDigestSigner } from './digestAccount.ts'
import { type AwsCredentials, signedHeaders } from './sigV4.ts'
import { SignerUnavailableError } from './signerErrors.ts'

export type AwsKmsOptions = {
  readonly region: string
  /** Key id, ARN or alias of an `ECC_SECG_P256K1` key with usage `SIGN_VERIFY`. */
  readonly keyId: string
  /** Address of that key. */
  readonly address: Hex
  readonly credentials: AwsCredentials
  readonly fetch: Fetch
  readonly now: Now
  /** Another endpoint than the region's own, such as a VPC endpoint. */
  readonly endpoint?: string
  readonly timeoutMs?: number
}

const answerSchema = z.object({ Signature: z.base64().check(z.maxLength(200)) })
const refusalSchema = z.object({ __type: z.string().check(z.maxLength(200)) })

function toBase64(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes))
}

function fromBase64(text: string): Uint8Array {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0))
}

/**
 * Signs with a key that never leaves AWS KMS. Plain HTTPS and Signature Version 4: no SDK, so that it
 * runs in a Worker as it runs in Node.
 *
 * @see AWS KMS API reference, `Sign`: `MessageType` DIGEST, `SigningAlgorithm` ECDSA_SHA_256
 */
export function createAwsKmsSigner(options: AwsKmsOptions): TransactionSigner {
  const { region, keyId, address, credentials, fetch, now, timeoutMs = 10_000 } = options
  const url = new URL(options.endpoint ?? `https://kms.${region}.amazonaws.com/`)

  async function signDigest(digest: Uint8Array): Promise<Uint8Array> {
    const body = JSON.stringify({
      KeyId: keyId,
      Message: toBase64(digest),
      MessageType: 'DIGEST',
      SigningAlgorithm: 'ECDSA_SHA_256',
    })
    const headers = signedHeaders(
      {
        method: 'POST',
        host: url.host,
        path: url.pathname,
        headers: {
          'content-type': 'application/x-amz-json-1.1',
          'x-amz-target': 'TrentService.Sign',
        },
        body,
      },
      { region, service: 'kms' },
      credentials,
      now(),
    )
    let status: number
    let text: string
    try {
      // The platform sets `host` from the address by itself; it is signed all the same.
      const { host: _, ...sent } = headers
      const signal = AbortSignal.timeout(timeoutMs)
      const response = await fetch(url.href, { method: 'POST', headers: sent, body, signal })
      status = response.status
      text = (await response.text()).slice(0, 4_000)
    } catch {
      // The cause is dropped: a platform's message may quote headers.
      throw new SignerUnavailableError('AWS KMS could not be reached.', {
        remedy: 'Check the region, the endpoint and the way out of this network.',
      })
    }
    const value = parsed(text)
    const answer = answerSchema.safeParse(value)
    if (status === 200 && answer.success) return fromBase64(answer.data.Signature)
    const refusal = refusalSchema.safeParse(value)
    // `com.amazonaws.kms#DisabledException` and the like; the message beside it may name accounts.
    const kind = refusal.success ? refusal.data.__type.replace(/^.*#/, '') : 'no known answer'
    throw new SignerUnavailableError(`AWS KMS did not sign: HTTP ${status}, ${kind}.`, {
      remedy: 'Check that the key is enabled and that these credentials may call kms:Sign on it.',
    })
  }

  return signerOfAccount(accountOfDigestSigner(address, signDigest))
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
