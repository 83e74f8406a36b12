import { readExactJson, writeExactJson } from '../exactJson.ts'
import { type Job, type Stage, jobOrder, stages } from '../lane/job.ts'
import type { Lane, LaneTransaction } from '../lane/lane.ts'
import type { Hex } from '#schemas/bytes.ts'
import type { Sql, SqlValue } from '../ports.ts'

const schema = [
  `CREATE TABLE IF NOT EXISTS lane (id INTEGER PRIMARY KEY CHECK (id = 1), body TEXT NOT NULL)`,
  `CREATE TABLE IF NOT EXISTS job (
     id TEXT PRIMARY KEY,
     stage TEXT NOT NULL,
     rank INTEGER NOT NULL,
     not_before_ms INTEGER NOT NULL,
     body TEXT NOT NULL
   ) WITHOUT ROWID`,
  `CREATE INDEX IF NOT EXISTS job_rank ON job (stage, rank)`,
  `CREATE TABLE IF NOT EXISTS tx (
     nonce INTEGER NOT NULL,
     hash TEXT NOT NULL,
     stage TEXT NOT NULL,
     body TEXT NOT NULL,
     PRIMARY KEY (nonce, hash)
   ) WITHOUT ROWID`,
  `CREATE INDEX IF NOT EXISTS tx_stage ON tx (stage)`,
]

/** The part of a lane that is one row; policy and working set come from elsewhere. */
type LaneRow = Omit<Lane, 'policy' | 'jobs' | 'transactions'>

/** A lane's durable side: everything known, of which the lane in memory is the moving part. */
export type LaneStore = {
  load(policy: Lane['policy']): Lane | undefined
  /** Writes what differs between two states of one lane, in one commit. */
  save(before: Lane | undefined, after: Lane): void
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
  putJob(job: Job): void
  countByStage(): Readonly<Record<Stage, number>>
  /** When the oldest job that is neither final nor quarantined was queued. */
  oldestOpenMs(): number | undefined
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

type StoredRow = Readonly<Record<string, unknown>>

function bodyOf(row: StoredRow): unknown {
  return readExactJson(String(row['body']))
}

// Both were written by `save` below and by nobody else.
const jobOf = (row: StoredRow): Job => bodyOf(row) as Job
const transactionIn = (row: StoredRow): LaneTransaction => bodyOf(row) as LaneTransaction

/**
 * Each stream has its own place up to which jobs can be done. The rank bounds the scan by its index;
 * the stream is read from the body, and only where there is more than one.
 */
function withinHorizons(horizons: ReadonlyMap<Hex, number>): {
  readonly condition: string
  readonly values: readonly SqlValue[]
} {
  const furthest = Math.max(0, ...horizons.values())
  if (horizons.size === 0) return { condition: '1', values: [] }
  if (horizons.size === 1) return { condition: 'rank <= ?', values: [furthest] }
  const each = [...horizons].map(() => `(json_extract(body, '$.task.stream') = ? AND rank <= ?)`)
  return {
    condition: `rank <= ? AND (${each.join(' OR ')})`,
    values: [furthest, ...[...horizons].flat()],
  }
}

export function createLaneStore(sql: Sql): LaneStore {
  sql.transaction(() => {
    for (const statement of schema) sql.all(statement)
  })

  function writeJob(job: Job): void {
    sql.all(
      `INSERT INTO job (id, stage, rank, not_before_ms, body) VALUES (?, ?, ?, ?, ?)
       ON CONFLICT (id) DO UPDATE SET
         stage = excluded.stage, not_before_ms = excluded.not_before_ms, body = excluded.body`,
      job.id,
      job.stage,
      jobOrder(job.task),
      job.notBeforeMs,
      writeExactJson(job),
    )
  }

  /** A nonce is one row, named after its first attempt: a nonce that a reorganisation frees may return. */
  function writeTransaction(transaction: LaneTransaction): void {
    sql.all(
      `INSERT INTO tx (nonce, hash, stage, body) VALUES (?, ?, ?, ?)
       ON CONFLICT (nonce, hash) DO UPDATE SET
         stage = excluded.stage, body = excluded.body`,
      transaction.nonce,
      transaction.attempts[0]?.hash ?? '',
      transaction.stage,
      writeExactJson(transaction),
    )
  }

  return {
    load(policy) {
      const row = sql.all('SELECT body FROM lane WHERE id = 1')[0]
      if (row === undefined) return undefined
      const jobs = new Map<string, Job>()
      for (const entry of sql.all(
        `SELECT body FROM job WHERE stage IN ('simulated', 'signed', 'sent', 'included')`,
      )) {
        const job = jobOf(entry)
        jobs.set(job.id, job)
      }
      const transactions = new Map<number, LaneTransaction>()
      for (const entry of sql.all(
        `SELECT body FROM tx WHERE stage IN ('signed', 'sent', 'included') ORDER BY nonce`,
      )) {
        const transaction = transactionIn(entry)
        transactions.set(transaction.nonce, transaction)
      }
      return { ...(bodyOf(row) as LaneRow), policy, jobs, transactions }
    },

    save(before, after) {
      const changedJobs = [...after.jobs.values()].filter((job) => before?.jobs.get(job.id) !== job)
      const changedTransactions = [...after.transactions.values()].filter(
        (transaction) => before?.transactions.get(transaction.nonce) !== transaction,
      )
      const { policy: _, jobs: __, transactions: ___, ...row } = after
      sql.transaction(() => {
        for (const job of changedJobs) writeJob(job)
        for (const transaction of changedTransactions) writeTransaction(transaction)
        sql.all(
          `INSERT INTO lane (id, body) VALUES (1, ?)
           ON CONFLICT (id) DO UPDATE SET body = excluded.body`,
          writeExactJson(row satisfies LaneRow),
        )
      })
    },

    add(jobs) {
      return sql.transaction(() => {
        let added = 0
        for (const job of jobs) {
          if (sql.all('SELECT 1 AS found FROM job WHERE id = ?', job.id).length > 0) continue
          writeJob(job)
          added += 1
        }
        return added
      })
    },

    due(nowMs, limit, horizons = new Map()) {
      const within = withinHorizons(horizons)
      const rows = sql.all(
        `SELECT body FROM job WHERE stage = 'queued' AND ${within.condition} AND not_before_ms <= ?
         ORDER BY rank LIMIT ?`,
        ...within.values,
        nowMs,
        limit + 1,
      )
      const jobs = rows.slice(0, limit).map(jobOf)
      if (rows.length > limit) return { jobs, nextDueMs: nowMs }
      const next = sql.all(
        `SELECT MIN(not_before_ms) AS at FROM job
         WHERE stage = 'queued' AND ${within.condition} AND not_before_ms > ?`,
        ...within.values,
        nowMs,
      )[0]?.['at']
      return typeof next === 'number' ? { jobs, nextDueMs: next } : { jobs }
    },

    job(id) {
      const row = sql.all('SELECT body FROM job WHERE id = ?', id)[0]
      return row === undefined ? undefined : jobOf(row)
    },

    putJob(job) {
      sql.transaction(() => {
        writeJob(job)
      })
    },

    countByStage() {
      const counts = Object.fromEntries(stages.map((stage) => [stage, 0])) as Record<Stage, number>
      for (const row of sql.all('SELECT stage, COUNT(*) AS count FROM job GROUP BY stage')) {
        counts[String(row['stage']) as Stage] = Number(row['count'])
      }
      return counts
    },

    oldestOpenMs() {
      const row = sql.all(
        `SELECT body FROM job WHERE stage IN ('queued', 'simulated', 'signed', 'sent', 'included')
         ORDER BY rank LIMIT 1`,
      )[0]
      return row === undefined ? undefined : jobOf(row).at.queued
    },

    jobs(limit) {
      return sql.all('SELECT body FROM job ORDER BY rank DESC LIMIT ?', limit).map(jobOf)
    },

    jobsIn(stage, limit) {
      return sql
        .all('SELECT body FROM job WHERE stage = ? ORDER BY rank LIMIT ?', stage, limit)
        .map(jobOf)
    },

    transactionAt(nonce) {
      const row = sql.all(
        `SELECT body FROM tx WHERE nonce = ? AND stage <> 'lost' LIMIT 1`,
        nonce,
      )[0]
      return row === undefined ? undefined : transactionIn(row)
    },

    finalFrom(nonce) {
      const transactions = sql
        .all(`SELECT body FROM tx WHERE nonce >= ? AND stage = 'final' ORDER BY nonce`, nonce)
        .map(transactionIn)
      const jobs = transactions.flatMap((transaction) =>
        transaction.jobIds.flatMap((id) => {
          const row = sql.all('SELECT body FROM job WHERE id = ?', id)[0]
          const job = row === undefined ? undefined : jobOf(row)
          return job?.nonce === transaction.nonce ? [job] : []
        }),
      )
      return { transactions, jobs }
    },

    transactions(limit) {
      return sql.all('SELECT body FROM tx ORDER BY nonce DESC LIMIT ?', limit).map(transactionIn)
    },
  }
}
