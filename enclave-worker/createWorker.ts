import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { statfs } from 'node:fs/promises'
import { evaluate } from '#evaluation/evaluate.ts'
import type { Hex } from '#schemas/bytes.ts'
import { fromHex } from '#schemas/bytes.ts'
import { BaseError } from '#schemas/errors.ts'
import type { SignedBatch } from '#schemas/workerApi.ts'
import { createCertificationService } from './adapters/certificationService.ts'
import { createChainBlocks } from './adapters/chainBlocks.ts'
import { createChainHeads } from './adapters/chainHeads.ts'
import { type FolderLock, lockFolder } from './adapters/folderLock.ts'
import { createGuestAgent } from './adapters/guestAgent.ts'
import { createPeerHeads } from './adapters/peerHeads.ts'
import { createPeerBell } from './adapters/wakePeers.ts'
import { releaseMemory } from './adapters/releaseMemory.ts'
import { createBatchBell } from './adapters/http/batchStream.ts'
import { createApp } from './adapters/http/createApp.ts'
import { type HttpServer, serveHttp } from './adapters/http/serveHttp.ts'
import { visit } from './adapters/http/visit.ts'
import { createAttestations } from './attest/attestations.ts'
import { type BootKeys, createBootKeys } from './attest/bootKeys.ts'
import { createBatchReader } from './batches/batchReader.ts'
import { createBundles } from './batches/bundles.ts'
import { createPublicAnswers } from './batches/publicAnswers.ts'
import { createKeccakPairs } from './batches/keccakBatch.ts'
import { createReportHasher } from './batches/reportRows.ts'
import { createRosterHasher } from './batches/rosterRows.ts'
import { createSpanHasher } from './batches/spanHasher.ts'
import { SigningHeldError, createCloser } from './batches/closer.ts'
import { assertCapability } from '#schemas/capability.ts'
import type { WorkerConfig } from './config.ts'
import { parseQuote } from '#verifier/quote/parseQuote.ts'
import { assertProductionQuote } from '#verifier/quote/productionQuote.ts'
import {
  type DoorSecrets,
  type Doors,
  type OpenDoor,
  openDoors,
  readDoorSecrets,
} from './doors/openDoors.ts'
import { createSourceDesk } from './doors/sourceDesk.ts'
import { type Source, createSource, sourceKeyPath } from './doors/sources.ts'
import { settleLedger } from './maintenance/settleLedger.ts'
import { createCalibrations, freshRevocations } from './enrolment/calibrations.ts'
import { createEnrolments } from './enrolment/enrol.ts'
import { createNonces } from './enrolment/nonces.ts'
import { createIngest } from './ingest/ingest.ts'
import { StorageFullError } from './ingest/refusals.ts'
import { createVerifyPool } from './ingest/verifyPool.ts'
import { metricsText } from './metrics.ts'
import { type Ledger, openLedger } from './ledger/ledger.ts'
import { LedgerFailedError } from './ledger/ledgerErrors.ts'
import { decodeRecord, encodeJsonRecord } from './ledger/records.ts'
import { type Seal, createSeal, noSeal } from './ledger/seal.ts'
import { type Fence, fenceLedger } from './partitions/fence.ts'
import type { BlockSource, Clock, CollateralSource, GuestAgent, HeadSource, Log } from './ports.ts'
import type { Tracer } from './tracing.ts'
import { replayRecord } from './state/replay.ts'
import { type Witnesses, createRollbackGuard } from './state/rollbackGuard.ts'
import {
  type WorkerState,
  applyAssignment,
  applyLaboratoryRevocation,
  createState,
  settleTransfers,
} from './state/workerState.ts'

/** The edges of a worker; `main.ts` joins the real ones, tests join others where they must. */
export type WorkerPorts = {
  readonly clock: Clock
  readonly log: Log
  readonly agent: GuestAgent
  /** Absent where no certification service is configured. */
  readonly collateral?: CollateralSource | undefined
  readonly blocks: ReadonlyMap<bigint, BlockSource>
  /** By chain, where a proof registry is configured. */
  readonly heads: ReadonlyMap<bigint, HeadSource>
  /** By address, where peers are configured. */
  readonly peers?: ReadonlyMap<string, HeadSource> | undefined
  /** Tells the peers that there is a new batch. */
  readonly wakePeers?: (() => void) | undefined
  readonly randomBytes: (length: number) => Uint8Array
  /** Absent: nothing is traced. */
  readonly tracer?: Tracer | undefined
  /** Where several hosts share the partitions of a fleet: whether this one still holds its own. */
  readonly fence?: Fence | undefined
  /** The door that a fleet's broker has for this worker. */
  readonly openDoor?: OpenDoor | undefined
  /** Visits an address for a door and answers the status. */
  readonly visit?: ((url: string) => Promise<number>) | undefined
  /** Called at every transition that reaches the disk; only tests pass one. */
  readonly failpoint?: ((name: string) => void | Promise<void>) | undefined
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
  const heads = new Map<bigint, HeadSource>()
  for (const { chainId, rpcUrl, proofRegistry } of config.registries) {
    if (proofRegistry === undefined) continue
    heads.set(chainId, createChainHeads(chainId, rpcUrl, proofRegistry))
  }
  return {
    clock: { nowMs: () => Date.now() },
    log,
    agent: createGuestAgent(config.guestAgent, config.kms),
    collateral:
      config.certificationService === undefined
        ? undefined
        : createCertificationService(config.certificationService),
    blocks: new Map(
      config.registries.map(({ chainId, rpcUrl }) => [chainId, createChainBlocks(chainId, rpcUrl)]),
    ),
    heads,
    peers: new Map(config.peers.map((url) => [url, createPeerHeads(url)])),
    wakePeers: createPeerBell(config.peers, log),
    randomBytes: (length) => randomBytes(length),
  }
}

/** Everybody who remembers which batches this stream has. */
export function witnessesOf({ heads, peers = new Map() }: WorkerPorts): Witnesses {
  return new Map([
    ...[...heads].map(([chainId, source]): [string, HeadSource] => [`chain ${chainId}`, source]),
    ...[...peers].map(([url, source]): [string, HeadSource] => [`peer ${url}`, source]),
  ])
}

/** Part of the time that is worked ahead in, where there is work; packs are let in all the while. */
const aheadShare = 0.8
/** Devices and assignments that leave so much behind when they are read that it is worth a collection. */
const largeFleet = 10_000
const assignmentsPerRecord = 10_000
const freeSpaceCheckMs = 1000
const retryMs = 2000

/** How this worker's ledger is sealed. @throws GuestAgentError | ForeignKeyError */
export async function createLedgerSeal(
  config: Pick<WorkerConfig, 'sealing' | 'streamId'>,
  ports: Pick<WorkerPorts, 'agent' | 'randomBytes'>,
): Promise<Seal> {
  if (config.sealing === 'none') return noSeal
  const key = await ports.agent.sealingKey('plumbline/ledger/1')
  return createSeal(key, fromHex(config.streamId, 'stream', 32), ports.randomBytes)
}

/** A quote over nothing, for our own eyes: it says where we run, and vouches for no key. */
async function assertProductionPlatform(agent: GuestAgent): Promise<void> {
  const { quote } = await agent.quote(new Uint8Array(64))
  assertProductionQuote(parseQuote(fromHex(quote, 'quote')))
}

/** The books of a boot: what the ledger holds, and the keys that go on writing in it. */
type Books = {
  readonly lock: FolderLock
  readonly ledger: Ledger
  readonly state: WorkerState
  readonly keys: BootKeys
  readonly ledgerFailed: Promise<unknown>
}

/** Raised when a device was taken out of the configuration while its packs are still owed a batch. */
export class DeviceDroppedError extends BaseError {
  override readonly name = 'DeviceDroppedError'
}

/** A batch lists enrolled devices only: one that was dropped too early would break its receipts. */
function assertPromisesKept(state: WorkerState): void {
  const head = BigInt(state.batches.length)
  for (const device of state.devices.values()) {
    const last = device.packs.at(-1)
    if (device.enrolled !== undefined || last === undefined || last.batchSequence <= head) continue
    throw new DeviceDroppedError('The configuration drops a device whose packs no batch holds.', {
      field: 'config.devices',
      metaMessages: [`Device: ${device.id}`, `Promised to batch: ${last.batchSequence}`],
      remedy: 'Put it back until that batch is signed; retire it meanwhile.',
    })
  }
}

async function openBooks(config: WorkerConfig, ports: WorkerPorts): Promise<Books> {
  const lock = await lockFolder(config.dataFolder)
  await settleLedger(config.dataFolder)
  let ledger: Ledger | undefined
  try {
    const state = createState(config.devices, config.calibrations)
    const ledgerFailed = Promise.withResolvers<unknown>()
    const unfenced = await openLedger({
      folder: join(config.dataFolder, 'ledger'),
      stream: config.streamId,
      seal: await createLedgerSeal(config, ports),
      onRecord: (record, position) => {
        replayRecord(state, decodeRecord(record), position)
      },
      onFailure: ledgerFailed.resolve,
      failpoint: (name) => {
        void ports.failpoint?.(name)
      },
    })
    ledger = ports.fence === undefined ? unfenced : fenceLedger(unfenced, ports.fence)
    assertPromisesKept(state)
    const keys = createBootKeys(ports.randomBytes)
    const atMs = ports.clock.nowMs()
    ledger.append(encodeJsonRecord('boot', { atMs, signer: keys.signer }))
    state.boots += 1
    state.firstBootMs ??= atMs
    const fresh = config.assignments
      .map(({ key }) => key)
      .filter((key) => !state.assignments.has(key))
    if (fresh.length > 0) {
      // In pieces: a million keys are more than one record holds.
      for (let from = 0; from < fresh.length; from += assignmentsPerRecord) {
        const keys = fresh.slice(from, from + assignmentsPerRecord)
        ledger.append(encodeJsonRecord('assignments', { atMs, keys }))
        for (const key of keys) applyAssignment(state, key, atMs)
      }
    }
    for (const laboratoryKey of freshRevocations(config.laboratories, state)) {
      const batchSequence = state.openSequence
      ledger.append(
        encodeJsonRecord('laboratoryRevocation', { laboratoryKey, atMs, batchSequence }),
      )
      applyLaboratoryRevocation(state, laboratoryKey, batchSequence)
      ports.log('warn', 'laboratory revoked', { laboratoryKey, batchSequence })
    }
    settleTransfers(state, atMs)
    await ledger.commit()
    return { lock, ledger, state, keys, ledgerFailed: ledgerFailed.promise }
  } catch (error) {
    await ledger?.close()
    await lock.release()
    throw error
  }
}

/**
 * Starts a worker: reads its ledger back, makes this boot's keys, has them attested, opens the door
 * and closes windows as they fall due.
 *
 * @throws LedgerCorruptError | LedgerForeignError | FolderInUseError | RolledBackError |
 *   GuestAgentError | ForeignKeyError | NotForProductionError | PortTakenError
 */
export async function startWorker(
  config: WorkerConfig,
  ports: WorkerPorts,
): Promise<RunningWorker> {
  if (config.production) await assertProductionPlatform(ports.agent)
  const doorSecrets = readDoorSecrets(config.doors)
  const sources = await createSources(config, ports.agent)
  const devices = [...config.devices, ...sources.map(({ enrolled }) => enrolled)]
  const books = await openBooks({ ...config, devices }, ports)
  try {
    return await runWorker(config, ports, books, sources, doorSecrets)
  } catch (error) {
    await books.ledger.close()
    await books.lock.release()
    throw error
  }
}

/** The keys that the enclave signs for sources with; none is asked for where there are no sources. */
async function createSources(config: WorkerConfig, agent: GuestAgent): Promise<Source[]> {
  if (config.sources.length === 0) return []
  const key = await agent.sealingKey(sourceKeyPath)
  return config.sources.map((source) => createSource(source, config.streamId, key))
}

async function runWorker(
  config: WorkerConfig,
  ports: WorkerPorts,
  { lock, ledger, state, keys, ledgerFailed }: Books,
  sources: readonly Source[],
  doorSecrets: DoorSecrets,
): Promise<RunningWorker> {
  const { clock, log } = ports
  const stream = config.streamId
  log('info', 'ledger read back', {
    packs: state.acceptedPacks,
    batches: state.batches.length,
    boots: state.boots,
  })
  const guard = createRollbackGuard(
    stream,
    state,
    witnessesOf(ports),
    ports.heads.has(config.anchorChainId) ? `chain ${config.anchorChainId}` : undefined,
    log,
  )
  await guard.compare()

  const failed = Promise.withResolvers<unknown>()
  let failure: unknown
  const failWith = (error: unknown): void => {
    failure ??= error
    failed.resolve(error)
  }
  void ledgerFailed.then(failWith)

  const attestations = createAttestations({
    keys,
    stream,
    release: config.release,
    registries: config.registries,
    blocks: ports.blocks,
    agent: ports.agent,
    collateral: ports.collateral,
    ledger,
    state,
    log,
    nowMs: () => clock.nowMs(),
  })

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
    devices: [...state.devices.values()]
      .map(({ enrolled }) => enrolled)
      .filter((enrolled) => enrolled !== undefined)
      .map(({ key, intervalMs, series }) => ({ key, intervalMs, series })),
    receiptKey: keys.forThreads(),
  })
  const ingest = createIngest({
    stream,
    limits: {
      maxBodyBytes: config.limits.maxBodyBytes,
      maxPacksPerBody: config.limits.maxPacksPerBody,
      maxBytesInFlight: config.limits.maxBytesInFlight,
      maxFutureSkewMs: config.maxFutureSkewMs,
      maxPacksPerSecondPerDevice: config.limits.maxPacksPerSecondPerDevice,
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
    tracer: ports.tracer,
  })

  const anchorBlocks = ports.blocks.get(config.anchorChainId)
  if (anchorBlocks === undefined) throw new BaseError('The anchor chain has no node.')
  const hashPairs = await createKeccakPairs()
  const hashRoster = await createRosterHasher()
  const hashReports = await createReportHasher()
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
    hashReports,
    hashSpans: await createSpanHasher((work) => pool.share(work)),
    sign: (digest) => keys.sign(digest),
    signer: keys.signer,
    isUncompared: () => guard.isPending(),
    isAttested: () => attestations.isAttested(config.anchorChainId),
    drain: () => ingest.drain(),
    onBatch: () => {
      bell.ring()
      ports.wakePeers?.()
    },
    log,
    tracer: ports.tracer,
    failpoint: ports.failpoint,
  })

  const batches = createBatchReader(stream, state, { ledger, hashPairs, hashReports }, ports.tracer)
  const answers = createPublicAnswers({
    state,
    ledger,
    batches,
    policies: config.policies,
    hashPairs,
    hashRoster,
  })
  const app = createApp({
    ingest,
    platforms: {
      ...doorSecrets,
      desk: createSourceDesk({
        sources,
        stream,
        state,
        ingest,
        packs: (device, after, limit) => answers.packs(device, after, limit),
      }),
      visit: ports.visit ?? visit,
    },
    enrolments: createEnrolments({
      config,
      state,
      ledger,
      pool,
      clock,
      nonces: createNonces(ports.randomBytes, () => clock.nowMs()),
      between: (work) => closer.between(work),
      log,
    }),
    calibrations: createCalibrations({ config, state, ledger, clock, log }),
    authorise: (header, scope, subject) => {
      assertCapability(header, {
        stream,
        operator: config.operator,
        scope,
        ...(subject === undefined ? {} : { subject }),
        nowMs: clock.nowMs(),
      })
    },
    closeDue: async () => (await closer.close())?.batch.sequence,
    batches,
    answers,
    bundles: createBundles({
      streamName: config.stream,
      anchorChainId: config.anchorChainId,
      assignments: config.assignments,
      state,
      ledger,
      batches,
      attestations,
      hashPairs,
      hashRoster,
    }),
    publishesReadings: config.publishesReadings,
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
        closeMs: closer.lastCloseMs(),
        attestedMs: attestations.madeMs(),
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
        devices: state.devices.size,
        unbatchedPacks: state.unbatchedPacks,
      }
    },
    log,
  })

  // Before anybody is let in: it takes a while.
  if (state.devices.size + config.assignments.length >= largeFleet) releaseMemory()

  let stopped = false
  let lastHeld: string | undefined
  async function tick(): Promise<void> {
    try {
      await closer.close()
      await closer.prepare(config.tickMs * aheadShare)
      lastHeld = undefined
    } catch (error) {
      if (error instanceof LedgerFailedError) return
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
      void attestations.attestDue()
      guard.compare().catch(failWith)
    }, retryMs),
  ]

  async function release(): Promise<void> {
    for (const timer of timers) clearInterval(timer)
    await ticking
    await pool.close()
  }
  let server: HttpServer
  let doors: Doors
  try {
    await attestations.attestDue()
    server = await serveHttp(app, config.listen, config.limits)
    const serving = server
    doors = await openDoors({ config, ingest, log, openDoor: ports.openDoor }).catch(
      async (error: unknown) => {
        await serving.close()
        throw error
      },
    )
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
    async closeDue() {
      const head = await closer.close()
      return head === undefined ? undefined : batches.signed(head.batch.sequence)
    },
    failed: failed.promise,
    async stop() {
      if (stopped) return
      stopped = true
      bell.close()
      await doors.close()
      await server.close()
      await release()
      await ledger.close()
      await lock.release()
    },
  }
}
