import { type Hex, fromHex, toHex } from '#schemas/bytes.ts'
import { BaseError } from '#schemas/errors.ts'
import { recoverSigner } from '#schemas/signatures.ts'
import { possessionDigest, statementReportData } from '#schemas/statement.ts'
import type { Attestation } from '#schemas/workerApi.ts'
import { parseQuote } from '#verifier/quote/parseQuote.ts'

/** Raised when an attestation cannot lead to a registration; no gas is spent on it. */
export class InvalidAttestationError extends BaseError {
  override readonly name = 'InvalidAttestationError'
}

/** What the attestation is expected to be about. */
export type AttestationPurpose = {
  readonly chainId: number
  readonly enclaveRegistry: Hex
  readonly stream: Hex
  readonly signer: Hex
}

/**
 * Checks that an attestation is about this signer, stream, chain and registry, that the signer holds
 * its key, and that the quote's report data says exactly this. Whether the hardware behind the quote
 * is genuine is for the registry to judge, and for a full appraisal before that where one is set up.
 *
 * @throws {@link InvalidAttestationError}
 */
export function assertAttestation(attestation: Attestation, purpose: AttestationPurpose): void {
  const { statement } = attestation
  const expect = (field: string, expected: unknown, actual: unknown): void => {
    if (expected === actual) return
    throw new InvalidAttestationError('The attestation is made out to something else.', {
      field: `attestation.${field}`,
      metaMessages: [`Expected: ${String(expected)}`, `Actual: ${String(actual)}`],
      remedy: 'The worker makes one statement per chain; check its chains against the plan.',
    })
  }
  expect('statement.signer', purpose.signer, statement.signer)
  expect('statement.stream', purpose.stream, statement.stream)
  expect('statement.anchorChainId', BigInt(purpose.chainId), statement.anchorChainId)
  expect('statement.registry', purpose.enclaveRegistry, statement.registry)
  expect(
    'possession',
    statement.signer,
    recoverSigner(possessionDigest(statement), attestation.possession),
  )
  const quote = parseQuote(fromHex(attestation.quote, 'attestation.quote'))
  const expected = statementReportData(statement, attestation.blockHash)
  expect('quote.reportData', expected, toHex(quote.body.reportData))
}
