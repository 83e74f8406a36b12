import { JsonFields } from './jsonFields.ts'
import { readIsvLevels, type IsvLevel } from './tcbInfo.ts'

/**
 * Intel's statement on its quoting enclave.
 *
 * @see Intel PCS API v4, `/sgx/certification/v4/qe/identity` and `/tdx/certification/v4/qe/identity`
 */
export type QeIdentity = {
  readonly id: string
  readonly version: number
  readonly issueDateUnixSeconds: number
  readonly nextUpdateUnixSeconds: number
  readonly evaluationDataNumber: number
  /** Bytes in the order of memory, as the report has them. */
  readonly miscSelect: Uint8Array
  readonly miscSelectMask: Uint8Array
  readonly attributes: Uint8Array
  readonly attributesMask: Uint8Array
  readonly mrSigner: Uint8Array
  readonly isvProdId: number
  readonly levels: readonly IsvLevel[]
}

/** @throws {@link InvalidDocumentError} or SyntaxError. */
export function parseQeIdentity(text: string): QeIdentity {
  const identity = new JsonFields(JSON.parse(text), 'qe_identity')
  return {
    id: identity.text('id', 16),
    version: identity.integer('version', 0, 255),
    issueDateUnixSeconds: identity.time('issueDate'),
    nextUpdateUnixSeconds: identity.time('nextUpdate'),
    evaluationDataNumber: identity.integer('tcbEvaluationDataNumber', 0, 0xffff_ffff),
    miscSelect: identity.hex('miscselect', 4),
    miscSelectMask: identity.hex('miscselectMask', 4),
    attributes: identity.hex('attributes', 16),
    attributesMask: identity.hex('attributesMask', 16),
    mrSigner: identity.hex('mrsigner', 32),
    isvProdId: identity.integer('isvprodid', 0, 0xffff),
    levels: readIsvLevels(identity),
  }
}
