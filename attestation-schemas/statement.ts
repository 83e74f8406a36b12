import type { WordField } from './abiWords.ts'
import { type Hex, concatBytes, fromHex, toHex } from './bytes.ts'
import { UnknownVersionError } from './report.ts'
import { defineStructure, hashStructure, signingDigest } from './typedData.ts'

export const statementVersion = 1

/**
 * What an enclave says about its own keys. Its hash and a recent block hash are the quote's report
 * data: the hardware vouches for exactly these keys, for this stream and this registry, since that
 * block.
 */
export type Statement = {
  readonly version: typeof statementVersion
  /** Address of the secp256k1 key made at boot; it never leaves the enclave. */
  readonly signer: Hex
  /** Ed25519 public key made at boot, for chains that verify that curve. */
  readonly ed25519PublicKey: Hex
  readonly stream: Hex
  /** SHA-256 of the release that the operator claims to run; the measurement decides, not this. */
  readonly release: Hex
  /** Chain whose blocks anchor freshness. */
  readonly anchorChainId: bigint
  /** Registry on that chain for which the quote was made. */
  readonly registry: Hex
}

const statementFields: readonly WordField[] = [
  { name: 'version', type: 'uint16' },
  { name: 'signer', type: 'address' },
  { name: 'ed25519PublicKey', type: 'bytes32' },
  { name: 'stream', type: 'bytes32' },
  { name: 'release', type: 'bytes32' },
  { name: 'anchorChainId', type: 'uint256' },
  { name: 'registry', type: 'address' },
]

export const statementStructure = defineStructure('Statement', statementFields)

/** EIP-712 structure hash of a statement. */
export function statementHash(statement: Statement): Hex {
  if (statement.version !== statementVersion) {
    throw new UnknownVersionError('statement', statement.version, statementVersion)
  }
  return hashStructure(statementStructure, statement)
}

/** What the signer signs to prove that it holds the key it states. */
export function possessionDigest(statement: Statement): Hex {
  return signingDigest(fromHex(statementHash(statement), 'statement', 32))
}

/**
 * The 64 bytes of a quote's report data: `statementHash ‖ blockHash`. A TDX quote carries no time;
 * the block hash says that it was not made before that block.
 */
export function statementReportData(statement: Statement, blockHash: Hex): Hex {
  return toHex(
    concatBytes(
      fromHex(statementHash(statement), 'statement', 32),
      fromHex(blockHash, 'blockHash', 32),
    ),
  )
}
