import { describe, expect, it } from 'vitest'
import { BaseError } from '#schemas/errors.ts'
import { handIn } from '#worker/doors/handIn.ts'
import type { Ingest } from '#worker/ingest/ingest.ts'

/** An ingest that breaks in ways that a real one cannot be made to, so many times. */
function breaking(times: number, error: unknown): { ingest: Ingest; tries: () => number } {
  let tries = 0
  const ingest = {
    limits: {},
    reserve: () => () => undefined,
    submit: () => {
      tries += 1
      if (tries <= times) return Promise.reject(error)
      return Promise.resolve({ answers: [] })
    },
  } as unknown as Ingest
  return { ingest, tries: () => tries }
}

const message = { contentType: undefined, body: new Uint8Array([0x80]), signature: undefined }
const waiting = { isWanted: () => true, patienceMs: 0 }

class StorageFullError extends BaseError {
  override readonly name = 'StorageFullError'
}

describe('a message of a broker', () => {
  it('is not answered for a fault of the worker that passes', async () => {
    const { ingest, tries } = breaking(1, new Error('a fault'))
    expect(await handIn(ingest, message, waiting)).toStrictEqual({ status: 200, text: '[]' })
    expect(tries()).toBe(2)
  })

  it('that always brings about a fault is answered as one in the end, and holds up nobody', async () => {
    const { ingest, tries } = breaking(Infinity, new Error('a fault'))
    const handed = await handIn(ingest, message, waiting)
    expect(handed?.status).toBe(500)
    expect(JSON.parse(handed?.text ?? '')).toMatchObject({ error: { name: 'InternalError' } })
    expect(tries()).toBe(5)
  })

  it('is never given up while the worker has no room, only when nobody waits for it any more', async () => {
    const { ingest, tries } = breaking(Infinity, new StorageFullError('full'))
    const isWanted = (): boolean => tries() < 3
    expect(await handIn(ingest, message, { isWanted, patienceMs: 0 })).toBeUndefined()
    expect(tries()).toBe(3)
  })
})
