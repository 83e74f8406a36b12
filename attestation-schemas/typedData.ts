import { type WordField, abiWords } from './abiWords.ts'
import { type Hex, concatBytes, toHex, utf8 } from './bytes.ts'
import { keccak } from './keccak.ts'

/** A structure whose every field is one word: what EIP-712 hashes without recursion. */
export type TypedStructure = {
  readonly name: string
  readonly fields: readonly WordField[]
  /** The EIP-712 type string, for example `Batch(bytes32 stream,uint64 sequence,…)`. */
  readonly typeString: string
  readonly typeHash: Uint8Array
}

export function defineStructure(name: string, fields: readonly WordField[]): TypedStructure {
  const typeString = `${name}(${fields.map((field) => `${field.type} ${field.name}`).join(',')})`
  return { name, fields, typeString, typeHash: keccak(utf8(typeString)) }
}

/**
 * The signing domain of every Plumbline structure. It has no chain id and no contract on purpose: a
 * batch is a fact and holds on every chain. What may happen only once, in one place, is bound by the
 * report's `exclusiveTo` instead.
 *
 * @see EIP-712, "Definition of domainSeparator"
 */
export const signingDomain = { name: 'Plumbline', version: '1' } as const

const domainSeparator = keccak(
  keccak(utf8('EIP712Domain(string name,string version)')),
  keccak(utf8(signingDomain.name)),
  keccak(utf8(signingDomain.version)),
)

/** The domain separator, as hex, for comparison with the contracts. */
export const domainSeparatorHex: Hex = toHex(domainSeparator)

/** EIP-712 hashStruct: `keccak256(typeHash ‖ words)`. */
export function hashStructure(
  structure: TypedStructure,
  values: Readonly<Record<string, bigint | number | Hex>>,
): Hex {
  return toHex(keccak(structure.typeHash, abiWords(structure.fields, values)))
}

const prefix = new Uint8Array([0x19, 0x01])

/** EIP-712 digest: what the enclave key signs, and the identity of what was signed. */
export function signingDigest(structHash: Uint8Array): Hex {
  return toHex(keccak(concatBytes(prefix, domainSeparator, structHash)))
}
