import { randomBytes } from 'node:crypto'
import type { Hex } from '#schemas/bytes.ts'
import { type WorkerPorts } from '#worker/createWorker.ts'
import type { ChainBlock, Log } from '#worker/ports.ts'

/** A world that a test owns: its clock and its chain stand still until they are moved. */
export type TestWorld = {
  nowMs: number
  /** What the anchor chain tells; follows the clock unless it is set. */
  block: ChainBlock | undefined
  /** What the chain's proof registry remembers of the stream. */
  head: { sequence: bigint; digest: Hex } | undefined
  /** The registry is configured and does not answer. */
  isHeadAway: boolean
  /** Called between the cut of a batch and its judgement. */
  onCut: (() => Promise<void>) | undefined
  readonly lines: { readonly level: string; readonly event: string }[]
}

export function createTestWorld(nowMs: number): TestWorld {
  return {
    nowMs,
    block: undefined,
    head: undefined,
    isHeadAway: false,
    onCut: undefined,
    lines: [],
  }
}

/**
 * Ports over a test's world. The guest agent's and the chain's own adapters are tested against real
 * ones elsewhere; here what counts is what the worker does at every instant of a time that is told.
 */
export function testPorts(
  world: TestWorld,
  chainIds: readonly bigint[],
  failpoint?: (name: string) => void,
): WorkerPorts {
  const log: Log = (level, event) => {
    world.lines.push({ level, event })
  }
  const hash: Hex = `0x${'0b'.repeat(32)}`
  const latest = (): Promise<ChainBlock> =>
    Promise.resolve(world.block ?? { number: BigInt(world.nowMs), hash, timestampMs: world.nowMs })
  return {
    clock: { nowMs: () => world.nowMs },
    log,
    agent: {
      quote: (reportData) =>
        Promise.resolve({
          quote: `0x${Buffer.from(reportData).toString('hex')}`,
          eventLog: '[]',
        }),
      sealingKey: () => Promise.resolve(new Uint8Array(32).fill(0x5e)),
      appCompose: () => Promise.resolve(undefined),
    },
    blocks: new Map(chainIds.map((chainId) => [chainId, { latest }])),
    heads: new Map(
      world.head === undefined && !world.isHeadAway
        ? []
        : chainIds.map((chainId) => [
            chainId,
            {
              head: () =>
                world.head === undefined || world.isHeadAway
                  ? Promise.reject(new Error('no node'))
                  : Promise.resolve(world.head),
            },
          ]),
    ),
    randomBytes: (length) => randomBytes(length),
    failpoint:
      failpoint ?? (async (name) => (name === 'close.afterCut' ? world.onCut?.() : undefined)),
  }
}
