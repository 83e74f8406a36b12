import { createNodeSql } from '#relayer/adapters/node/nodeSql.ts'
import { registerCall } from '#relayer/chain/calls.ts'
import { jobsOfBatch } from '#relayer/feed/jobsOfBatch.ts'
import { verifyBatch } from '#relayer/feed/verifyBatch.ts'
import type { Job } from '#relayer/lane/job.ts'
import type { LanePolicy } from '#relayer/lane/lane.ts'
import { policyDefaults } from '#relayer/lane/policy.ts'
import { decodePlan } from '#relayer/plan/plan.ts'
import type { Sql } from '#relayer/ports.ts'
import { type LaneRuntime, createLaneRuntime } from '#relayer/runtime/laneRuntime.ts'
import { type LaneStore, createLaneStore } from '#relayer/runtime/laneStore.ts'
import { zeroHash } from '#schemas/report.ts'
import {
  type SimulatedChain,
  createSimulatedChain,
  createSimulatedSigner,
  poisonFrom,
  simulatedContract,
  simulatedSender,
} from './simulatedChain.ts'
import { createTestStream, subjectOf, testPolicy, testReport, testStream } from './testStream.ts'

/** Thrown where the process dies; nothing after it happens, what was stored before stays. */
class Death extends Error {
  override readonly name = 'Death'
}

export type Simulation = {
  readonly chain: SimulatedChain
  readonly store: LaneStore
  nowMs(): number
  pass(milliseconds: number): void
  enqueue(jobs: readonly Job[]): Promise<void>
  /** Rings the alarm when it is due. @returns whether it was */
  ringIfDue(): Promise<boolean>
  operate: LaneRuntime['operate']
  runtime(): LaneRuntime
  /** The process dies at the n-th call through a port from now on; a new one starts from the store. */
  dieAfter(portCalls: number): void
  deaths(): number
  /** Lets time pass with nothing happening but alarms and blocks. */
  idle(milliseconds: number): Promise<void>
  /** Lets time pass in steps, with a block each `blockMs`, until nothing is left to do. */
  settle(options?: { readonly blockMs?: number; readonly steps?: number }): Promise<boolean>
}

export const simulatedPolicy: LanePolicy = {
  ...policyDefaults,
  chainId: 1,
  sender: simulatedSender,
  confirmations: 3,
  pollMs: 500,
  window: 8,
  batchSize: 1,
  maxFeePerGasWei: 100_000_000_000n,
}

/** A lane over a real SQLite database and a simulated chain, in virtual time. */
export function simulate(
  policy: Partial<LanePolicy> = {},
  chain: SimulatedChain = createSimulatedChain(),
): Simulation {
  let nowMs = 1_800_000_000_000
  let alarmAtMs: number | undefined
  let portCallsLeft = Infinity
  let deaths = 0
  const inner = createNodeSql(':memory:')
  const signer = createSimulatedSigner()

  function boot(): { readonly runtime: LaneRuntime; readonly life: { isAlive: boolean } } {
    const life = { isAlive: true }
    /** Passed before and after each effect: both are places to die at. */
    const portCall = (): void => {
      if (!life.isAlive) throw new Death('dead')
      portCallsLeft -= 1
      if (portCallsLeft > 0) return
      portCallsLeft = Infinity
      life.isAlive = false
      throw new Death('SIGKILL')
    }
    const sql: Sql = {
      all: (query, ...values) => inner.all(query, ...values),
      transaction(work) {
        portCall()
        const result = inner.transaction(work)
        portCall()
        return result
      },
    }
    const ask: SimulatedChain['rpc']['ask'] = async (calls) => {
      portCall()
      const answers = await chain.rpc.ask(calls)
      portCall()
      return answers
    }
    const runtime = createLaneRuntime({
      store: createLaneStore(sql),
      alarm: {
        set(atMs) {
          if (life.isAlive) alarmAtMs = atMs
          return Promise.resolve()
        },
      },
      now: () => nowMs,
      rpc: { ...chain.rpc, ask, each: () => [{ ask, accuse: () => undefined }] },
      signer: {
        address: signer.address,
        async sign(transaction) {
          portCall()
          return signer.sign(transaction)
        },
      },
      policy: { ...simulatedPolicy, ...policy },
      enclaveRegistry: simulatedContract,
      proofRegistry: simulatedContract,
      streams: [testStream],
      prepareRegistration: (registered) =>
        Promise.resolve(
          registerCall(
            simulatedContract,
            {
              statement: {
                version: 1,
                signer: registered,
                ed25519PublicKey: zeroHash,
                stream: testStream,
                release: zeroHash,
                anchorChainId: 1n,
                registry: simulatedContract,
              },
              possession: `0x${'00'.repeat(65)}`,
              quote: '0x00',
              blockNumber: 0n,
              blockHash: zeroHash,
            },
            '0x00',
          ),
        ),
      contractErrors: [],
    })
    return { runtime, life }
  }

  const store = createLaneStore(inner)
  let process = boot()

  /** What a supervisor does: a dead process is started again, and its overdue alarm rings. */
  function restartIfDead(): void {
    if (process.life.isAlive) return
    deaths += 1
    alarmAtMs = nowMs
    const left = portCallsLeft
    portCallsLeft = Infinity
    process = boot()
    portCallsLeft = left
  }

  async function ringIfDue(): Promise<boolean> {
    if (alarmAtMs === undefined || alarmAtMs > nowMs) return false
    alarmAtMs = undefined
    await process.runtime.turn()
    restartIfDead()
    return true
  }

  return {
    chain,
    store,
    nowMs: () => nowMs,
    pass(milliseconds) {
      nowMs += milliseconds
    },
    async enqueue(jobs) {
      // What a feed does: it hands over again until it is told that the jobs are stored.
      for (let isStored = false; !isStored;) {
        try {
          await process.runtime.enqueue(jobs)
          isStored = true
        } catch (cause) {
          if (!(cause instanceof Death)) throw cause
        }
        restartIfDead()
      }
    },
    ringIfDue,
    operate: (request) => process.runtime.operate(request),
    runtime: () => process.runtime,
    dieAfter(portCalls) {
      portCallsLeft = portCalls
    },
    deaths: () => deaths,
    async idle(milliseconds) {
      for (let passed = 0; passed < milliseconds; passed += 1_000) {
        for (let rings = 0; rings < 20 && (await ringIfDue()); rings += 1);
        nowMs += 1_000
        chain.mine()
      }
    },
    async settle({ blockMs = 1_000, steps = 2_000 } = {}) {
      let sinceBlockMs = 0
      for (let step = 0; step < steps; step += 1) {
        // A few rings a step: a turn may ask for another one at once.
        for (let rings = 0; rings < 20 && (await ringIfDue()); rings += 1);
        const counts = store.countByStage()
        const isOver =
          counts.queued + counts.simulated + counts.signed + counts.sent + counts.included === 0
        if (isOver) return true
        nowMs += 250
        sinceBlockMs += 250
        if (sinceBlockMs >= blockMs) {
          sinceBlockMs = 0
          chain.mine()
        }
      }
      return false
    },
  }
}

/** Jobs of `batches` batches with `settlements` settlements each, made the way the feed makes them. */
export function simulatedJobs(
  batches: number,
  settlements: number,
  /** Of the settlements, how many have agreements that refuse every report. */
  poisoned = 0,
): Job[][] {
  const stream = createTestStream()
  const plan = decodePlan({
    version: 1,
    worker: 'http://worker',
    stream: testStream,
    chains: [
      {
        chainId: 1,
        rpcUrls: ['http://chain'],
        enclaveRegistry: simulatedContract,
        proofRegistry: simulatedContract,
      },
    ],
    settlements: Array.from({ length: settlements }, (_, subject) => ({
      chainId: 1,
      contract: simulatedContract,
      kind: 'stand-in',
      agreementId: subject < poisoned ? poisonFrom + subject : subject,
      subject: subjectOf(subject),
      policyId: testPolicy,
      label: `plant ${subject}`,
    })),
  })
  return Array.from({ length: batches }, (_, period) => {
    const previous = stream.batches().at(-1)
    const reports = Array.from({ length: settlements }, (__, subject) =>
      testReport(subject, period),
    )
    const signed = stream.close(reports)
    const cursor = {
      sequence: previous?.batch.sequence ?? 0n,
      digest: previous?.digest ?? zeroHash,
    }
    const { reports: verified } = verifyBatch(testStream, cursor, signed)
    return [...(jobsOfBatch(plan, signed, verified, 0).get(1) ?? [])]
  })
}
