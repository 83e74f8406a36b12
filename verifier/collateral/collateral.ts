import { fromHex } from '#schemas/bytes.ts'
import { refusal } from '../appraisal/errors.ts'
import { JsonFields } from './jsonFields.ts'

/**
 * Everything besides the quote that a verification rests on, in the JSON layout that dcap-qvl and
 * most caching services write: issuer chains in PEM, revocation lists in hex DER, and Intel's two
 * documents as the exact texts that were signed.
 */
export type Collateral = {
  readonly pck_crl_issuer_chain: string
  readonly root_ca_crl: string
  readonly pck_crl: string
  readonly tcb_info_issuer_chain: string
  /** The signed text itself, byte for byte; never a parsed and re-written object. */
  readonly tcb_info: string
  readonly tcb_info_signature: string
  readonly qe_identity_issuer_chain: string
  readonly qe_identity: string
  readonly qe_identity_signature: string
  /**
   * Some services add the chain of the platform they were asked about. It is not used: the chain
   * that counts is the one inside the quote.
   */
  readonly pck_certificate_chain?: string | null
}

export type CollateralParts = {
  readonly pckCrlIssuerChain: string
  readonly rootCrl: Uint8Array
  readonly pckCrl: Uint8Array
  readonly tcbInfoIssuerChain: string
  readonly tcbInfo: string
  readonly tcbInfoSignature: Uint8Array
  readonly qeIdentityIssuerChain: string
  readonly qeIdentity: string
  readonly qeIdentitySignature: Uint8Array
}

/** Real sets measure 14 to 24 kB in all. */
const maximumTextLength = 65_536

/**
 * Checks the outer shape of collateral and decodes its hex.
 *
 * @throws {@link CollateralRefusedError} `CollateralMalformed`.
 */
export function readCollateral(collateral: unknown): CollateralParts {
  try {
    const fields = new JsonFields(collateral, 'collateral')
    const text = (name: keyof Collateral) => fields.text(name, maximumTextLength)
    const bytes = (name: keyof Collateral, length?: number) =>
      fromHex(fields.text(name, maximumTextLength * 2), `collateral.${name}`, length)
    return {
      pckCrlIssuerChain: text('pck_crl_issuer_chain'),
      rootCrl: bytes('root_ca_crl'),
      pckCrl: bytes('pck_crl'),
      tcbInfoIssuerChain: text('tcb_info_issuer_chain'),
      tcbInfo: text('tcb_info'),
      tcbInfoSignature: bytes('tcb_info_signature', 64),
      qeIdentityIssuerChain: text('qe_identity_issuer_chain'),
      qeIdentity: text('qe_identity'),
      qeIdentitySignature: bytes('qe_identity_signature', 64),
    }
  } catch (cause) {
    throw refusal('CollateralMalformed', 'The collateral does not have the expected shape.', {
      cause,
      field: fieldOf(cause),
      remedy: 'Hand in the JSON object that dcap-qvl or a PCCS client writes, hex as text.',
    })
  }
}

/** The field that an error names, when it names one. */
export function fieldOf(cause: unknown): string | undefined {
  return cause instanceof Error && 'field' in cause && typeof cause.field === 'string'
    ? cause.field
    : undefined
}
