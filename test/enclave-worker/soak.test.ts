import { describe, expect, it } from 'vitest'
import { soak, soakHolds } from './soak.ts'

/** Only root can mount the small disk that is filled. */
function sayWhatIsLeftOut(): void {
  if (process.getuid?.() === 0) return
  // oxlint-disable-next-line vitest/warn-todo -- said by name rather than passed over
  it.todo('NOT CHECKED: a disk that is really full needs a tmpfs, and so root')
}

describe('a worker under load, with every fault once', () => {
  it('keeps every receipt, changes no batch and holds its memory', async () => {
    const result = await soak(5)
    expect(result.problems).toStrictEqual([])
    expect(result).toMatchObject({ broken: 0, changed: 0, wronglyRefused: 0 })
    expect(soakHolds(result)).toBe(true)
    expect(Object.keys(result.faults).sort()).toStrictEqual([
      'clock step',
      'full disk',
      'guest agent gone',
      'killed',
      'slow disk',
    ])
    expect(result.receipts).toBeGreaterThan(20)
    expect(result.batches).toBeGreaterThan(3)
    expect(result.lives).toBeGreaterThan(1)
    expect(result.slowClientsCut).toBeGreaterThan(0)
    expect(result.bodiesCut).toBeGreaterThan(0)
    expect(result.rubbishRefused).toBeGreaterThan(0)
    expect(result.heldSeen).toBeGreaterThan(0)
  }, 400_000)

  sayWhatIsLeftOut()
})
