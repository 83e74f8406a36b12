import { describe, expect, it } from 'vitest'
import { calibrationFuzzer } from './calibration.ts'
import { cborFuzzer } from './cbor.ts'
import { documentFuzzers } from './documents.ts'
import { runFuzzer } from './harness.ts'
import { coseKeyFuzzer, sign1Fuzzer } from './keys.ts'
import { sequenceFuzzer, signedPackFuzzer, tamperedPackFuzzer, textPackFuzzer } from './pack.ts'
import { confirmationFuzzer, deliveryFuzzer } from './platforms.ts'
import { senmlFuzzer } from './senml.ts'
import { csvFuzzer, jsonFuzzer, jwsFuzzer, senmlJsonFuzzer, signedJsonFuzzer } from './texts.ts'

describe('a short run of every fuzzer', () => {
  it.each([
    cborFuzzer,
    senmlFuzzer,
    tamperedPackFuzzer,
    textPackFuzzer,
    signedPackFuzzer,
    sequenceFuzzer,
    coseKeyFuzzer,
    sign1Fuzzer,
    calibrationFuzzer,
    jsonFuzzer,
    senmlJsonFuzzer,
    csvFuzzer,
    signedJsonFuzzer,
    jwsFuzzer,
    confirmationFuzzer,
    deliveryFuzzer,
  ])('$name breaks no law, and some of what it makes is accepted', (fuzzer) => {
    const { tried, accepted } = runFuzzer(fuzzer, { inputs: 1500, seed: 1 })
    expect(tried).toBe(1500)
    expect(accepted).toBeGreaterThan(0)
    expect(accepted).toBeLessThan(tried)
  })

  it.each(documentFuzzers)('$name breaks no law either', (fuzzer) => {
    const { accepted } = runFuzzer(fuzzer, { inputs: 300, seed: 1 })
    expect(accepted).toBeGreaterThan(0)
    expect(accepted).toBeLessThan(300)
  })
})
