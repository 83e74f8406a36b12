import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { statfs } from 'node:fs/promises'
import { evaluate } from '#evaluation/evaluate.ts'
import type { Hex } from '#schemas/bytes.ts'
import { fromHex } from '#schemas/bytes.ts'
import { BaseError } from '#schemas/errors.ts'
import { createFastKeccakPairs } from '#schemas/merkle/fastPairHashers.ts'
import type { SignedBatch } from '#schemas/workerApi.ts'
import { createChainBlocks } from './adapters/chainBlocks.ts'
import { createGuestAgent } from './adapters/guestAgent.ts'
import { createBatchBell } from './adapters/http/batchStream.ts'
import { createApp } from './adapters/http/createApp.ts'
import { type HttpServer, serveHttp } from './adapters/http/serveHttp.ts'
import { createAttestations } from './attest/attestations.ts'
import { createBootKeys } from './attest/bootKeys.ts'
import { createBatchReader } from './batches/batchReader.ts'
import { createPublicAnswers } from './batches/publicAnswers.ts'
import { SigningHeldError, createCloser } from './batches/closer.ts'
import type { WorkerConfig } from './config.ts'
import { createIngest } from './ingest/ingest.ts'
import { StorageFullError } from './ingest/refusals.ts'
import { createVerifyPool } from './ingest/verifyPool.ts'
import { metricsText } from './metrics.ts'
import { openLedger } from './ledger/ledger.ts'
import { decodeRecord, encodeJsonRecord } from './ledger/records.ts'
import { type Seal, createSeal, noSeal } from './ledger/seal.ts'
import type { BlockSource, Clock, GuestAgent, Log } from './ports.ts'
import { replayRecord } from './state/replay.ts'
import { applyAssignment, createState } from './state/workerState.ts'

/** The edges of a worker; `main.ts` joins the real ones, tests join others where they must. */
export type WorkerPorts = {
  readonly clock: Clock
  readonly log: Log
  readonly agent: GuestAgent
  readonly blocks: ReadonlyMap<bigint, BlockSource>
  readonly randomBytes: (length: number) => Uint8Array
  /** Called at every transition that reaches the disk; only tests pass one. */
  readonly failpoint?: ((name: string) => void) | undefined
}

export type RunningWorker = {
  readonly url: string
  readonly port: number
  readonly signer: Hex
  readonly stream: Hex
  /** Closes what is due now, without waiting for the next tick. */
  closeDue(): Promise<SignedBatch | undefined>
  /** Settles with the error that ended the worker; stays open while it runs. */
  readonly failed: Promise<unknown>
  stop(): Promise<void>
}

/** The real edges for a configuration. */
export function createPorts(config: WorkerConfig, log: Log): WorkerPorts {
  return {
    clock: { nowMs: () => Date.now() },
    log,
    agent: createGuestAgent(config.guestAgent),
    blocks: new Map(
      config.registries.map(({ chainId, rpcUrl }) => [chainId, createChainBlocks(chainId, rpcUrl)]),
    ),
    randomBytes: (length) => randomBytes(length),
  }
}

const freeSpaceCheckMs = 1000
const attestRetryMs = 2000

async function createLedgerSeal(config: WorkerConfig, ports: WorkerPorts): Promise<Seal> {
  if (config.sealing === 'none') return noSeal
  const key = await ports.agent.sealingKey('plumbline/ledger/1')
  return createSeal(key, fromHex(config.streamId, 'stream', 32), ports.randomBytes)
}

/**
 * Starts a worker: reads its ledger back, makes this boot's keys, has them attested, opens the door
 * and closes windows as they fall due.
 *
 * @throws LedgerCorruptError | LedgerForeignError | GuestAgentError | PortTakenError
 */
export async function startWorker(
  config: WorkerConfig,
  ports: WorkerPorts,
): Promise<RunningWorker> {
  const { clock, log } = ports
  const stream = config.streamId
  const state = createState(config.devices)
  const ledger = await openLedger({
    folder: join(config.dataFolder, 'ledger'),
    stream,
    seal: await createLedgerSeal(config, ports),
    onRecord: (record, position) => {
      replayRecord(state, decodeRecord(record), position)
    },
    failpoint: ports.failpoint,
  })
  const keys = createBootKeys(ports.randomBytes)
  const bootMs = clock.nowMs()
  ledger.append(encodeJsonRecord('boot', { atMs: bootMs, signer: keys.signer }))
  state.boots += 1
  state.firstBootMs ??= bootMs
  const fresh = config.assignments
    .map(({ key }) => key)
    .filter((key) => !state.assignments.has(key))
  if (fresh.length > 0) {
    ledger.append(encodeJsonRecord('assignments', { atMs: bootMs, keys: fresh }))
    for (const key of fresh) applyAssignment(state, key, bootMs)
  }
  await ledger.commit()
  log('info', 'ledger read back', {
    packs: state.acceptedPacks,
    batches: state.batches.length,
    boots: state.boots,
  })

  const attestations = createAttestations({
    keys,
    stream,
    release: config.release,
    registries: config.registries,
    blocks: ports.blocks,
    agent: ports.agent,
    ledger,
    state,
    log,
    nowMs: () => clock.nowMs(),
  })

  const failed = Promise.withResolvers<unknown>()
  let failure: unknown
  const failWith = (error: unknown): void => {
    failure ??= error
    failed.resolve(error)
  }

  let hasSpace = true
  async function checkSpace(): Promise<void> {
    const { bavail, bsize } = await statfs(config.dataFolder)
    const isEnough = bavail * bsize >= config.limits.minFreeBytes
    if (isEnough !== hasSpace) log(isEnough ? 'info' : 'error', 'disk space', { isEnough })
    hasSpace = isEnough
  }
  await checkSpace()

  const pool = await createVerifyPool({
    stream,
    threadCount: config.limits.verifyThreads,
    devices: config.devices.map(({ key, intervalMs, series }) => ({ key, intervalMs, series })),
    receiptKey: keys.forThreads(),
  })
  const ingest = createIngest({
    stream,
    limits: {
      maxBodyBytes: config.limits.maxBodyBytes,
      maxPacksPerBody: config.limits.maxPacksPerBody,
      maxBytesInFlight: config.limits.maxBytesInFlight,
      maxFutureSkewMs: config.maxFutureSkewMs,
    },
    state,
    ledger,
    pool,
    clock,
    assertOpen: () => {
      if (hasSpace) return
      throw new StorageFullError('The worker’s disk is full; no pack is taken.', {
        field: 'dataFolder',
        remedy: 'Send again later; the operator has to make room.',
      })
    },
    log,
  })

  const anchorBlocks = ports.blocks.get(config.anchorChainId)
  if (anchorBlocks === undefined) throw new BaseError('The anchor chain has no node.')
  const hashPairs = await createFastKeccakPairs()
  const bell = createBatchBell()
  const closer = createCloser({
    stream,
    assignments: config.assignments,
    rules: { ...config, maxBatchIntervalMs: config.maxBatchIntervalMs },
    state,
    ledger,
    clock,
    anchorBlocks,
    evaluate,
    hashPairs,
    sign: (digest) => keys.sign(digest),
    signer: keys.signer,
    isAttested: () => attestations.isAttested(config.anchorChainId),
    drain: () => ingest.drain(),
    onBatch: () => {
      bell.ring()
    },
    log,
    failpoint: ports.failpoint,
  })

  const batches = createBatchReader(stream, state, ledger)
  const app = createApp({
    ingest,
    batches,
    answers: createPublicAnswers({ state, ledger, batches, policies: config.policies, hashPairs }),
    bell,
    head: () => BigInt(state.batches.length),
    signer: keys.signer,
    sign: (digest) => keys.sign(digest),
    metrics: () =>
      metricsText({
        state,
        counters: ingest.counters,
        ledger,
        nowMs: clock.nowMs(),
        isHeld: closer.held() !== undefined,
        residentBytes: process.memoryUsage.rss(),
      }),
    attestations,
    anchorChainId: config.anchorChainId,
    health: () => {
      const held = closer.held()
      const status = failure === undefined ? (held === undefined ? 'ok' : 'held') : 'failed'
      const reason = failure instanceof BaseError ? failure.shortMessage : held
      return {
        status,
        ...(reason === undefined ? {} : { reason }),
        stream,
        signer: keys.signer,
        head: BigInt(state.batches.length),
        devices: config.devices.length,
        unbatchedPacks: state.unbatchedPacks,
      }
    },
    log,
  })

  let stopped = false
  let lastHeld: string | undefined
  async function tick(): Promise<void> {
    try {
      await closer.close()
      lastHeld = undefined
    } catch (error) {
      if (error instanceof BaseError && error.name === 'LedgerFailedError') {
        failWith(error)
        return
      }
      const reason = error instanceof BaseError ? error.shortMessage : String(error)
      // Said once for each reason: a chain that is away for an hour is not 14 400 lines.
      if (reason !== lastHeld) {
        log(error instanceof SigningHeldError ? 'warn' : 'error', 'batch not signed', { reason })
      }
      lastHeld = reason
    }
  }
  let ticking: Promise<void> | undefined
  const timers = [
    setInterval(() => {
      ticking ??= tick().finally(() => {
        ticking = undefined
      })
    }, config.tickMs),
    setInterval(() => {
      checkSpace().catch((error: unknown) => {
        log('error', 'disk space unknown', { error: String(error) })
      })
    }, freeSpaceCheckMs),
    setInterval(() => {
      void attestations.attestMissing()
    }, attestRetryMs),
  ]

  let server: HttpServer
  async function release(): Promise<void> {
    stopped = true
    for (const timer of timers) clearInterval(timer)
    await ticking
    await pool.close()
    await ledger.close()
  }
  try {
    await attestations.attestMissing()
    server = await serveHttp(app, config.listen, config.limits)
  } catch (error) {
    await release()
    throw error
  }
  log('info', 'listening', { url: server.url, signer: keys.signer, stream })

  return {
    url: server.url,
    port: server.port,
    signer: keys.signer,
    stream,
    closeDue: () => closer.close(),
    failed: failed.promise,
    async stop() {
      if (stopped) return
      bell.close()
      await server.close()
      await release()
    },
  }
}
