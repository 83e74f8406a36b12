import { describe, expect, it } from 'vitest'
import { createNodeSql } from '#relayer/adapters/node/nodeSql.ts'
import { writeExactJson } from '#relayer/exactJson.ts'
import { type Job, createJob, jobOrder } from '#relayer/lane/job.ts'
import { type LaneTransaction, createLane } from '#relayer/lane/lane.ts'
import type { Sql } from '#relayer/ports.ts'
import { createLaneStore } from '#relayer/runtime/laneStore.ts'
import { simulatedJobs, simulatedPolicy } from '../support/simulation.ts'

function transactionOf(job: Job, nonce: number, stage: LaneTransaction['stage']): LaneTransaction {
  return {
    nonce,
    jobIds: [job.id],
    call: job.call ?? { to: simulatedPolicy.sender, data: '0x' },
    gasLimit: 2n ** 70n,
    stage,
    attempts: [
      {
        hash: `0x${nonce.toString(16).padStart(64, '0')}`,
        raw: '0x02',
        signedAtMs: 1,
        signedAtBlock: 2,
        maxFeePerGasWei: 2n ** 80n,
        maxPriorityFeePerGasWei: 3n,
      },
    ],
  }
}

describe('what a lane keeps', () => {
  const [commit, settled, waiting] = simulatedJobs(1, 2)[0] ?? []
  if (commit === undefined || settled === undefined || waiting === undefined) {
    throw new Error('no jobs')
  }
  const sent: Job = { ...settled, stage: 'sent', nonce: 5, at: { queued: 1, sent: 9 } }

  it('a lane that kept each job in one row is moved over, once, and loses nothing', () => {
    const sql = createNodeSql(':memory:')
    sql.all('CREATE TABLE lane (id INTEGER PRIMARY KEY CHECK (id = 1), body TEXT NOT NULL)')
    sql.all(
      `CREATE TABLE job (id TEXT PRIMARY KEY, stage TEXT NOT NULL, rank INTEGER NOT NULL,
         not_before_ms INTEGER NOT NULL, body TEXT NOT NULL) WITHOUT ROWID`,
    )
    sql.all(
      `CREATE TABLE tx (nonce INTEGER NOT NULL, hash TEXT NOT NULL, stage TEXT NOT NULL,
         body TEXT NOT NULL, PRIMARY KEY (nonce, hash)) WITHOUT ROWID`,
    )
    const done: Job = { ...commit, stage: 'final', nonce: 4 }
    for (const job of [done, sent, waiting]) {
      sql.all(
        'INSERT INTO job VALUES (?, ?, ?, ?, ?)',
        job.id,
        job.stage,
        jobOrder(job.task),
        job.notBeforeMs,
        writeExactJson(job),
      )
    }
    const transactions = [transactionOf(done, 4, 'final'), transactionOf(sent, 5, 'sent')]
    for (const transaction of transactions) {
      const [{ hash } = { hash: '' }] = transaction.attempts
      const { nonce, stage } = transaction
      sql.all('INSERT INTO tx VALUES (?, ?, ?, ?)', nonce, hash, stage, writeExactJson(transaction))
    }
    const { policy, jobs: _, transactions: __, ...row } = createLane(simulatedPolicy)
    sql.all('INSERT INTO lane VALUES (1, ?)', writeExactJson({ ...row, nextNonce: 6 }))

    for (let opening = 0; opening < 2; opening += 1) {
      const store = createLaneStore(sql)
      const lane = store.load(policy)
      expect(lane?.nextNonce).toBe(6)
      expect([...(lane?.jobs.values() ?? [])]).toEqual([sent])
      expect([...(lane?.transactions.values() ?? [])]).toEqual([transactions[1]])
      expect(store.finalFrom(0)).toEqual({ transactions: [transactions[0]], jobs: [done] })
      expect(store.due(10, 10).jobs).toEqual([waiting])
    }
  })

  it('what was noted is seen by whoever reads, and is there after the next start', () => {
    const sql = createNodeSql(':memory:')
    const store = createLaneStore(sql)
    expect(store.add([commit, settled])).toBe(2)
    expect(store.add([commit, settled, waiting])).toBe(1)
    const before = createLane(simulatedPolicy)
    const transaction = transactionOf(sent, 5, 'sent')
    const after = {
      ...before,
      jobs: new Map([[sent.id, sent]]),
      transactions: new Map([[5, transaction]]),
    }
    store.note(before, after)
    expect(store.job(sent.id)).toEqual(sent)
    store.flush()
    expect(createLaneStore(sql).load(simulatedPolicy)).toEqual(after)
    // The bytes are written once: a change of stage leaves them as they are.
    const included: LaneTransaction = { ...transaction, stage: 'included' }
    store.note(after, { ...after, transactions: new Map([[5, included]]) })
    expect(store.transactionAt(5)).toEqual(included)
  })

  it('on a disk that takes nothing more, what is there is still shown, and nothing noted is lost', () => {
    const inner = createNodeSql(':memory:')
    let isFull = false
    const sql: Sql = {
      all: (query, ...values) => inner.all(query, ...values),
      transaction(work) {
        if (isFull) throw new Error('database or disk is full')
        return inner.transaction(work)
      },
    }
    const store = createLaneStore(sql)
    store.add([commit, settled])
    isFull = true
    const before = createLane(simulatedPolicy)
    store.note(before, { ...before, jobs: new Map([[sent.id, sent]]) })
    expect(store.countByStage()).toMatchObject({ queued: 2, sent: 0 })
    expect(store.jobs(10)).toHaveLength(2)
    expect(store.job(sent.id)).toEqual(sent)
    expect(() => store.due(10, 10)).toThrow('full')
    isFull = false
    expect(store.countByStage()).toMatchObject({ queued: 1, sent: 1 })
  })

  it('a job that a lane makes for itself is kept with its task', () => {
    const store = createLaneStore(createNodeSql(':memory:'))
    const made = createJob({ kind: 'register', stream: '0x01', signer: '0x02' }, 7)
    const before = createLane(simulatedPolicy)
    store.note(before, { ...before, jobs: new Map([[made.id, made]]) })
    expect(store.due(10, 10).jobs).toEqual([made])
    expect(store.countByStage().queued).toBe(1)
    expect(store.oldestOpenMs()).toBe(7)
  })
})
