import { toHex } from '#schemas/bytes.ts'
import { BaseError } from '#schemas/errors.ts'
import type { Collateral } from '#verifier/collateral/collateral.ts'
import { parseQuote } from '#verifier/quote/parseQuote.ts'
import { extensionOid, findExtension, parseCertificate } from '#verifier/x509/certificate.ts'
import { readPemCertificates } from '#verifier/x509/pem.ts'
import { parseSgxExtension } from '#verifier/x509/sgxExtension.ts'
import type { CollateralSource } from '../ports.ts'

/** Raised when the certification service is away or answers what is no collateral. */
export class CollateralUnavailableError extends BaseError {
  override readonly name = 'CollateralUnavailableError'
  override readonly retryable = true
}

const requestTimeoutMs = 5_000
/** The largest part, a revocation list of a large maker, measures some tens of kilobytes. */
const maxAnswerBytes = 256 * 1024

type Answer = { readonly body: Uint8Array; readonly header: (name: string) => string }

/** Which platform a quote is from, as far as a certification service wants to know. */
function platformOf(quote: Uint8Array): { fmspc: string; ca: 'platform' | 'processor' } {
  const chain = new TextDecoder('latin1').decode(parseQuote(quote).auth.pckChain)
  const [der, issuer] = readPemCertificates(chain, 'PCK chain', 3)
  const pck = parseCertificate(der ?? new Uint8Array(), 'PCK certificate')
  const { subjectCommonName } = parseCertificate(issuer ?? new Uint8Array(), 'PCK issuer')
  const { fmspc } = parseSgxExtension(findExtension(pck, extensionOid.sgx) ?? new Uint8Array())
  return {
    fmspc: toHex(fmspc).slice(2),
    ca: subjectCommonName.includes('Platform') ? 'platform' : 'processor',
  }
}

/** Splits `{"<name>":{…},"signature":"…"}` without re-writing the text that was signed. */
function signedDocument(body: Uint8Array, name: string): { text: string; signature: string } {
  const pattern = new RegExp(
    `^\\{"${name}":(\\{.*\\}),"signature":"([0-9a-fA-F]{128})"\\}\\s*$`,
    's',
  )
  const found = pattern.exec(new TextDecoder('utf-8', { fatal: true }).decode(body))
  if (found === null) {
    throw new CollateralUnavailableError(`The answer is no signed ${name}.`, {
      field: 'certificationService',
    })
  }
  return { text: found[1] ?? '', signature: (found[2] ?? '').toLowerCase() }
}

/** A revocation list as hex of its DER, whether it was served as that or as hex. */
function derHex(body: Uint8Array): string {
  if (body[0] === 0x30 && (body[1] ?? 0) >= 0x80) return toHex(body).slice(2)
  return new TextDecoder('latin1').decode(body).trim().toLowerCase()
}

/**
 * Fetches a platform's collateral from a provisioning certificate caching service (PCCS). Nothing of
 * it is believed here: whoever verifies a quote verifies its collateral up to the root certificate.
 *
 * @param baseUrl - Where `/sgx/certification/v4` begins, without a path: `https://pccs.example:8081`.
 * @see Intel SGX and TDX Provisioning Certification Service API, version 4
 */
export function createCertificationService(baseUrl: string): CollateralSource {
  const base = baseUrl.replace(/\/+$/, '')

  async function get(path: string): Promise<Answer> {
    try {
      const response = await fetch(`${base}${path}`, {
        signal: AbortSignal.timeout(requestTimeoutMs),
        redirect: 'error',
      })
      if (!response.ok) throw new Error(`status ${response.status}`)
      const body = new Uint8Array(await response.arrayBuffer())
      if (body.length > maxAnswerBytes) throw new Error(`${body.length} bytes`)
      return {
        body,
        header: (name) => decodeURIComponent(response.headers.get(name) ?? ''),
      }
    } catch (cause) {
      throw new CollateralUnavailableError('The certification service gives no collateral.', {
        field: 'certificationService',
        metaMessages: [`Path: ${path}`],
        remedy: 'Check the service’s URL; batches are signed meanwhile, bundles have to wait.',
        cause,
      })
    }
  }

  return {
    async collateral(quote): Promise<Collateral> {
      const { fmspc, ca } = platformOf(quote)
      const [rootCrl, pckCrl, tcb, qe] = await Promise.all([
        get('/sgx/certification/v4/rootcacrl'),
        get(`/sgx/certification/v4/pckcrl?ca=${ca}&encoding=der`),
        get(`/tdx/certification/v4/tcb?fmspc=${fmspc}`),
        get('/tdx/certification/v4/qe/identity'),
      ])
      const tcbInfo = signedDocument(tcb.body, 'tcbInfo')
      const qeIdentity = signedDocument(qe.body, 'enclaveIdentity')
      return {
        pck_crl_issuer_chain: pckCrl.header('sgx-pck-crl-issuer-chain'),
        root_ca_crl: derHex(rootCrl.body),
        pck_crl: derHex(pckCrl.body),
        tcb_info_issuer_chain: tcb.header('tcb-info-issuer-chain'),
        tcb_info: tcbInfo.text,
        tcb_info_signature: tcbInfo.signature,
        qe_identity_issuer_chain: qe.header('sgx-enclave-identity-issuer-chain'),
        qe_identity: qeIdentity.text,
        qe_identity_signature: qeIdentity.signature,
      }
    },
  }
}
