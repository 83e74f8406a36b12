/**
 * A worker as `main.ts` starts it, whose clock can be set and whose disk can be slowed by messages
 * of its parent: `{ clockOffsetMs }`, `{ syncDelayMs }`; to `{ measure }` it
 * answers how much memory it holds.
 */
import { readFileSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { readConfig } from '#worker/config.ts'
import { createPorts, startWorker } from '#worker/createWorker.ts'
import type { Log } from '#worker/ports.ts'

const log: Log = (level, event, fields = {}) => {
  process.stdout.write(
    `${JSON.stringify({ level, event, ...fields }, (_, value: unknown) =>
      typeof value === 'bigint' ? `${value}` : value,
    )}\n`,
  )
}

let clockOffsetMs = 0
let syncDelayMs = 0
type Message = { clockOffsetMs?: number; syncDelayMs?: number; measure?: true }
process.on('message', (message: Message) => {
  clockOffsetMs = message.clockOffsetMs ?? clockOffsetMs
  syncDelayMs = message.syncDelayMs ?? syncDelayMs
  if (message.measure === undefined) return
  // What is held, not what the collector has not come round to yet.
  globalThis.gc?.()
  const { heapUsed, external } = process.memoryUsage()
  process.send?.({ heldBytes: heapUsed + external })
})
// A parent that is gone takes its worker along.
process.once('disconnect', () => process.exit(1))

// Every sync of every file takes longer, as on a disk that is worn or shared.
const handle = await open(process.execPath, 'r')
const files = Object.getPrototypeOf(handle) as { datasync: (this: unknown) => Promise<void> }
const { datasync } = files
files.datasync = async function slowed(this: unknown) {
  if (syncDelayMs > 0) await sleep(syncDelayMs)
  await datasync.call(this)
}
await handle.close()

const config = readConfig(JSON.parse(readFileSync(process.argv[2] ?? '', 'utf8')) as unknown)
try {
  const worker = await startWorker(config, {
    ...createPorts(config, log),
    clock: { nowMs: () => Date.now() + clockOffsetMs },
  })
  const failure = await worker.failed
  log('error', 'worker failed', { error: String(failure) })
} catch (error) {
  log('error', 'worker did not start', { error: String(error) })
}
process.exit(1)
