import { type Hex, fromHex, toHex, utf8 } from '#schemas/bytes.ts'
import { BaseError } from '#schemas/errors.ts'
import { possessionDigest, statementReportData } from '#schemas/statement.ts'
import { recoverSigner } from '#schemas/signatures.ts'
import { createWorkerClient } from '#schemas/workerClient.ts'
import type { Attestation } from '#schemas/workerApi.ts'
import { parseQuote } from '#verifier/quote/parseQuote.ts'
import { nonceReportData } from '#worker/attest/attestBoot.ts'

/** Raised when a worker's evidence is not for this question, or not for its own keys. */
export class EvidenceNotBoundError extends BaseError {
  override readonly name = 'EvidenceNotBoundError'
}

/** Files that `plumbline quote verify` and `plumbline image measure` take. */
export type EvidenceFiles = {
  readonly signer: Hex
  /** By name; what the worker did not give is not among them. */
  readonly files: ReadonlyMap<string, Uint8Array>
  /** What is missing, and what of the checks cannot be made without it. */
  readonly missing: readonly string[]
}

/**
 * Asks a worker for a quote that answers this nonce, and holds its report data against statement,
 * block hash and nonce: the quote is fresh and vouches for the very keys of the statement. Whether
 * it is genuine is left to `plumbline quote verify`.
 *
 * @param nonce - 32 random bytes.
 * @throws {@link EvidenceNotBoundError} and what the worker's client throws.
 */
export async function fetchEvidence({
  url,
  chainId,
  nonce,
}: {
  readonly url: string
  readonly chainId: bigint
  readonly nonce: Hex
}): Promise<EvidenceFiles> {
  const client = createWorkerClient({ url, fetch: (target, init) => fetch(target, init) })
  const fresh = await client.attestation({ chainId, nonce })
  expectBound(fresh, nonceReportData(fresh.statement, fresh.blockHash, nonce))
  // For a registry, and with collateral: of the same keys on the same platform.
  const standing = await client.attestation({ chainId })
  const expected = statementReportData(standing.statement, standing.blockHash)
  expectBound(standing, fromHex(expected, 'reportData', 64))
  if (standing.statement.signer !== fresh.statement.signer) {
    throw new EvidenceNotBoundError('Two questions were answered for two signers.', {
      field: 'statement.signer',
      remedy: 'Ask again: the worker may have started anew, or several stand behind one address.',
    })
  }

  const { eventLog, appCompose, quote, statement } = fresh
  const parts: [string, string | undefined][] = [
    ['quote.json', JSON.stringify({ quote: quote.slice(2), event_log: eventLog ?? '[]' })],
    ['app-compose.json', appCompose],
    [
      'collateral.json',
      standing.collateral === undefined ? undefined : JSON.stringify(standing.collateral),
    ],
    ['statement.json', JSON.stringify({ ...statement, anchorChainId: String(chainId) })],
  ]
  return {
    signer: statement.signer,
    files: new Map(
      parts.flatMap(([name, text]): [string, Uint8Array][] =>
        text === undefined ? [] : [[name, utf8(text)]],
      ),
    ),
    missing: [
      ...(eventLog === undefined ? ['event log: the application cannot be verified'] : []),
      ...(appCompose === undefined ? ['app-compose.json: set public_tcbinfo'] : []),
      ...(standing.collateral === undefined
        ? ['collateral.json: set certificationService, or fetch it from a PCCS']
        : []),
    ],
  }
}

function expectBound(attestation: Attestation, expected: Uint8Array): void {
  const { statement, possession, quote } = attestation
  if (recoverSigner(possessionDigest(statement), possession) !== statement.signer) {
    throw new EvidenceNotBoundError('The worker did not prove that it has the stated key.', {
      field: 'possession',
      remedy: 'Do not trust this worker.',
    })
  }
  const actual = toHex(parseQuote(fromHex(quote, 'quote')).body.reportData)
  if (actual === toHex(expected)) return
  throw new EvidenceNotBoundError('The quote was made for something else.', {
    field: 'quote.body.reportData',
    metaMessages: [`Expected: ${toHex(expected)}`, `Actual: ${actual}`],
    remedy: 'Do not trust this worker: its quote does not answer this question for these keys.',
  })
}
