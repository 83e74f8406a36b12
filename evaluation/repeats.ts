/**
 * Finds a stretch of values that occurred before: a recording played back under new times. Remembers
 * every value of the window (eight bytes each), the one rule beside percentiles that cannot do with
 * constant memory.
 */
export type RepeatsState = {
  readonly run: number
  readonly values: number[]
  /** Key of a stretch to the index after its end; can be made again from `values`. */
  readonly index: Map<number, number>
  hashHigh: number
  hashLow: number
  /** How many of the last `run` steps changed the value. */
  changes: number
}

const baseHigh = 0x01000193
const baseLow = 0x85ebca6b

function power(base: number, exponent: number): number {
  let result = 1
  for (let step = 0; step < exponent; step += 1) result = Math.imul(result, base)
  return result
}

const powers = new Map<number, readonly [number, number]>()

function powersOf(run: number): readonly [number, number] {
  let known = powers.get(run)
  if (known === undefined) {
    known = [power(baseHigh, run), power(baseLow, run)]
    powers.set(run, known)
  }
  return known
}

export function createRepeats(run: number): RepeatsState {
  return { run, values: [], index: new Map(), hashHigh: 0, hashLow: 0, changes: 0 }
}

/** Spreads a value over 32 bits; equal values give equal bits, which is all that is needed. */
function digest(value: number): number {
  const high = Math.floor(value / 0x1_0000_0000)
  return Math.imul(value ^ Math.imul(high, 0x9e3779b1), 0xc2b2ae35) ^ high
}

function hasChanged(values: readonly number[], at: number): boolean {
  return at > 0 && values[at] !== values[at - 1]
}

/**
 * Takes the next value; answers whether the stretch that ends with it occurred before. A stretch of
 * which less than half the steps change anything is not distinctive and never counts.
 */
export function takeValue(state: RepeatsState, value: number): boolean {
  const { run, values, index } = state
  const at = values.length
  values.push(value)
  const [powerHigh, powerLow] = powersOf(run)
  const entering = digest(value)
  state.hashHigh = (Math.imul(state.hashHigh, baseHigh) + entering) | 0
  state.hashLow = (Math.imul(state.hashLow, baseLow) + entering) | 0
  if (hasChanged(values, at)) state.changes += 1
  if (at >= run) {
    const leaving = digest(values[at - run] ?? 0)
    state.hashHigh = (state.hashHigh - Math.imul(leaving, powerHigh)) | 0
    state.hashLow = (state.hashLow - Math.imul(leaving, powerLow)) | 0
    if (hasChanged(values, at - run)) state.changes -= 1
  }
  const end = at + 1
  if (end < run || 2 * state.changes < run) return false
  const key = (state.hashHigh >>> 0) * 0x10_0000 + (state.hashLow >>> 12)
  const earlierEnd = index.get(key)
  if (earlierEnd === undefined) {
    index.set(key, end)
    return false
  }
  if (earlierEnd > end - run) return false
  // The key is a hint; what counts is that all values agree.
  for (let offset = 1; offset <= run; offset += 1) {
    if (values[earlierEnd - offset] !== values[end - offset]) return false
  }
  return true
}
