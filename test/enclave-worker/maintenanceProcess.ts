/**
 * One piece of maintenance in a process of its own that ends itself with SIGKILL at the named
 * instant: `node maintenanceProcess.ts OPERATION CONFIG.json POINT COUNT [FOLDER]`.
 */
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { fromHex } from '#schemas/bytes.ts'
import { zeroHash } from '#schemas/report.ts'
import { readConfig } from '#worker/config.ts'
import { createSeal } from '#worker/ledger/seal.ts'
import { backupLedger } from '#worker/maintenance/backupLedger.ts'
import { compactLedger } from '#worker/maintenance/compactLedger.ts'
import { restoreLedger } from '#worker/maintenance/restoreLedger.ts'

const [operation = '', file = '', point = '', count = '1', folder = ''] = process.argv.slice(2)
const config = readConfig(JSON.parse(readFileSync(file, 'utf8')))
const seal = createSeal(
  new Uint8Array(32).fill(0x5e),
  fromHex(config.streamId, 'stream', 32),
  (length) => randomBytes(length),
)
let left = Number(count)
const failpoint = (name: string): void => {
  if (name !== point) return
  left -= 1
  if (left === 0) process.kill(process.pid, 'SIGKILL')
}
const nowMs = 1_900_000_000_000
if (operation === 'backup') {
  await backupLedger({ dataFolder: config.dataFolder, target: folder, nowMs, failpoint })
} else if (operation === 'compact') {
  await compactLedger({ config, seal, olderThanMs: nowMs, nowMs, failpoint })
} else if (operation === 'restore') {
  await restoreLedger({
    config,
    seal,
    source: folder,
    witnesses: new Map([
      ['a chain without batches', { head: async () => ({ sequence: 0n, digest: zeroHash }) }],
    ]),
    nowMs,
    failpoint,
  })
} else throw new Error(`no operation ${operation}`)
