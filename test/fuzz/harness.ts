/** A small, fast, seeded source of numbers (xorshift32): a finding is repeated by its seed. */
export class Random {
  private state: number

  constructor(seed: number) {
    this.state = seed >>> 0 || 1
  }

  /** A whole number from 0 to below `bound`. */
  below(bound: number): number {
    this.state ^= this.state << 13
    this.state ^= this.state >>> 17
    this.state ^= this.state << 5
    this.state >>>= 0
    return this.state % bound
  }

  pick<Item>(items: readonly Item[]): Item {
    const item = items[this.below(items.length)]
    if (item === undefined) throw new Error('nothing to pick from')
    return item
  }

  bytes(length: number): Uint8Array {
    return Uint8Array.from({ length }, () => this.below(256))
  }
}

/** One fuzzed door: makes an input out of its seed and throws when a law is broken. */
export type Fuzzer = {
  readonly name: string
  /** Tries one input; answers whether it was accepted. */
  readonly attempt: (random: Random) => boolean
}

/** Most processor time that one input may take: a busy machine is not a hang. */
const longestMicroseconds = 2_000_000

export type FuzzOutcome = { readonly tried: number; readonly accepted: number }

/**
 * Feeds a fuzzer until the time or the number of inputs is used up.
 *
 * @throws with the seed when a law is broken or an input takes too long.
 */
export function runFuzzer(
  { name, attempt }: Fuzzer,
  limits: { readonly seconds?: number; readonly inputs?: number; readonly seed: number },
): FuzzOutcome {
  const untilMs = performance.now() + (limits.seconds ?? Infinity) * 1000
  const most = limits.inputs ?? Infinity
  let tried = 0
  let accepted = 0
  for (let seed = limits.seed; tried < most; seed += 1) {
    if (performance.now() > untilMs) break
    const cpuBefore = process.cpuUsage()
    try {
      // Neighbouring seeds of xorshift begin alike; the odd multiplier spreads them.
      if (attempt(new Random(Math.imul(seed, 0x9e3779b1)))) accepted += 1
    } catch (cause) {
      throw new Error(`${name}: seed ${seed} breaks a law: ${String(cause)}`, { cause })
    }
    const { user, system } = process.cpuUsage(cpuBefore)
    if (user + system > longestMicroseconds) {
      throw new Error(`${name}: seed ${seed} took ${user + system} microseconds`)
    }
    tried += 1
  }
  return { tried, accepted }
}

/**
 * Runs fuzzers from the command line: `node test/fuzz/NAME.ts --seconds N [--seed S] [--only FUZZER]`.
 * The seconds are shared out; a seed of a finding is tried first.
 */
export function fuzzMain(all: readonly Fuzzer[]): void {
  const only = process.argv.indexOf('--only')
  const fuzzers = only < 0 ? all : all.filter(({ name }) => name === process.argv[only + 1])
  if (fuzzers.length === 0) {
    throw new Error(`--only takes one of: ${all.map(({ name }) => name).join(', ')}`)
  }
  const option = (name: string, fallback: number) => {
    const at = process.argv.indexOf(`--${name}`)
    return at < 0 ? fallback : Number(process.argv[at + 1])
  }
  const seconds = option('seconds', 60) / fuzzers.length
  const seed = option('seed', Date.now() & 0x7fffffff)
  for (const fuzzer of fuzzers) {
    const { tried, accepted } = runFuzzer(fuzzer, { seconds, seed })
    process.stdout.write(
      `${JSON.stringify({ fuzzer: fuzzer.name, seed, seconds, tried, accepted, findings: 0 })}\n`,
    )
  }
}
