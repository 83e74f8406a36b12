import { utf8 } from '#schemas/bytes.ts'
import { refusal } from '#verifier/appraisal/errors.ts'
import { readCollateral, type Collateral } from '#verifier/collateral/collateral.ts'
import { readPemCertificates } from '#verifier/x509/pem.ts'

/** Collateral taken apart into what `CollateralStore` is handed, item by item. */
export type CollateralItems = {
  readonly rootCertificate: Uint8Array
  readonly rootCrl: Uint8Array
  readonly pckCa: Uint8Array
  readonly pckCrl: Uint8Array
  /** Signs the TCB info. */
  readonly tcbSigning: Uint8Array
  /** Signs the QE identity; mostly the same certificate. */
  readonly qeSigning: Uint8Array
  readonly tcbInfo: SignedText
  readonly qeIdentity: SignedText
}

/** A text that Intel signed, byte for byte, with r ‖ s. */
export type SignedText = { readonly text: Uint8Array; readonly signature: Uint8Array }

/**
 * Takes collateral apart. Nothing is verified; the contract does that, and refuses what does not hold.
 *
 * @throws {@link CollateralRefusedError} when the outer form is not that of collateral.
 */
export function collateralItems(collateral: Collateral): CollateralItems {
  const parts = readCollateral(collateral)
  const [pckCa, root] = readChain(parts.pckCrlIssuerChain, 'collateral.pck_crl_issuer_chain')
  const [tcbSigning] = readChain(parts.tcbInfoIssuerChain, 'collateral.tcb_info_issuer_chain')
  const [qeSigning] = readChain(parts.qeIdentityIssuerChain, 'collateral.qe_identity_issuer_chain')
  return {
    rootCertificate: root,
    rootCrl: parts.rootCrl,
    pckCa,
    pckCrl: parts.pckCrl,
    tcbSigning,
    qeSigning,
    tcbInfo: { text: utf8(parts.tcbInfo), signature: parts.tcbInfoSignature },
    qeIdentity: { text: utf8(parts.qeIdentity), signature: parts.qeIdentitySignature },
  }
}

function readChain(text: string, field: string): [issuer: Uint8Array, root: Uint8Array] {
  let chain: Uint8Array[]
  try {
    chain = readPemCertificates(text, field, 2)
  } catch (cause) {
    throw refusal('IssuerChainMalformed', 'An issuer chain cannot be read.', { field, cause })
  }
  const [issuer, root] = chain
  if (issuer !== undefined && root !== undefined) return [issuer, root]
  throw refusal('IssuerChainMalformed', 'An issuer chain is too short.', {
    field,
    metaMessages: ['Expected: 2 certificates', `Actual: ${chain.length}`],
  })
}
