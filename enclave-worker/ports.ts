import type { Calibration } from '#evaluation/intake.ts'
import type { Hex } from '#schemas/bytes.ts'
import type { PackMark, Reading } from '#schemas/reading.ts'
import type { Policy } from '#schemas/policy/policy.ts'
import type { Collateral } from '#verifier/collateral/collateral.ts'
import type { Judgement } from './batches/composeReport.ts'

/** The enclave's clock. The host owns it: what is signed is bounded by anchors as well. */
export type Clock = { nowMs(): number }

/** A block of a chain. */
export type ChainBlock = {
  readonly number: bigint
  readonly hash: Hex
  readonly timestampMs: number
}

/** Reads recent blocks of one chain. */
export type BlockSource = { latest(): Promise<ChainBlock> }

/** What a chain or a peer remembers of a stream; sequence zero when it holds no batch of it. */
export type HeadSource = {
  head(stream: Hex): Promise<{ readonly sequence: bigint; readonly digest: Hex }>
}

/** What the guest agent gives beside a quote. */
export type GuestQuote = { readonly quote: Hex; readonly eventLog: string }

/** The enclave's own platform, behind dstack's guest agent. */
export type GuestAgent = {
  /** A quote over exactly these 64 bytes. */
  quote(reportData: Uint8Array): Promise<GuestQuote>
  /** A key that only this application's enclaves can derive: for sealing, never for settlement. */
  sealingKey(path: string): Promise<Uint8Array>
  /** The app-compose text that was measured, when the agent tells it. */
  appCompose(): Promise<string | undefined>
}

/** Where a platform's certificates, revocation lists and TCB documents are fetched. */
export type CollateralSource = { collateral(quote: Uint8Array): Promise<Collateral> }

/** Judges one subject over one period: `evaluation/`. */
export type Evaluator = (input: {
  readonly policy: Policy
  readonly periodStartMs: number
  readonly periodEndMs: number
  readonly readings: readonly Reading[]
  readonly packs: readonly PackMark[]
  readonly calibrations: readonly Calibration[]
}) => Judgement

export type LogLevel = 'debug' | 'info' | 'warn' | 'error'
/** One structured line. Fields never hold keys, quotes, readings or packs. */
export type Log = (
  level: LogLevel,
  event: string,
  fields?: Readonly<Record<string, unknown>>,
) => void
