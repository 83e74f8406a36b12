import { isHex, keccak256, parseTransaction, recoverTransactionAddress } from 'viem'
import * as z from 'zod/mini'
import type { Hex } from '#schemas/bytes.ts'
import { toQuantity } from '../chain/words.ts'
import type { Fetch, TransactionSigner, UnsignedTransaction } from '../ports.ts'
import { SignerUnavailableError, WrongSignatureError } from './signerErrors.ts'

export type RemoteSignerOptions = {
  readonly url: string
  readonly address: Hex
  readonly fetch: Fetch
  /** Sent as `Authorization: Bearer …`. */
  readonly token?: string
  readonly timeoutMs?: number
}

const hex = z.string().check(z.maxLength(600_000))
const answerSchema = z.object({
  // Web3signer answers with the bytes, geth and clef with an object around them.
  result: z.optional(z.union([hex, z.object({ raw: hex })])),
  error: z.optional(z.object({ code: z.optional(z.number()) })),
})

/**
 * Signs through `eth_signTransaction` over JSON-RPC, which Web3signer (over AWS, Azure, Google or
 * Vault keys), clef and others speak. What comes back is held against what was asked for, field by
 * field, before it is used: a signer that was broken into can refuse to serve, it cannot make the
 * lane send something else.
 */
export function createRemoteSigner(options: RemoteSignerOptions): TransactionSigner {
  const { url, fetch, token, timeoutMs = 10_000 } = options
  const address = options.address.toLowerCase() as Hex

  async function ask(transaction: UnsignedTransaction): Promise<unknown> {
    const { nonce, to, data, gasLimit, chainId } = transaction
    let response: Response
    try {
      response = await fetch(url, {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        },
        body: JSON.stringify({
          jsonrpc: '2.0',
          id: 1,
          method: 'eth_signTransaction',
          params: [
            {
              from: address,
              to,
              data,
              value: toQuantity(transaction.valueWei ?? 0n),
              nonce: toQuantity(nonce),
              gas: toQuantity(gasLimit),
              maxFeePerGas: toQuantity(transaction.maxFeePerGasWei),
              maxPriorityFeePerGas: toQuantity(transaction.maxPriorityFeePerGasWei),
              chainId: toQuantity(chainId),
            },
          ],
        }),
        signal: AbortSignal.timeout(timeoutMs),
      })
    } catch {
      // The cause is dropped: a platform's message may quote the address, and with it a key.
      throw new SignerUnavailableError('The remote signer could not be reached.', {
        remedy: 'Check SIGNER_URL and whether the signer runs.',
      })
    }
    if (!response.ok) {
      throw new SignerUnavailableError(`The remote signer answered HTTP ${response.status}.`, {
        remedy: 'Look at the signer’s log; check SIGNER_TOKEN.',
      })
    }
    return response.json().catch(() => undefined)
  }

  return {
    address,
    async sign(transaction) {
      const answer = answerSchema.safeParse(await ask(transaction))
      const result = answer.success ? answer.data.result : undefined
      const raw = typeof result === 'object' ? result.raw : result
      if (raw === undefined || !isHex(raw)) {
        const code = answer.success ? answer.data.error?.code : undefined
        throw new SignerUnavailableError(
          code === undefined
            ? 'The remote signer’s answer holds no signed transaction.'
            : `The remote signer refused with code ${code}.`,
          { remedy: 'Check that it holds the key of this address and may sign for this chain.' },
        )
      }
      await assertSigned(raw, transaction, address)
      return { hash: keccak256(raw), raw }
    },
  }
}

async function assertSigned(raw: Hex, wanted: UnsignedTransaction, address: Hex): Promise<void> {
  let signed: ReturnType<typeof parseTransaction>
  let sender: Hex
  try {
    const serializedTransaction = raw as `0x02${string}`
    signed = parseTransaction(serializedTransaction)
    sender = (await recoverTransactionAddress({ serializedTransaction })).toLowerCase() as Hex
  } catch (cause) {
    throw new WrongSignatureError('The remote signer’s answer is not a signed transaction.', {
      cause,
    })
  }
  const pairs: readonly (readonly [field: string, expected: unknown, actual: unknown])[] = [
    ['sender', address, sender],
    ['type', 'eip1559', signed.type],
    ['chainId', wanted.chainId, signed.chainId],
    ['nonce', wanted.nonce, signed.nonce ?? 0],
    ['to', wanted.to.toLowerCase(), signed.to?.toLowerCase()],
    ['data', wanted.data, signed.data ?? '0x'],
    ['value', wanted.valueWei ?? 0n, signed.value ?? 0n],
    ['gas', wanted.gasLimit, signed.gas],
    ['maxFeePerGas', wanted.maxFeePerGasWei, signed.maxFeePerGas ?? 0n],
    ['maxPriorityFeePerGas', wanted.maxPriorityFeePerGasWei, signed.maxPriorityFeePerGas ?? 0n],
    ['accessList', 0, signed.accessList?.length ?? 0],
  ]
  for (const [field, expected, actual] of pairs) {
    if (expected === actual) continue
    throw new WrongSignatureError('The remote signer signed something else than it was asked to.', {
      field,
      metaMessages:
        field === 'data' ? [] : [`Expected: ${String(expected)}`, `Actual: ${String(actual)}`],
      remedy: 'Do not use this signer before it is known why.',
    })
  }
}
