import type { Platform } from './platform.ts'

/** An HTTP answer, whoever sends it. */
export type CertificationAnswer = {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: Uint8Array | string
}

/**
 * The platform's collateral in the way Intel's provisioning certification service and its caches
 * (PCCS) serve it, so that an ordinary client fetches it from here by its base URL.
 *
 * @param now - Unix seconds: the answer is issued for this instant.
 * @returns `undefined` for a path that is not of that service.
 * @see Intel SGX and TDX Provisioning Certification Service API, version 4
 */
export function answerCertificationRequest(
  platform: Platform,
  url: URL,
  now: number,
): CertificationAnswer | undefined {
  const route = /^\/(sgx|tdx)\/certification\/v4\/(.+)$/.exec(url.pathname)
  if (route === null) return undefined
  const [, tee, resource] = route
  const query = url.searchParams
  const collateral = platform.collateral(now)
  if (resource === 'rootcacrl') return text(collateral.root_ca_crl)
  if (resource === 'pckcrl') {
    const ca = query.get('ca')
    if (ca !== 'platform' && ca !== 'processor') return notFound
    const list = ca === 'platform' ? collateral : platform.processorCrl(now)
    return {
      status: 200,
      headers: {
        'sgx-pck-crl-issuer-chain': encodeURIComponent(list.pck_crl_issuer_chain),
        'content-type': 'application/pkix-crl',
      },
      body: Uint8Array.from(Buffer.from(list.pck_crl, 'hex')),
    }
  }
  if (tee === 'tdx' && resource === 'tcb') {
    const fmspc = Buffer.from(platform.fmspc).toString('hex')
    if (query.get('fmspc')?.toLowerCase() !== fmspc) return notFound
    return json(
      `{"tcbInfo":${collateral.tcb_info},"signature":"${collateral.tcb_info_signature}"}`,
      { 'tcb-info-issuer-chain': encodeURIComponent(collateral.tcb_info_issuer_chain) },
    )
  }
  if (tee === 'tdx' && resource === 'qe/identity') {
    const { qe_identity, qe_identity_signature, qe_identity_issuer_chain } = collateral
    return json(`{"enclaveIdentity":${qe_identity},"signature":"${qe_identity_signature}"}`, {
      'sgx-enclave-identity-issuer-chain': encodeURIComponent(qe_identity_issuer_chain),
    })
  }
  return notFound
}

const notFound: CertificationAnswer = { status: 404, headers: {}, body: '' }

function text(body: string): CertificationAnswer {
  return { status: 200, headers: { 'content-type': 'text/plain' }, body }
}

function json(body: string, headers: Record<string, string>): CertificationAnswer {
  return { status: 200, headers: { ...headers, 'content-type': 'application/json' }, body }
}
