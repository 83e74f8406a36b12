import { type Hex, concatBytes, fromHex, toHex } from '#schemas/bytes.ts'
import type { UnsignedTransaction } from '../ports.ts'
import { fastKeccak } from './fastKeccak.ts'

/**
 * The bytes of an EIP-1559 transaction. A merged settlement has 60 kB of call data, over which viem's
 * serializer takes longer than everything else that signing does; a test holds this one against it.
 *
 * @see EIP-1559; EIP-2718; Ethereum Yellow Paper, appendix B (RLP)
 */

const typeByte = new Uint8Array([2])

/** The shortest big-endian bytes; none for zero. */
function integerBytes(value: bigint | number): Uint8Array {
  const digits = value.toString(16)
  return digits === '0'
    ? new Uint8Array()
    : fromHex(digits.length % 2 === 0 ? digits : `0${digits}`, 'integer')
}

function withLength(bytes: Uint8Array, short: number): Uint8Array {
  if (bytes.length < 56) return concatBytes(new Uint8Array([short + bytes.length]), bytes)
  const length = integerBytes(bytes.length)
  return concatBytes(new Uint8Array([short + 55 + length.length]), length, bytes)
}

function item(bytes: Uint8Array): Uint8Array {
  const isItself = bytes.length === 1 && (bytes[0] ?? 0) < 0x80
  return isItself ? bytes : withLength(bytes, 0x80)
}

function list(items: readonly Uint8Array[]): Uint8Array {
  return withLength(concatBytes(...items), 0xc0)
}

function fieldsOf(transaction: UnsignedTransaction): Uint8Array[] {
  return [
    ...[
      transaction.chainId,
      transaction.nonce,
      transaction.maxPriorityFeePerGasWei,
      transaction.maxFeePerGasWei,
      transaction.gasLimit,
    ].map((value) => item(integerBytes(value))),
    item(fromHex(transaction.to, 'to', 20)),
    item(integerBytes(transaction.valueWei ?? 0n)),
    item(fromHex(transaction.data, 'data')),
    // No access list.
    list([]),
  ]
}

export type TransactionSignature = {
  readonly yParity: 0 | 1
  readonly r: bigint
  readonly s: bigint
}

/** What is signed, and how the signature becomes the transaction that nodes take. */
export function prepareTransaction(transaction: UnsignedTransaction): {
  readonly digest: Uint8Array
  readonly finish: (signature: TransactionSignature) => { readonly hash: Hex; readonly raw: Hex }
} {
  const fields = fieldsOf(transaction)
  return {
    digest: fastKeccak(concatBytes(typeByte, list(fields))),
    finish({ yParity, r, s }) {
      const signature = [yParity, r, s].map((value) => item(integerBytes(value)))
      const raw = concatBytes(typeByte, list([...fields, ...signature]))
      return { hash: toHex(fastKeccak(raw)), raw: toHex(raw) }
    },
  }
}
