import { type Hex, fromHex } from '#schemas/bytes.ts'
import { BaseError } from '#schemas/errors.ts'
import { type Attestation, attestationSchema, readMessage } from '#schemas/workerApi.ts'
import type { RegistryTarget } from '../config.ts'
import { RateLimitedError } from '../ingest/refusals.ts'
import type { Ledger } from '../ledger/ledger.ts'
import { decodeRecord, encodeJsonRecord } from '../ledger/records.ts'
import type { BlockSource, CollateralSource, GuestAgent, Log } from '../ports.ts'
import type { WorkerState } from '../state/workerState.ts'
import { type AttestationTarget, attestBoot } from './attestBoot.ts'
import type { BootKeys } from './bootKeys.ts'

/** Raised when nothing is attested for that chain or signer. */
export class UnknownAttestationError extends BaseError {
  override readonly name = 'UnknownAttestationError'
}

/** Raised until the platform has vouched for this boot's keys. */
export class NotAttestedYetError extends BaseError {
  override readonly name = 'NotAttestedYetError'
  override readonly retryable = true
}

export type Attestations = {
  /**
   * Attests every registry that is not attested yet or not since {@link renewAtLatestMs}, and fetches
   * collateral where it is missing; failures are logged and tried again later.
   */
  attestDue(): Promise<void>
  isAttested(chainId: bigint): boolean
  /** When this boot's newest attestation for each registry was made, Unix milliseconds. */
  madeMs(): ReadonlyMap<bigint, number>
  /** The attestation for a registry: of this boot, renewed when its block has grown old. */
  current(chainId: bigint, nonce?: Hex): Promise<Attestation>
  /** As it is kept, however old: for proofs of what was signed, not for registering a signer. */
  kept(chainId: bigint, signer: Hex): Promise<Attestation>
  /** A stored one, of this or an earlier boot. */
  stored(chainId: bigint, signer: Hex): Promise<Attestation>
}

export function attestationKey(signer: Hex, chainId: bigint): string {
  return `${signer}/${chainId}`
}

/** BLOCKHASH reaches back 256 blocks; renewing at a quarter leaves a relayer time to land. */
const renewAfterBlocks = 64n
const maxQuotesAtOnce = 4
/** However fast blocks come, quotes are not made more often than this. */
const renewAfterMs = 10_000
/**
 * And however seldom anybody asks, not more rarely. A registration lives seven days at most, a
 * registry looks back 8191 blocks (27 hours at 12 s): an attestation of the last hours is always in
 * the ledger, so that a signer can still be registered when its process is gone, and a platform that
 * no longer quotes is noticed days before a registration runs out.
 */
const renewAtLatestMs = 12 * 3_600_000
/** Between two tries of a renewal; what is missing altogether is tried at every call. */
const retryRenewalMs = 60_000

function describe(error: unknown): string {
  return error instanceof BaseError ? error.shortMessage : String(error)
}

export function createAttestations(parts: {
  readonly keys: BootKeys
  readonly stream: Hex
  readonly release: Hex
  readonly registries: readonly RegistryTarget[]
  readonly blocks: ReadonlyMap<bigint, BlockSource>
  readonly agent: GuestAgent
  /** Absent: attestations carry no collateral. */
  readonly collateral: CollateralSource | undefined
  readonly ledger: Ledger
  readonly state: WorkerState
  readonly log: Log
  readonly nowMs: () => number
}): Attestations {
  const { keys, ledger, state, log } = parts
  const current = new Map<bigint, { attestation: Attestation; madeMs: number }>()
  const making = new Map<bigint, Promise<Attestation>>()
  const triedMs = new Map<bigint, number>()
  let quoting = 0

  function sourcesOf(chainId: bigint): { target: AttestationTarget; blocks: BlockSource } {
    const registry = parts.registries.find((entry) => entry.chainId === chainId)
    const blocks = parts.blocks.get(chainId)
    if (registry === undefined || blocks === undefined) {
      throw new UnknownAttestationError(`No registry on chain ${chainId} is configured.`, {
        field: 'chain',
        metaMessages: [`Configured: ${parts.registries.map((entry) => entry.chainId).join(', ')}`],
      })
    }
    const { stream, release } = parts
    return { target: { stream, release, chainId, registry: registry.registry }, blocks }
  }

  async function make(chainId: bigint): Promise<Attestation> {
    const { target, blocks } = sourcesOf(chainId)
    const bare = await attestBoot(keys, target, { blocks, agent: parts.agent })
    const attestation = await withCollateral(bare)
    await keep(chainId, attestation, parts.nowMs())
    log('info', 'attested', { chainId, signer: keys.signer, blockNumber: attestation.blockNumber })
    return attestation
  }

  async function keep(chainId: bigint, attestation: Attestation, madeMs: number): Promise<void> {
    const position = ledger.append(encodeJsonRecord('attestation', attestation))
    // Durable before it is served: a batch by a signer that nobody can look up would be stuck.
    await ledger.commit()
    state.attestations.set(attestationKey(keys.signer, chainId), position)
    current.set(chainId, { attestation, madeMs })
  }

  /** A service that is away delays bundles, never the registration of a signer. */
  async function withCollateral(attestation: Attestation): Promise<Attestation> {
    if (parts.collateral === undefined) return attestation
    try {
      const collateral = await parts.collateral.collateral(fromHex(attestation.quote, 'quote'))
      const collateralAtSeconds = Math.floor(parts.nowMs() / 1000)
      return { ...attestation, collateral, collateralAtSeconds }
    } catch (error) {
      log('warn', 'no collateral', { error: describe(error) })
      return attestation
    }
  }

  async function fetchMissingCollateral(): Promise<void> {
    if (parts.collateral === undefined) return
    for (const [chainId, { attestation, madeMs }] of current) {
      if (attestation.collateral !== undefined || making.has(chainId)) continue
      const complete = await withCollateral(attestation)
      // One failure is enough: the same service would be asked for the same platform.
      if (complete.collateral === undefined) return
      if (current.get(chainId)?.attestation === attestation) await keep(chainId, complete, madeMs)
    }
  }

  function makeOnce(chainId: bigint): Promise<Attestation> {
    const known = making.get(chainId)
    if (known !== undefined) return known
    const made = make(chainId).finally(() => making.delete(chainId))
    making.set(chainId, made)
    return made
  }

  /** Anyone may ask for a quote and a quote costs the platform time: a few at once, no more. */
  async function quoteFor(
    target: AttestationTarget,
    blocks: BlockSource,
    nonce: Hex,
  ): Promise<Attestation> {
    if (quoting >= maxQuotesAtOnce) {
      throw new RateLimitedError('Too many fresh quotes are asked for at once.', 'nonce', 1)
    }
    quoting += 1
    try {
      return await attestBoot(keys, target, { blocks, agent: parts.agent }, nonce)
    } finally {
      quoting -= 1
    }
  }

  function isDue(chainId: bigint): boolean {
    const known = current.get(chainId)
    if (known === undefined) return true
    const nowMs = parts.nowMs()
    return (
      nowMs - known.madeMs >= renewAtLatestMs &&
      nowMs - (triedMs.get(chainId) ?? 0) >= retryRenewalMs
    )
  }

  return {
    async attestDue() {
      await Promise.all(
        parts.registries
          .filter(({ chainId }) => isDue(chainId))
          .map(async ({ chainId }) => {
            triedMs.set(chainId, parts.nowMs())
            try {
              await makeOnce(chainId)
            } catch (error) {
              const event = current.has(chainId) ? 'renewal failed' : 'attestation failed'
              log('warn', event, { chainId, error: describe(error) })
            }
          }),
      )
      await fetchMissingCollateral()
    },
    isAttested: (chainId) => current.has(chainId),
    madeMs: () => new Map([...current].map(([chainId, { madeMs }]) => [chainId, madeMs])),
    async current(chainId, nonce) {
      const { target, blocks } = sourcesOf(chainId)
      if (nonce !== undefined) return quoteFor(target, blocks, nonce)
      const known = current.get(chainId)
      if (known === undefined) return makeOnce(chainId)
      if (parts.nowMs() - known.madeMs < renewAfterMs) return known.attestation
      try {
        const { number } = await blocks.latest()
        if (number < known.attestation.blockNumber + renewAfterBlocks) return known.attestation
        return await makeOnce(chainId)
      } catch (error) {
        // An attestation that is a little old is better than none while a node is away.
        log('warn', 'renewal failed', { chainId, error: describe(error) })
        return known.attestation
      }
    },
    async stored(chainId, signer) {
      if (signer === keys.signer && current.has(chainId)) return this.current(chainId)
      return this.kept(chainId, signer)
    },
    async kept(chainId, signer) {
      const known = signer === keys.signer ? current.get(chainId) : undefined
      if (known !== undefined) return known.attestation
      const position = state.attestations.get(attestationKey(signer, chainId))
      if (position === undefined) {
        throw new UnknownAttestationError(
          `${signer} has no attestation for chain ${chainId} here.`,
          {
            field: 'signer',
          },
        )
      }
      const record = decodeRecord(await ledger.read(position))
      if (record.kind !== 'attestation') throw new UnknownAttestationError('Not an attestation.')
      return readMessage(attestationSchema, record.json, 'attestation')
    },
  }
}
