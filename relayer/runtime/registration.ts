/**
 * What only a registration needs: readers of quotes, certificates and collateral. A key is registered
 * once in its life, so that they are loaded then and not at each start.
 */
export { assertAttestation } from '../feed/appraise.ts'
export { packQuoteEvidence } from '#verifier/quote/packQuoteEvidence.ts'
export { missingUploads } from '#contracts/attestation/dcap/missingUploads.ts'
