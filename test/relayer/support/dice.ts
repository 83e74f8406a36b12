/** 0 to 99, the same sequence for the same seed (xorshift32), so that a failure can be replayed. */
export function createDice(seed: number): () => number {
  let state = seed
  return () => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>> 0) % 100
  }
}
