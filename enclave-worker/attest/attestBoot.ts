import { concatBytes, fromHex, type Hex, utf8 } from '#schemas/bytes.ts'
import { keccak } from '#schemas/keccak.ts'
import {
  type Statement,
  possessionDigest,
  statementHash,
  statementReportData,
  statementVersion,
} from '#schemas/statement.ts'
import type { Attestation } from '#schemas/workerApi.ts'
import type { BlockSource, GuestAgent } from '../ports.ts'
import type { BootKeys } from './bootKeys.ts'

export type AttestationTarget = {
  readonly stream: Hex
  readonly release: Hex
  readonly chainId: bigint
  readonly registry: Hex
}

/** The statement that this boot's keys make for one registry. */
export function statementOf(keys: BootKeys, target: AttestationTarget): Statement {
  return {
    version: statementVersion,
    signer: keys.signer,
    ed25519PublicKey: keys.ed25519PublicKey,
    stream: target.stream,
    release: target.release,
    anchorChainId: target.chainId,
    registry: target.registry,
  }
}

const nonceTag = utf8('plumbline/nonce/1')

/**
 * The second half of the report data of a quote that answers a nonce:
 * `keccak256("plumbline/nonce/1" ‖ blockHash ‖ nonce)`. Such a quote is for whoever sent the nonce;
 * a registry takes only those without.
 */
export function nonceReportData(statement: Statement, blockHash: Hex, nonce: Hex): Uint8Array {
  return concatBytes(
    fromHex(statementHash(statement), 'statement', 32),
    keccak(nonceTag, fromHex(blockHash, 'blockHash', 32), fromHex(nonce, 'nonce')),
  )
}

/**
 * Asks the hardware to vouch for this boot's keys, for one registry, since one recent block.
 *
 * @throws what the chain or the guest agent throw, as their adapters translated it.
 */
export async function attestBoot(
  keys: BootKeys,
  target: AttestationTarget,
  { blocks, agent }: { blocks: BlockSource; agent: GuestAgent },
  nonce?: Hex,
): Promise<Attestation> {
  const statement = statementOf(keys, target)
  const block = await blocks.latest()
  const reportData =
    nonce === undefined
      ? fromHex(statementReportData(statement, block.hash), 'reportData', 64)
      : nonceReportData(statement, block.hash, nonce)
  const { quote, eventLog } = await agent.quote(reportData)
  const appCompose = await agent.appCompose()
  return {
    statement,
    possession: keys.sign(possessionDigest(statement)),
    quote,
    blockNumber: block.number,
    blockHash: block.hash,
    eventLog,
    ...(appCompose === undefined ? {} : { appCompose }),
  }
}
