import { readExactJson } from '../exactJson.ts'
import type { Job } from '../lane/job.ts'
import type { LaneTransaction } from '../lane/lane.ts'
import type { Sql } from '../ports.ts'

/**
 * What changes often stands apart from what is large and written once: a job's task with its call, a
 * nonce's signed bytes. Stage changes then write a few hundred bytes.
 */
const tables = [
  `CREATE TABLE IF NOT EXISTS lane (id INTEGER PRIMARY KEY CHECK (id = 1), body TEXT NOT NULL)`,
  `CREATE TABLE IF NOT EXISTS job_state (
     key INTEGER PRIMARY KEY,
     id TEXT NOT NULL UNIQUE,
     stage TEXT NOT NULL,
     rank INTEGER NOT NULL,
     not_before_ms INTEGER NOT NULL,
     state TEXT NOT NULL
   )`,
  `CREATE INDEX IF NOT EXISTS job_state_rank ON job_state (stage, rank)`,
  `CREATE TABLE IF NOT EXISTS job_task (key INTEGER PRIMARY KEY, task TEXT NOT NULL)`,
  `CREATE TABLE IF NOT EXISTS nonce_state (
     nonce INTEGER NOT NULL,
     hash TEXT NOT NULL,
     stage TEXT NOT NULL,
     state TEXT NOT NULL,
     PRIMARY KEY (nonce, hash)
   ) WITHOUT ROWID`,
  `CREATE INDEX IF NOT EXISTS nonce_state_stage ON nonce_state (stage)`,
  `CREATE TABLE IF NOT EXISTS nonce_cargo (
     nonce INTEGER NOT NULL,
     hash TEXT NOT NULL,
     cargo TEXT NOT NULL,
     PRIMARY KEY (nonce, hash)
   )`,
]

/**
 * Opens the tables of a lane. A lane that kept each job and each nonce in one row (`job`, `tx`) is
 * moved over in the same commit.
 */
export function openLaneTables(
  sql: Sql,
  insertJob: (job: Job) => void,
  writeTransaction: (transaction: LaneTransaction, isCargoNew: boolean) => void,
): void {
  sql.transaction(() => {
    for (const statement of tables) sql.all(statement)
    const isOld = sql.all(`SELECT 1 FROM sqlite_master WHERE name = 'job'`).length > 0
    if (!isOld) return
    const bodies = (query: string): unknown[] =>
      sql.all(query).map((row) => readExactJson(String(row['body'])))
    for (const job of bodies('SELECT body FROM job ORDER BY rank')) insertJob(job as Job)
    for (const transaction of bodies('SELECT body FROM tx ORDER BY nonce')) {
      writeTransaction(transaction as LaneTransaction, true)
    }
    sql.all('DROP TABLE job')
    sql.all('DROP TABLE tx')
  })
}
