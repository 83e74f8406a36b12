import type { Attestation, BatchPage, ReportPage } from '#schemas/workerApi.ts'
import type { Hex } from '#schemas/bytes.ts'

/** What a lane or a feed needs from the world. Two adapters fulfil it: workerd and Node. */

export type SqlValue = string | number | null
export type SqlRow = Readonly<Record<string, unknown>>

/** A private SQLite database with synchronous statements. */
export interface Sql {
  all(query: string, ...values: readonly SqlValue[]): SqlRow[]
  /** All of `work` becomes durable, or none of it. */
  transaction<Result>(work: () => Result): Result
}

/** One wake-up call that outlives the process. Setting it again moves it. */
export interface Alarm {
  set(atMs: number): Promise<void>
}

/** Milliseconds since the epoch by the machine's clock. */
export type Now = () => number

/** The platform's fetch, or one that a test has made worse on purpose. */
export type Fetch = (url: string, init: RequestInit) => Promise<Response>

/** An EIP-1559 transaction before its signature. */
export type UnsignedTransaction = {
  readonly chainId: number
  readonly nonce: number
  readonly to: Hex
  readonly data: Hex
  /** What the call pays to the contract; nothing when absent. */
  readonly valueWei?: bigint
  readonly gasLimit: bigint
  readonly maxFeePerGasWei: bigint
  readonly maxPriorityFeePerGasWei: bigint
}

/**
 * Whoever holds the sender's key: a local key, a cloud KMS, a remote signer. The key itself never
 * comes through this port.
 */
export interface TransactionSigner {
  readonly address: Hex
  sign(transaction: UnsignedTransaction): Promise<{ readonly hash: Hex; readonly raw: Hex }>
}

/** The enclave worker that a feed reads, over HTTP in production. */
export interface WorkerSource {
  batches(after: bigint, limit: number): Promise<BatchPage>
  /** A page of the reports of a batch that has too many for one answer. */
  reports(sequence: bigint, from: number): Promise<ReportPage>
  /** The attestation of one signer for the registry of one chain. */
  attestation(chainId: number, signer: Hex): Promise<Attestation>
}

/**
 * Appraises an attestation off chain, so that no gas is spent on one that the registry would refuse.
 *
 * @throws when it does not hold
 */
export type AppraiseAttestation = (attestation: Attestation) => Promise<void>
