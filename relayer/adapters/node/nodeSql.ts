import { DatabaseSync, type StatementSync } from 'node:sqlite'
import type { Sql, SqlRow, SqlValue } from '../../ports.ts'

export type NodeSql = Sql & { close(): void }

/**
 * A SQLite file behind the relayer's port. Every commit reaches the disk before it returns
 * (`synchronous = FULL`), as it does in a Durable Object.
 *
 * @param file - A path, or `:memory:`.
 */
export function createNodeSql(file: string): NodeSql {
  const database = new DatabaseSync(file)
  database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA busy_timeout = 5000')
  const prepared = new Map<string, StatementSync>()
  let depth = 0

  function statement(query: string): StatementSync {
    const known = prepared.get(query)
    if (known !== undefined) return known
    const fresh = database.prepare(query)
    prepared.set(query, fresh)
    return fresh
  }

  return {
    all(query: string, ...values: readonly SqlValue[]): SqlRow[] {
      return statement(query).all(...values)
    },
    transaction<Result>(work: () => Result): Result {
      if (depth > 0) return work()
      depth += 1
      database.exec('BEGIN IMMEDIATE')
      try {
        const result = work()
        database.exec('COMMIT')
        return result
      } catch (cause) {
        database.exec('ROLLBACK')
        throw cause
      } finally {
        depth -= 1
      }
    },
    close() {
      prepared.clear()
      database.close()
    },
  }
}
