import { copyFile, mkdir, open, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { BaseError } from '#schemas/errors.ts'
import { lockFolder } from '../adapters/folderLock.ts'
import type { WorkerConfig } from '../config.ts'
import { openLedger, segmentNames } from '../ledger/ledger.ts'
import { LedgerCorruptError } from '../ledger/ledgerErrors.ts'
import { encodeJsonRecord } from '../ledger/records.ts'
import type { Seal } from '../ledger/seal.ts'
import { RolledBackError, type Witnesses, assertNotBehind } from '../state/rollbackGuard.ts'
import type { WorkerState } from '../state/workerState.ts'
import { readBackup } from './backupLedger.ts'
import { type ExaminedLedger, examineLedger } from './examineLedger.ts'
import { ledgerFolders, promoteLedger, settleLedger } from './settleLedger.ts'

/** Raised when nobody has said that the backup holds the newest batch. */
export class RestoreUncomparedError extends BaseError {
  override readonly name = 'RestoreUncomparedError'
  override readonly retryable = true
}

export type RestoreSummary = ExaminedLedger['summary'] & {
  /** Who was asked, and which batch they hold. */
  readonly compared: readonly { readonly witness: string; readonly sequence: bigint }[]
  /** The ledger that stood there before: none, an older state of this one, or one beyond reading. */
  readonly replaced: 'nothing' | 'older' | 'damaged'
}

/** What was told to a worker besides packs, each a text of its own. */
function administered({ calibrations, devices, enrolments }: WorkerState): Set<string> {
  const moves = [...devices.values()].flatMap(({ id, tenures = [] }) =>
    tenures.map(({ subjectName, fromMs }) => `Move: ${id} to ${subjectName} at ${fromMs}`),
  )
  return new Set([
    ...moves,
    ...[...calibrations.byNumber.keys()].map((number) => `Certificate: ${number}`),
    ...[...calibrations.revokedKeys.keys()].map((key) => `Revoked: ${key}`),
    ...[...enrolments.byDevice.keys()].map((device) => `Enrolled: ${device}`),
    ...[...enrolments.retired].map((device) => `Retired: ${device}`),
    ...[...enrolments.frozen].map((device) => `Frozen: ${device}`),
  ])
}

/** Refuses a backup that knows less than the ledger that it would replace. */
function assertNotOlder(backup: WorkerState, current: WorkerState): void {
  const refuse = (what: string, there: string, here: string): never => {
    throw new RolledBackError('The data folder is whole and holds more than the backup.', {
      field: 'from',
      metaMessages: [what, `In the data folder: ${there}`, `In the backup: ${here}`],
      remedy: 'Keep the data folder. A backup is for a folder that is lost or damaged.',
    })
  }
  const last = current.batches.at(-1)
  const same = last === undefined ? undefined : backup.batches[Number(last.sequence) - 1]
  if (last !== undefined && same?.digest !== last.digest) {
    refuse(`Batch: ${last.sequence}`, last.digest, same?.digest ?? 'nothing')
  }
  for (const [id, { headSequence }] of current.devices) {
    const kept = backup.devices.get(id)?.headSequence ?? 0n
    if (headSequence > kept) refuse(`Device: ${id}`, `pack ${headSequence}`, `pack ${kept}`)
  }
  const [there, here] = [administered(current), administered(backup)]
  for (const what of there) if (!here.has(what)) refuse(what, 'there', 'not there')
}

/**
 * Brings a ledger back from a backup. It is examined to the last record first, and refused when the
 * data folder, a chain or a peer holds more than it does. The worker that starts over it holds back
 * its first batch until every chain and peer has been compared again: a sequence that was signed
 * once and that anybody holds is not signed a second time.
 *
 * @param witnesses - Chains and peers; every one has to answer.
 * @throws BackupDamagedError | LedgerCorruptError | LedgerContradictionError | RolledBackError |
 *   {@link RestoreUncomparedError} | FolderInUseError
 */
export async function restoreLedger({
  config,
  seal,
  source,
  witnesses,
  nowMs,
  failpoint = () => undefined,
}: {
  readonly config: Pick<WorkerConfig, 'streamId' | 'devices' | 'calibrations' | 'dataFolder'>
  readonly seal: Seal
  readonly source: string
  readonly witnesses: Witnesses
  readonly nowMs: number
  readonly failpoint?: (name: string) => void | Promise<void>
}): Promise<RestoreSummary> {
  const { dataFolder } = config
  const manifest = await readBackup(source)
  const worker = await lockFolder(dataFolder)
  const maintenance = await lockFolder(dataFolder, 'maintenance')
  try {
    await settleLedger(dataFolder)
    const { state, reader, summary } = await examineLedger(source, config, seal)
    await reader.close()

    let replaced: RestoreSummary['replaced'] = 'nothing'
    const current = join(dataFolder, ledgerFolders.current)
    if ((await segmentNames(current).catch(() => [])).length > 0) {
      try {
        const standing = await examineLedger(current, config, seal)
        await standing.reader.close()
        assertNotOlder(state, standing.state)
        replaced = 'older'
      } catch (error) {
        if (!(error instanceof LedgerCorruptError)) throw error
        replaced = 'damaged'
      }
    }

    if (witnesses.size === 0) {
      throw new RestoreUncomparedError(
        'Nobody is configured who remembers this stream’s batches.',
        {
          field: 'registries.proofRegistry',
          remedy:
            'Configure a proof registry or a peer; without one a set-back disk cannot be told.',
        },
      )
    }
    const compared: RestoreSummary['compared'][number][] = []
    for (const [witness, heads] of witnesses) {
      let head: Awaited<ReturnType<typeof heads.head>>
      try {
        head = await heads.head(config.streamId)
      } catch (cause) {
        throw new RestoreUncomparedError(`${witness} does not answer.`, {
          field: 'peers',
          remedy: 'Wait until it does, or take it out of the configuration.',
          cause,
        })
      }
      const digestOf = (sequence: bigint) => state.batches[Number(sequence) - 1]?.digest
      assertNotBehind(witness, head, digestOf, state.batches.length)
      compared.push({ witness, sequence: head.sequence })
    }

    const partial = join(dataFolder, ledgerFolders.partial)
    await rm(partial, { recursive: true, force: true })
    await mkdir(partial, { recursive: true })
    for (const { name } of manifest.files) {
      const path = join(partial, name)
      await copyFile(join(source, name), path)
      const handle = await open(path, 'r+')
      await handle.sync()
      await handle.close()
      await failpoint('restore.segment')
    }
    const ledger = await openLedger({
      folder: partial,
      stream: config.streamId,
      seal,
      onRecord: () => undefined,
    })
    ledger.append(encodeJsonRecord('restored', { atMs: nowMs, backup: manifest.digest }))
    await ledger.commit()
    await ledger.close()
    await failpoint('restore.written')
    await promoteLedger(dataFolder)
    await failpoint('restore.whole')
    await settleLedger(dataFolder, failpoint)
    return { ...summary, compared, replaced }
  } finally {
    await maintenance.release()
    await worker.release()
  }
}
