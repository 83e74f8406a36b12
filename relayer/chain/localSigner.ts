import { keccak256 } from 'viem'
import { type LocalAccount, privateKeyToAddress, sign } from 'viem/accounts'
import { type Hex, toHex } from '#schemas/bytes.ts'
import { BaseError } from '#schemas/errors.ts'
import type { TransactionSigner } from '../ports.ts'
import { prepareTransaction } from './transactionBytes.ts'

/** Raised when a sender key is absent or unusable. The message never holds any part of it. */
export class SenderKeyError extends BaseError {
  override readonly name = 'SenderKeyError'
}

/** Any viem account can sign for a lane: a local key, or one that calls out to a KMS. */
export function signerOfAccount(
  account: Pick<LocalAccount, 'address' | 'signTransaction'>,
): TransactionSigner {
  return {
    address: account.address.toLowerCase() as Hex,
    async sign(transaction) {
      const raw = await account.signTransaction({
        type: 'eip1559',
        chainId: transaction.chainId,
        nonce: transaction.nonce,
        to: transaction.to,
        data: transaction.data,
        value: transaction.valueWei ?? 0n,
        gas: transaction.gasLimit,
        maxFeePerGas: transaction.maxFeePerGasWei,
        maxPriorityFeePerGas: transaction.maxPriorityFeePerGasWei,
      })
      return { hash: keccak256(raw), raw }
    },
  }
}

/** @throws {@link SenderKeyError} */
export function createLocalSigner(privateKey: string, field: string): TransactionSigner {
  const remedy = 'Set it to 32 bytes of hex with 0x, as a secret and never as a plain variable.'
  if (!/^0x[0-9a-fA-F]{64}$/.test(privateKey)) {
    throw new SenderKeyError('The sender key is not a private key.', { field, remedy })
  }
  try {
    // Not by an account: it would bring every kind of transaction and typed data with it.
    const key = privateKey as Hex
    return {
      address: privateKeyToAddress(key).toLowerCase() as Hex,
      async sign(transaction) {
        const { digest, finish } = prepareTransaction(transaction)
        const { r, s, yParity } = await sign({ hash: toHex(digest), privateKey: key })
        return finish({ r: BigInt(r), s: BigInt(s), yParity: yParity === 0 ? 0 : 1 })
      },
    }
  } catch {
    // The cause is dropped on purpose: a library's message could quote the key.
    throw new SenderKeyError('The sender key is outside the range of the curve.', { field, remedy })
  }
}
