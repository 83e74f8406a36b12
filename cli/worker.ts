import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { type Command, InvalidArgumentError } from 'commander'
import { BaseError } from '#schemas/errors.ts'
import { type WorkerConfig, readConfig } from '#worker/config.ts'
import {
  type WorkerPorts,
  createLedgerSeal,
  createPorts,
  witnessesOf,
} from '#worker/createWorker.ts'
import type { Seal } from '#worker/ledger/seal.ts'
import { backupLedger, readBackup } from '#worker/maintenance/backupLedger.ts'
import { compactLedger } from '#worker/maintenance/compactLedger.ts'
import { examineLedger } from '#worker/maintenance/examineLedger.ts'
import { restoreLedger } from '#worker/maintenance/restoreLedger.ts'
import { ledgerFolders } from '#worker/maintenance/settleLedger.ts'
import { assertNotBehind } from '#worker/state/rollbackGuard.ts'
import { readJson } from './trust.ts'

/** Exit codes of `plumbline worker`, apart from 0: refused, or everything else that went wrong. */
export const workerExitCodes = { error: 3 } as const

/** Raised when the configuration does not say what a command needs. */
export class WorkerCommandError extends BaseError {
  override readonly name = 'WorkerCommandError'
}

const dayMs = 86_400_000

/** Whole milliseconds. */
function days(text: string): number {
  const value = Number(text)
  if (/^\d+(\.\d+)?$/.test(text) && value <= 36_600) return Math.round(value * dayMs)
  throw new InvalidArgumentError('Give a number of days.')
}

function print(what: unknown): void {
  process.stdout.write(
    `${JSON.stringify(what, (_, item: unknown) => (typeof item === 'bigint' ? `${item}` : item), 2)}\n`,
  )
}

function load(file: string): {
  config: WorkerConfig
  ports: WorkerPorts
  seal: () => Promise<Seal>
} {
  const config = readConfig(readJson(file, 'configuration'))
  const ports: WorkerPorts = {
    ...createPorts(config, () => undefined),
    randomBytes: (length) => randomBytes(length),
  }
  return { config, ports, seal: () => createLedgerSeal(config, ports) }
}

/** Adds `plumbline worker backup`, `verify`, `restore` and `compact`. */
export function registerWorker(program: Command): void {
  const worker = program
    .command('worker')
    .description('back up, verify, restore and compact a worker’s ledger')
    .addHelpText('after', '\nExit codes: 0 done, 3 refused or failed. Answers are JSON.')
  const configuration = ['<config>', 'the worker’s configuration, a JSON file'] as const

  worker
    .command('backup')
    .description('copy the ledger while the worker runs; the copy is as sealed as the ledger')
    .argument(...configuration)
    .requiredOption('--to <folder>', 'where the backup goes; must not exist')
    .action(async (file: string, { to }: { to: string }) => {
      const { config } = load(file)
      const { digest, files, takenMs } = await backupLedger({
        dataFolder: config.dataFolder,
        target: to,
        nowMs: Date.now(),
      })
      const bytes = files.reduce((sum, entry) => sum + entry.bytes, 0)
      print({ backup: to, digest, takenMs, segments: files.length, bytes })
    })

  worker
    .command('verify')
    .description('examine a ledger or a backup to its last record; changes nothing')
    .argument(...configuration)
    .option('--from <backup>', 'examine this backup instead of the data folder')
    .option('--compare', 'ask the configured chains and peers for the newest batch too')
    .action(async (file: string, options: { from?: string; compare?: boolean }) => {
      const { config, ports, seal } = load(file)
      const manifest = options.from === undefined ? undefined : await readBackup(options.from)
      const folder = options.from ?? join(config.dataFolder, ledgerFolders.current)
      const { state, reader, summary } = await examineLedger(folder, config, await seal())
      await reader.close()
      const compared: { witness: string; sequence: bigint }[] = []
      for (const [witness, heads] of options.compare === true ? witnessesOf(ports) : []) {
        const head = await heads.head(config.streamId)
        const digestOf = (sequence: bigint) => state.batches[Number(sequence) - 1]?.digest
        assertNotBehind(witness, head, digestOf, state.batches.length)
        compared.push({ witness, sequence: head.sequence })
      }
      print({
        verified: folder,
        ...(manifest === undefined ? {} : { digest: manifest.digest }),
        ...summary,
        ...(options.compare === true ? { compared } : {}),
      })
    })

  worker
    .command('restore')
    .description('bring a backup back, unless a chain, a peer or the folder itself holds more')
    .argument(...configuration)
    .requiredOption('--from <backup>', 'the backup')
    .action(async (file: string, { from }: { from: string }) => {
      const { config, ports, seal } = load(file)
      print(
        await restoreLedger({
          config,
          seal: await seal(),
          source: from,
          witnesses: witnessesOf(ports),
          nowMs: Date.now(),
        }),
      )
    })

  worker
    .command('compact')
    .description('drop readings that nothing needs any more; the worker must be stopped')
    .argument(...configuration)
    .option('--older-than <days>', 'age of what may go; default keepReadingsForMs', days)
    .action(async (file: string, options: { olderThan?: number }) => {
      const { config, seal } = load(file)
      const keepMs = options.olderThan ?? config.keepReadingsForMs
      if (keepMs === undefined) {
        throw new WorkerCommandError('Nothing says how long readings are kept.', {
          field: 'config.keepReadingsForMs',
          remedy: 'Set it, or give --older-than.',
        })
      }
      const nowMs = Date.now()
      print(await compactLedger({ config, seal: await seal(), olderThanMs: nowMs - keepMs, nowMs }))
    })
}
