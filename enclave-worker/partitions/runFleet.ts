import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import { BaseError } from '#schemas/errors.ts'
import { type RunningWorker, type WorkerPorts, startWorker } from '../createWorker.ts'
import type { WorkerConfig } from '../config.ts'
import type { OpenDoor } from '../doors/openDoors.ts'
import type { Log } from '../ports.ts'
import { openEpoch } from './epochs.ts'
import { type FleetConfig, partitionStream, readPartition } from './fleetConfig.ts'
import { type Lease, type LeaseBroker, takeLease } from './lease.ts'

/** A broker that hands packs out by partition and keeps the leases on them. */
export type FleetBroker = LeaseBroker & {
  readonly openDoor: OpenDoor
  close(): Promise<void>
}

export type RunningFleet = {
  /** Where the partitions that this host holds are served. */
  held(): ReadonlyMap<string, string>
  stop(): Promise<void>
}

/** A host leaves a partition that it could not work alone for so many leases. */
const failureLeases = 3
/** How long a worker that is stopped may go on confirming. */
const patienceMs = 3000

type Held = { readonly lease: Lease; readonly worker: RunningWorker }

/**
 * Works as many partitions as are free and this host may hold. Each is a stream, a ledger and a
 * worker of its own; who works it is decided by the lease, and by nothing else.
 */
export function runFleet(
  fleet: FleetConfig,
  broker: FleetBroker,
  portsOf: (config: WorkerConfig, log: Log) => WorkerPorts,
  log: Log,
): RunningFleet {
  const { leaseMs } = fleet.broker
  const holder = `${fleet.host}/${randomUUID()}`
  const most = fleet.maxPartitions ?? fleet.count
  const held = new Map<number, Held>()
  /** Taken, and not yet worked. */
  const taking = new Set<number>()
  /** When each was first seen free, by the process's own clock; ahead of it: not before then. */
  const freeSince = new Map<number, number>()
  let isStopping = false

  async function work(index: number, lease: Lease): Promise<void> {
    const partition = partitionStream(fleet.worker.stream, index)
    const logged: Log = (level, event, fields) => {
      log(level, event, { partition, ...fields })
    }
    const folder = await openEpoch(join(fleet.folder, `partition-${index}`), lease.epoch)
    const config = readPartition(fleet, index, folder)
    const worker = await startWorker(config, {
      ...portsOf(config, logged),
      fence: lease,
      openDoor: broker.openDoor,
    })
    taking.delete(index)
    held.set(index, { lease, worker })
    log('info', 'partition taken', { partition, epoch: lease.epoch, url: worker.url })
    const end = await Promise.race([lease.lost, worker.failed])
    if (isStopping) return
    log('error', 'partition lost', {
      partition,
      reason: end instanceof BaseError ? end.shortMessage : String(end),
    })
    await letGo(index)
  }

  async function letGo(index: number): Promise<void> {
    const part = held.get(index)
    held.delete(index)
    freeSince.delete(index)
    if (part === undefined) return
    const { worker, lease } = part
    // After the worker, so that what it has in hand can be confirmed; without it, where the broker
    // is away and nothing can.
    const impatient = setTimeout(() => {
      lease.release().catch(() => undefined)
    }, patienceMs)
    await worker.stop()
    clearTimeout(impatient)
    await lease.release().catch(() => undefined)
  }

  async function look(index: number): Promise<void> {
    const partition = partitionStream(fleet.worker.stream, index)
    if (await broker.isHeld(partition)) {
      freeSince.delete(index)
      return
    }
    const since = freeSince.get(index) ?? performance.now()
    freeSince.set(index, since)
    // Who holds more waits longer, so that hosts that start together share.
    if (performance.now() - since < ((held.size + taking.size) * leaseMs) / 2) return
    const lease = await takeLease(broker, partition, holder, leaseMs)
    if (lease === undefined) return
    taking.add(index)
    work(index, lease).catch(async (error: unknown) => {
      log('error', 'partition not worked', {
        partition,
        error: error instanceof BaseError ? error.message : String(error),
      })
      taking.delete(index)
      // Others first: what failed here may work there.
      freeSince.set(index, performance.now() + failureLeases * leaseMs)
      await lease.release().catch(() => undefined)
    })
  }

  let looking: Promise<void> | undefined
  async function lookForWork(): Promise<void> {
    for (let index = 0; index < fleet.count; index += 1) {
      if (isStopping) return
      if (held.has(index) || taking.has(index) || held.size + taking.size >= most) continue
      await look(index)
    }
  }
  const timer = setInterval(
    () => {
      looking ??= lookForWork()
        .catch((error: unknown) => {
          log('warn', 'broker not asked', { error: String(error) })
        })
        .finally(() => {
          looking = undefined
        })
    },
    Math.min(1000, leaseMs / 5),
  )

  return {
    held: () =>
      new Map(
        [...held].map(([index, { worker }]) => [
          partitionStream(fleet.worker.stream, index),
          worker.url,
        ]),
      ),
    async stop() {
      isStopping = true
      clearInterval(timer)
      await looking
      await Promise.all([...held.keys()].map((index) => letGo(index)))
      await broker.close()
    },
  }
}
