import { concatBytes } from '#schemas/bytes.ts'
import { localBootEvents, replayLog } from '../tdx/image.ts'
import type { MeasuredEvent } from '../tdx/image.ts'
import type { Platform } from '../tdx/platform.ts'
import type { Application } from './application.ts'
import { AgentConfigurationError, AgentRequestError } from './errors.ts'
import { runtimeEvent } from './eventLog.ts'
import type { Fixture } from './fixture.ts'

/** The registers that `Info` reports. */
export type MeasuredRegisters = Record<
  'mrTd' | 'rtmr0' | 'rtmr1' | 'rtmr2' | 'rtmr3' | 'mrConfigId' | 'mrOwner' | 'mrOwnerConfig',
  Uint8Array
>

/** Where an agent's quotes come from. */
export type Attester = {
  /** A quote over 64 bytes of report data, and the report data that is in it. */
  quote(reportData: Uint8Array): { quote: Uint8Array; reportData: Uint8Array }
  registers(): MeasuredRegisters
  events(): readonly MeasuredEvent[]
  extend(name: string, payload: Uint8Array): void
}

/** A platform, or one for each instant: lies about time must stay lies while the agent runs. */
export type PlatformSource = Platform | ((now: number) => Platform)

/** The platform of an instant; the last one made is kept. */
export function platformClock(source: PlatformSource, clock: () => number): () => Platform {
  if (typeof source !== 'function') return () => source
  let kept: { now: number; platform: Platform } | undefined
  return () => {
    const now = clock()
    if (kept === undefined || kept.now !== now) kept = { now, platform: source(now) }
    return kept.platform
  }
}

export type MintingOptions = {
  readonly platform: () => Platform
  readonly application: Application
  readonly version: 4 | 5
}

/** Quotes of the local platform whose RTMR3 and MRCONFIGID speak of the application. */
export function mintingAttester(options: MintingOptions): Attester {
  const { platform, application, version } = options
  const events: MeasuredEvent[] = [...localBootEvents, ...application.events]
  const registers = (): MeasuredRegisters => ({
    ...platform().localMeasurements,
    rtmr3: replayLog(events, 3),
    mrConfigId: application.mrConfigId,
  })
  return {
    quote(reportData) {
      const quote = platform().mintQuote({ reportData, measurements: registers(), version })
      return { quote, reportData }
    },
    registers,
    events: () => events,
    extend(name, payload) {
      events.push(runtimeEvent(name, payload))
    },
  }
}

/**
 * A genuine quote from a file. `fixture` hands it out as it is, whatever report data was asked for;
 * `patched` writes the report data into it, which breaks its signature, as upstream's simulator does.
 */
export function fixtureAttester(fixture: Fixture, mode: 'fixture' | 'patched'): Attester {
  const { quote, reportDataOffset, registers } = fixture
  if (fixture.quote.length < reportDataOffset + 64) {
    throw new AgentConfigurationError('The fixture is too short to be a TDX quote.', {
      field: 'fixture',
    })
  }
  return {
    quote(reportData) {
      if (mode === 'fixture') {
        return { quote, reportData: quote.slice(reportDataOffset, reportDataOffset + 64) }
      }
      const patched = concatBytes(
        quote.subarray(0, reportDataOffset),
        reportData,
        quote.subarray(reportDataOffset + 64),
      )
      return { quote: patched, reportData }
    },
    registers: () => registers,
    events: () => fixture.events,
    extend() {
      throw new AgentRequestError(`A genuine quote cannot be extended in ${mode} mode`, {
        remedy: 'Run the agent in minted mode to emit events.',
      })
    },
  }
}
