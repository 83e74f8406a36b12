import { type LocalAccount, toAccount } from 'viem/accounts'
import { hexToBytes, keccak256, serializeTransaction } from 'viem'
import type { Hex } from '#schemas/bytes.ts'
import { signatureOfDer } from './derSignature.ts'
import { SignerUnavailableError } from './signerErrors.ts'

/**
 * A viem account over a service that signs digests and answers in DER: AWS KMS, Google Cloud KMS,
 * Azure Key Vault, a PKCS#11 module. It signs transactions and nothing else.
 */
export function accountOfDigestSigner(
  address: Hex,
  signDigest: (digest: Uint8Array) => Promise<Uint8Array>,
): LocalAccount {
  const onlyTransactions = (): Promise<never> =>
    Promise.reject(new SignerUnavailableError('This signer signs transactions only.'))
  return toAccount({
    address,
    signMessage: onlyTransactions,
    signTypedData: onlyTransactions,
    async signTransaction(transaction, options) {
      const serialize = options?.serializer ?? serializeTransaction
      const digest = hexToBytes(keccak256(await serialize(transaction)))
      const signature = signatureOfDer(await signDigest(digest), digest, address)
      return serialize(transaction, signature)
    },
  })
}
