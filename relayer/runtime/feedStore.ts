import { readExactJson, writeExactJson } from '../exactJson.ts'
import { type FeedCursor, feedStart } from '../feed/verifyBatch.ts'
import type { Sql } from '../ports.ts'

/** What a feed remembers. */
export type FeedState = {
  readonly cursor: FeedCursor
  /** Newest sequence that the worker has spoken of. */
  readonly workerHead: bigint
  readonly failures: number
  readonly lastAnswerMs?: number
  /** Why it does not go on. */
  readonly problem?: string
  readonly remedy?: string
}

export type FeedStore = { load(): FeedState; save(state: FeedState): void }

export function createFeedStore(sql: Sql): FeedStore {
  sql.all(
    'CREATE TABLE IF NOT EXISTS feed (id INTEGER PRIMARY KEY CHECK (id = 1), body TEXT NOT NULL)',
  )
  return {
    load() {
      const row = sql.all('SELECT body FROM feed WHERE id = 1')[0]
      if (row === undefined) return { cursor: feedStart, workerHead: 0n, failures: 0 }
      return readExactJson(String(row['body'])) as FeedState
    },
    save(state) {
      sql.all(
        `INSERT INTO feed (id, body) VALUES (1, ?)
         ON CONFLICT (id) DO UPDATE SET body = excluded.body`,
        writeExactJson(state),
      )
    },
  }
}
