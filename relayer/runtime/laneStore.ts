import { readExactJson, writeExactJson } from '../exactJson.ts'
import { type Job, type Stage, jobOrder, stages } from '../lane/job.ts'
import type { Lane, LaneTransaction } from '../lane/lane.ts'
import type { Hex } from '#schemas/bytes.ts'
import type { Sql, SqlRow, SqlValue } from '../ports.ts'
import { openLaneTables } from './laneTables.ts'

/** The part of a lane that is one row; policy and working set come from elsewhere. */
type LaneRow = Omit<Lane, 'policy' | 'jobs' | 'transactions'>

/** A lane's durable side: everything known, of which the lane in memory is the moving part. */
export type LaneStore = {
  load(policy: Lane['policy']): Lane | undefined
  /**
   * Takes note of what differs between two states of one lane. It is durable after the next
   * {@link LaneStore.flush}, or as soon as somebody reads from the store.
   */
  note(before: Lane | undefined, after: Lane): void
  /** Writes everything noted, in one commit. What a failed commit leaves stays noted. */
  flush(): void
  /** Adds jobs that are not there yet. @returns how many were new */
  add(jobs: readonly Job[]): number
  /**
   * Queued jobs that are due, for the streams named only up to a place in the order, and when the next
   * one will be.
   */
  due(
    nowMs: number,
    limit: number,
    horizons?: ReadonlyMap<Hex, number>,
  ): { readonly jobs: readonly Job[]; readonly nextDueMs?: number }
  job(id: string): Job | undefined
  countByStage(): Readonly<Record<Stage, number>>
  /** When the oldest job that is neither final nor quarantined was queued. */
  oldestOpenMs(): number | undefined
  /** Newest first. */
  jobs(limit: number): readonly Job[]
  jobsIn(stage: Stage, limit: number): readonly Job[]
  /** The transaction that used or is to use a nonce, unless somebody else did. */
  transactionAt(nonce: number): LaneTransaction | undefined
  transactions(limit: number): readonly LaneTransaction[]
  /** Transactions that are final, from this nonce on, with the jobs that they carried. */
  finalFrom(nonce: number): {
    readonly transactions: readonly LaneTransaction[]
    readonly jobs: readonly Job[]
  }
}

/**
 * Each stream has its own place up to which jobs can be done. The rank bounds the scan by its index;
 * the stream is read from the task, and only where there is more than one.
 */
function withinHorizons(horizons: ReadonlyMap<Hex, number>): {
  readonly condition: string
  readonly values: readonly SqlValue[]
} {
  const furthest = Math.max(0, ...horizons.values())
  if (horizons.size === 0) return { condition: '1', values: [] }
  if (horizons.size === 1) return { condition: 'rank <= ?', values: [furthest] }
  const each = [...horizons].map(() => `(json_extract(task, '$.task.stream') = ? AND rank <= ?)`)
  return {
    condition: `rank <= ? AND (${each.join(' OR ')})`,
    values: [furthest, ...[...horizons].flat()],
  }
}

// Everything in these tables was written below and by nobody else.

const jobColumns = 'state, task'
const jobTables = 'job_state JOIN job_task USING (key)'

function jobOf(row: SqlRow): Job {
  const task = readExactJson(String(row['task'])) as Pick<Job, 'id' | 'task' | 'call'>
  return { ...task, ...(JSON.parse(String(row['state'])) as Omit<Job, 'id' | 'task' | 'call'>) }
}

const transactionColumns = 'state, cargo'
const transactionTables = 'nonce_state JOIN nonce_cargo USING (nonce, hash)'

type Cargo = Pick<LaneTransaction, 'jobIds' | 'call' | 'gasLimit' | 'attempts'>

function transactionOf(row: SqlRow): LaneTransaction {
  const cargo = readExactJson(String(row['cargo'])) as Cargo
  const state = readExactJson(String(row['state'])) as Omit<LaneTransaction, keyof Cargo>
  return { ...cargo, ...state }
}

/** What a note holds of a transaction: its large part only when that has changed. */
type NotedTransaction = { readonly transaction: LaneTransaction; readonly isCargoNew: boolean }

export function createLaneStore(sql: Sql): LaneStore {
  openLaneTables(sql, insertJob, writeTransaction)
  const notedJobs = new Map<string, Job>()
  const notedTransactions = new Map<number, NotedTransaction>()
  let notedLane: Lane | undefined

  /** @returns whether the job is there */
  function updateJob(job: Job): boolean {
    const { task: _, call: __, ...state } = job
    const rows = sql.all(
      `UPDATE job_state SET stage = ?, not_before_ms = ?, state = ? WHERE id = ? RETURNING key`,
      state.stage,
      state.notBeforeMs,
      JSON.stringify(state),
      job.id,
    )
    return rows.length > 0
  }

  /** @returns whether it was new */
  function insertJob({ id, task, call, ...state }: Job): boolean {
    const rows = sql.all(
      `INSERT INTO job_state (id, stage, rank, not_before_ms, state) VALUES (?, ?, ?, ?, ?)
       ON CONFLICT (id) DO NOTHING RETURNING key`,
      id,
      state.stage,
      jobOrder(task),
      state.notBeforeMs,
      JSON.stringify(state),
    )
    const key = rows[0]?.['key']
    if (key === undefined) return false
    sql.all(
      'INSERT INTO job_task (key, task) VALUES (?, ?)',
      Number(key),
      writeExactJson({ id, task, ...(call === undefined ? {} : { call }) }),
    )
    return true
  }

  /** A nonce is one row, named after its first attempt: a nonce that a reorganisation frees may return. */
  function writeTransaction(transaction: LaneTransaction, isCargoNew: boolean): void {
    const { jobIds, call, gasLimit, attempts, ...state } = transaction
    const hash = attempts[0]?.hash ?? ''
    sql.all(
      `INSERT INTO nonce_state (nonce, hash, stage, state) VALUES (?, ?, ?, ?)
       ON CONFLICT (nonce, hash) DO UPDATE SET stage = excluded.stage, state = excluded.state`,
      state.nonce,
      hash,
      state.stage,
      writeExactJson(state),
    )
    if (!isCargoNew) return
    sql.all(
      `INSERT INTO nonce_cargo (nonce, hash, cargo) VALUES (?, ?, ?)
       ON CONFLICT (nonce, hash) DO UPDATE SET cargo = excluded.cargo`,
      state.nonce,
      hash,
      writeExactJson({ jobIds, call, gasLimit, attempts } satisfies Cargo),
    )
  }

  function flush(): void {
    const lane = notedLane
    if (lane === undefined) return
    const { policy: _, jobs: __, transactions: ___, ...row } = lane
    sql.transaction(() => {
      for (const job of notedJobs.values()) if (!updateJob(job)) insertJob(job)
      for (const { transaction, isCargoNew } of notedTransactions.values()) {
        writeTransaction(transaction, isCargoNew)
      }
      sql.all(
        `INSERT INTO lane (id, body) VALUES (1, ?)
         ON CONFLICT (id) DO UPDATE SET body = excluded.body`,
        writeExactJson(row satisfies LaneRow),
      )
    })
    notedLane = undefined
    notedJobs.clear()
    notedTransactions.clear()
  }

  /** Reads after everything noted has been written. */
  function read(query: string, ...values: readonly SqlValue[]): SqlRow[] {
    flush()
    return sql.all(query, ...values)
  }

  /** For who only looks: on a disk that takes nothing more, what is there is still shown. */
  function look(query: string, ...values: readonly SqlValue[]): SqlRow[] {
    try {
      flush()
    } catch {
      // The turn that needs it written fails by itself and is repeated.
    }
    return sql.all(query, ...values)
  }

  function job(id: string): Job | undefined {
    const noted = notedJobs.get(id)
    if (noted !== undefined) return noted
    const row = sql.all(`SELECT ${jobColumns} FROM ${jobTables} WHERE id = ?`, id)[0]
    return row === undefined ? undefined : jobOf(row)
  }

  function jobsIn(stage: Stage, limit: number): Job[] {
    return look(
      `SELECT ${jobColumns} FROM ${jobTables} WHERE stage = ? ORDER BY rank LIMIT ?`,
      stage,
      limit,
    ).map(jobOf)
  }

  return {
    load(policy) {
      const row = sql.all('SELECT body FROM lane WHERE id = 1')[0]
      if (row === undefined) return undefined
      const jobs = sql
        .all(
          `SELECT ${jobColumns} FROM ${jobTables}
           WHERE stage IN ('simulated', 'signed', 'sent', 'included')`,
        )
        .map(jobOf)
      const transactions = sql
        .all(
          `SELECT ${transactionColumns} FROM ${transactionTables}
           WHERE stage IN ('signed', 'sent', 'included') ORDER BY nonce`,
        )
        .map(transactionOf)
      return {
        ...(readExactJson(String(row['body'])) as LaneRow),
        policy,
        jobs: new Map(jobs.map((entry) => [entry.id, entry])),
        transactions: new Map(transactions.map((entry) => [entry.nonce, entry])),
      }
    },

    note(before, after) {
      for (const entry of after.jobs.values()) {
        if (before?.jobs.get(entry.id) !== entry) notedJobs.set(entry.id, entry)
      }
      for (const transaction of after.transactions.values()) {
        const { nonce } = transaction
        const old = before?.transactions.get(nonce)
        if (old === transaction) continue
        const isSame = old?.attempts === transaction.attempts && old.call === transaction.call
        const isCargoNew = !isSame || notedTransactions.get(nonce)?.isCargoNew === true
        notedTransactions.set(nonce, { transaction, isCargoNew })
      }
      notedLane = after
    },

    flush,

    add(jobs) {
      return sql.transaction(() => jobs.filter(insertJob).length)
    },

    due(nowMs, limit, horizons = new Map()) {
      const within = withinHorizons(horizons)
      const rows = read(
        `SELECT ${jobColumns} FROM ${jobTables}
         WHERE stage = 'queued' AND ${within.condition} AND not_before_ms <= ?
         ORDER BY rank LIMIT ?`,
        ...within.values,
        nowMs,
        limit + 1,
      )
      const jobs = rows.slice(0, limit).map(jobOf)
      if (rows.length > limit) return { jobs, nextDueMs: nowMs }
      const tables = horizons.size > 1 ? jobTables : 'job_state'
      const next = read(
        `SELECT MIN(not_before_ms) AS at FROM ${tables}
         WHERE stage = 'queued' AND ${within.condition} AND not_before_ms > ?`,
        ...within.values,
        nowMs,
      )[0]?.['at']
      return typeof next === 'number' ? { jobs, nextDueMs: next } : { jobs }
    },

    job,

    countByStage() {
      const counts = Object.fromEntries(stages.map((stage) => [stage, 0])) as Record<Stage, number>
      for (const row of look('SELECT stage, COUNT(*) AS count FROM job_state GROUP BY stage')) {
        counts[String(row['stage']) as Stage] = Number(row['count'])
      }
      return counts
    },

    oldestOpenMs() {
      const open = stages.filter((stage) => stage !== 'final' && stage !== 'quarantined')
      const oldest = open
        .flatMap((stage) => jobsIn(stage, 1))
        .toSorted((left, right) => jobOrder(left.task) - jobOrder(right.task))[0]
      return oldest?.at.queued
    },

    jobs(limit) {
      return look(`SELECT ${jobColumns} FROM ${jobTables} ORDER BY key DESC LIMIT ?`, limit).map(
        jobOf,
      )
    },

    jobsIn,

    transactionAt(nonce) {
      const row = look(
        `SELECT ${transactionColumns} FROM ${transactionTables}
         WHERE nonce = ? AND stage <> 'lost' LIMIT 1`,
        nonce,
      )[0]
      return row === undefined ? undefined : transactionOf(row)
    },

    finalFrom(nonce) {
      const transactions = read(
        `SELECT ${transactionColumns} FROM ${transactionTables}
         WHERE nonce >= ? AND stage = 'final' ORDER BY nonce`,
        nonce,
      ).map(transactionOf)
      const jobs = transactions.flatMap((transaction) =>
        transaction.jobIds.flatMap((id) => {
          const found = job(id)
          return found?.nonce === transaction.nonce ? [found] : []
        }),
      )
      return { transactions, jobs }
    },

    transactions(limit) {
      return look(
        `SELECT ${transactionColumns} FROM ${transactionTables} ORDER BY nonce DESC LIMIT ?`,
        limit,
      ).map(transactionOf)
    },
  }
}
