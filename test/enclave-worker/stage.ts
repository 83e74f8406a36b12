import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type WorkerClient, createWorkerClient } from '#schemas/workerClient.ts'
import { readConfig } from '#worker/config.ts'
import { type RunningWorker, type WorkerPorts, startWorker } from '#worker/createWorker.ts'
import { type TestWorld, createTestWorld, testPorts } from './inner.ts'
import { type TestDevice, anchorChainId, testConfig, testPolicy } from './rig.ts'

export const bootMs = 1_800_000_000_000
export const minute = 60_000
const nowhere = { rpcUrl: 'http://127.0.0.1:1', guestAgent: 'http://127.0.0.1:1' }

/** A worker in a world whose clock a test owns. */
export type Stage = {
  readonly world: TestWorld
  readonly folder: string
  worker: RunningWorker
  client: WorkerClient
  /** Ends the worker and starts it anew over what it has written. */
  restart(overrides?: Record<string, unknown>): Promise<void>
  end(): Promise<void>
}

export async function setStage(
  overrides: Record<string, unknown>,
  devices: readonly TestDevice[],
  ports: Partial<WorkerPorts> = {},
): Promise<Stage> {
  const folder = mkdtempSync(join(tmpdir(), 'plumbline-stage-'))
  const world = createTestWorld(bootMs)
  const start = async (more: Record<string, unknown>): Promise<RunningWorker> => {
    const config = readConfig(
      testConfig(nowhere as never, folder, devices, {
        tickMs: 60_000,
        limits: { verifyThreads: 0 },
        ...overrides,
        ...more,
      }),
    )
    return startWorker(config, { ...testPorts(world, [BigInt(anchorChainId)]), ...ports })
  }
  const clientOf = (worker: RunningWorker): WorkerClient =>
    createWorkerClient({ url: worker.url, fetch: (url, init) => fetch(url, init) })
  const worker = await start({})
  const made: Stage = {
    world,
    folder,
    worker,
    client: clientOf(worker),
    async restart(more = {}) {
      await made.worker.stop()
      made.worker = await start(more)
      made.client = clientOf(made.worker)
    },
    async end() {
      await made.worker.stop()
      rmSync(folder, { recursive: true, force: true })
    },
  }
  return made
}

export const tumbling = { ...testPolicy, window: { kind: 'tumbling', length: '1m', anchorMs: 0 } }

/** One reading a second over a whole minute. */
export const seconds = (startMs: number, count = 60): number[] =>
  Array.from({ length: count }, (_, index) => startMs + index * 1000)
export const watts = (value: number, count = 60): number[] =>
  Array.from({ length: count }, () => value * 1_000_000)
