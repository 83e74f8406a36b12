import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { QuoteVerifier, getCollateral } from '@phala/dcap-qvl'
import { DstackClient, TappdClient } from '@phala/dstack-sdk'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { ed25519 } from '@noble/curves/ed25519'
import { secp256k1 } from '@noble/curves/secp256k1'
import { sha256 } from '@noble/hashes/sha2'
import { toHex } from '#schemas/bytes.ts'
import { startGuestAgent } from '#localnet/agent/server.ts'
import type { GuestAgent } from '#localnet/agent/server.ts'
import { createPlatform } from '#localnet/tdx/platform.ts'
import { strictPolicy } from '#localnet/tdx/strictPolicy.ts'
import { createQuotePolicy } from '#verifier/appraisal/policy.ts'
import { verifyCollateral } from '#verifier/collateral/verifyCollateral.ts'
import { verifyKmsKey } from '#verifier/dstack/kmsChain.ts'
import { verifyRaTlsCertificate } from '#verifier/dstack/raTls.ts'
import { verifyDstackEvidence } from '#verifier/dstack/verifyDstackEvidence.ts'
import { verifyQuoteWithCollateral } from '#verifier/quote/verifyQuote.ts'

const now = Date.UTC(2026, 8, 1, 12) / 1000
const platform = createPlatform({ now })
// Neither canonical nor ASCII: the hash must be over the bytes as they are.
const composeFile = '{ "name": "pläne",\n  "public_tcbinfo": true, "manifest_version": 2 }\n'

/** Over the URL and over the unix socket the SDK runs two different clients. */
const transports = ['http', 'unix socket'] as const

describe.each(transports)('localnet/agent with the dstack SDK over %s', (transport) => {
  const folder = mkdtempSync(join(tmpdir(), 'agent-'))
  const socketPath = join(folder, 'dstack.sock')
  let agent: GuestAgent
  let client: DstackClient

  beforeAll(async () => {
    agent = await startGuestAgent({
      platform,
      composeFile,
      clock: () => now,
      ...(transport === 'http' ? { port: 0 } : { socketPath }),
    })
    client = new DstackClient(agent.endpoint)
  })
  afterAll(async () => {
    await agent.close()
    rmSync(folder, { recursive: true })
  })

  function appraise(quote: string, expectedReportData: Uint8Array) {
    const policy = strictPolicy(platform, { mrConfigId: agent.mrConfigId })
    return verifyQuoteWithCollateral(Buffer.from(quote, 'hex'), platform.collateral(), {
      rootCertificate: platform.rootCertificateDer,
      now,
      policy: createQuotePolicy(policy),
      expectedReportData,
    })
  }

  it('quotes pad the report data with zeros on the right and pass the production verifier', async () => {
    const { quote, report_data } = await client.getQuote(Uint8Array.of(0xab, 0xcd))
    const expected = new Uint8Array(64)
    expected.set([0xab, 0xcd])
    expect(report_data).toBe(Buffer.from(expected).toString('hex'))
    expect(appraise(quote, expected).tcb.status).toBe('UpToDate')
  })

  it('event log, registers, compose file and MRCONFIGID tell one story', async () => {
    const { quote, event_log } = await client.getQuote(new Uint8Array(64))
    const { tcb_info } = await client.info()
    expect(tcb_info.app_compose).toBe(composeFile)
    const appraisal = verifyDstackEvidence(
      appraise(quote, new Uint8Array(64)),
      { eventLog: event_log, appCompose: tcb_info.app_compose },
      { appId: toHex(agent.appId), keyProviders: 'any', zeroMrConfigId: 'refuse' },
    )
    expect(appraisal).toMatchObject({
      composeHash: toHex(sha256(new TextEncoder().encode(composeFile))),
      mrConfigVersion: 1,
      keyProvider: { name: 'kms' },
    })
  })

  it('info answers the fields of a real agent', async () => {
    const info = await client.info()
    expect(Object.keys(info)).toEqual([
      'app_id',
      'instance_id',
      'app_cert',
      'tcb_info',
      'app_name',
      'device_id',
      'mr_aggregated',
      'os_image_hash',
      'key_provider_info',
      'compose_hash',
      'vm_config',
      'cloud_vendor',
      'cloud_product',
    ])
    // A real TDX guest does not verify itself and reports SHA-256 of nothing.
    expect(info.device_id).toBe('e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855')
    expect(info.app_name).toBe('pläne')
    expect(info.app_id).toBe(info.compose_hash.slice(0, 40))
    expect(info.app_cert.match(/BEGIN CERTIFICATE/g)).toHaveLength(3)
    expect(info.tcb_info.mrtd).toBe(Buffer.from(platform.localMeasurements.mrTd).toString('hex'))
  })

  it.each(['secp256k1', 'ed25519'] as const)(
    'keys of %s carry a chain that leads to the KMS root',
    async (algorithm) => {
      const { key, signature_chain } = await client.getKey('wallet/0', 'signing', algorithm)
      const publicKey =
        algorithm === 'ed25519' ? ed25519.getPublicKey(key) : secp256k1.getPublicKey(key, true)
      const claim = {
        publicKey: toHex(publicKey),
        purpose: 'signing',
        appId: toHex(agent.appId),
        signatureChain: signature_chain.map(toHex),
        kmsRoot: toHex(agent.kmsRootPublicKey ?? new Uint8Array(33)),
      }
      expect(verifyKmsKey(claim).appPublicKey).toMatch(/^0x0[23]/)
      expect(() => verifyKmsKey({ ...claim, purpose: 'other' })).toThrow('does not lead to')
    },
  )

  it('purpose and algorithm do not change a key, the path does', async () => {
    const key = async (...request: [string, string, string]) =>
      toHex((await client.getKey(...request)).key)
    expect(await key('a', 'x', 'ed25519')).toBe(await key('a', 'y', 'secp256k1'))
    expect(await key('a', 'x', 'k256')).toBe(await key('a', 'x', ''))
    expect(await key('a', 'x', 'k256')).not.toBe(await key('b', 'x', 'k256'))
  })

  it.each(['secp256k1', 'secp256k1_prehashed', 'ed25519'] as const)(
    'a signature of %s verifies here and in an independent library, and no other does',
    async (algorithm) => {
      const data = sha256(new TextEncoder().encode('reading'))
      const { signature, public_key, signature_chain } = await client.sign(algorithm, data)
      expect(signature).toHaveLength(64)
      expect(signature_chain.map((each) => each.length)).toEqual([64, 65, 65])
      expect((await client.verify(algorithm, data, signature, public_key)).valid).toBe(true)
      const other = sha256(data)
      expect((await client.verify(algorithm, other, signature, public_key)).valid).toBe(false)
      const message = algorithm === 'secp256k1' ? sha256(data) : data
      const isValid =
        algorithm === 'ed25519'
          ? ed25519.verify(signature, message, public_key)
          : secp256k1.verify(signature, message, public_key)
      expect(isValid).toBe(true)
    },
  )

  it('an RA-TLS certificate binds its key to a quote under the local root', async () => {
    const { certificate_chain, key } = await client.getTlsKey({
      subject: 'worker.local',
      altNames: ['worker.local', '127.0.0.1', '::1'],
      usageRaTls: true,
      usageClientAuth: true,
      notAfter: now + 3_600,
      withAppInfo: true,
    })
    expect(key).toContain('BEGIN PRIVATE KEY')
    const [leaf, issuer] = certificate_chain.map(derOfPem)
    const collateral = verifyCollateral(platform.collateral(), {
      rootCertificate: platform.rootCertificateDer,
      now,
    })
    const policy = createQuotePolicy(strictPolicy(platform, { mrConfigId: agent.mrConfigId }))
    const appraisal = verifyRaTlsCertificate(leaf ?? new Uint8Array(), collateral, {
      now,
      policy,
      issuerCertificate: issuer ?? new Uint8Array(),
    })
    expect(appraisal.quote.tcb.status).toBe('UpToDate')
    expect(appraisal.eventLog).toContain('compose-hash')
  })

  it('a TLS key is fresh with every call', async () => {
    const [first, second] = await Promise.all([client.getTlsKey(), client.getTlsKey()])
    expect(first.key).not.toBe(second.key)
  })

  it('emitted events extend RTMR3 behind the boot, and boot names come too late', async () => {
    await client.emitEvent('release', 'v1')
    const { quote, event_log } = await client.getQuote('late')
    const { tcb_info } = await client.info()
    const evidence = { eventLog: event_log, appCompose: tcb_info.app_compose }
    const expectations = { appId: 'any', keyProviders: 'any', zeroMrConfigId: 'refuse' } as const
    const reportData = new Uint8Array(64)
    reportData.set(new TextEncoder().encode('late'))
    const appraisal = appraise(quote, reportData)
    expect(verifyDstackEvidence(appraisal, evidence, expectations).applicationEvents).toEqual([
      { name: 'release', payload: '0x7631' },
    ])
    await client.emitEvent('app-id', 'stolen')
    const forged = await client.getQuote('late')
    expect(() =>
      verifyDstackEvidence(
        appraise(forged.quote, reportData),
        { ...evidence, eventLog: forged.event_log },
        expectations,
      ),
    ).toThrow(/app-id/)
  })

  it('version, reachability and attestation are answered', async () => {
    expect(await client.version()).toMatchObject({ version: '0.5.11', rev: '' })
    expect(await client.isReachable()).toBe(true)
    expect((await client.attest('x')).attestation).toMatch(/^0000/)
  })

  it('the older Tappd client gets its keys and quotes', async () => {
    const warn = vi.spyOn(console, 'warn').mockReturnValue()
    const tappd = new TappdClient(agent.endpoint)
    expect(await tappd.isReachable()).toBe(true)
    const [first, second] = await Promise.all([tappd.deriveKey('a'), tappd.deriveKey('a')])
    expect(first.key).toBe(second.key)
    const { quote } = await tappd.tdxQuote(new Uint8Array(64), 'raw')
    expect(appraise(quote, new Uint8Array(64)).tee).toBe('TDX')
    expect(warn).toHaveBeenCalledWith('deriveKey is deprecated, please use getKey instead')
    warn.mockRestore()
  })
})

describe('localnet/agent as a source of collateral', () => {
  let agent: GuestAgent
  beforeAll(async () => {
    agent = await startGuestAgent({ platform, composeFile, clock: () => now })
  })
  afterAll(() => agent.close())

  const get = (path: string) => fetch(`${agent.endpoint}${path}`)

  it('what it serves is the collateral of its quotes', async () => {
    const expected = platform.collateral()
    const chain = (response: Response, name: string) =>
      decodeURIComponent(response.headers.get(name) ?? '')
    const crl = await get('/sgx/certification/v4/pckcrl?ca=platform&encoding=der')
    expect(Buffer.from(await crl.arrayBuffer()).toString('hex')).toBe(expected.pck_crl)
    expect(chain(crl, 'SGX-PCK-CRL-Issuer-Chain')).toBe(expected.pck_crl_issuer_chain)
    const tcb = await get('/tdx/certification/v4/tcb?fmspc=4C4F43414C00')
    expect(chain(tcb, 'TCB-Info-Issuer-Chain')).toBe(expected.tcb_info_issuer_chain)
    expect(await tcb.text()).toBe(
      `{"tcbInfo":${expected.tcb_info},"signature":"${expected.tcb_info_signature}"}`,
    )
    const identity = await get('/tdx/certification/v4/qe/identity?update=standard')
    expect(await identity.json()).toMatchObject({ signature: expected.qe_identity_signature })
    const root = await get('/sgx/certification/v4/rootcacrl')
    expect(await root.text()).toBe(expected.root_ca_crl)
  })

  it('what the platform does not have is answered 404', async () => {
    const statuses = await Promise.all(
      [
        '/tdx/certification/v4/tcb?fmspc=B0C06F000000',
        '/sgx/certification/v4/tcb?fmspc=4C4F43414C00',
        '/sgx/certification/v4/pckcrl?ca=other',
        '/sgx/certification/v4/pckcert',
      ].map(async (path) => (await get(path)).status),
    )
    expect(statuses).toEqual([404, 404, 404, 404])
  })

  it('the published client fetches from it, and asks for the list of the wrong authority', async () => {
    const quote = Buffer.from((await new DstackClient(agent.endpoint).getQuote('x')).quote, 'hex')
    const collateral = await getCollateral(agent.endpoint, quote)
    const verifier = QuoteVerifier.newWithRootCa(Buffer.from(platform.rootCertificateDer))
    expect(verifier.verify(quote, collateral, now).status).toBe('UpToDate')
    // It reads no issuer from any certificate and takes every platform for a Processor CA's; its own
    // verifier does not notice, since it never looks at whose list it is.
    const { pck_crl_issuer_chain } = platform.processorCrl(now)
    expect(collateral.pck_crl_issuer_chain).toBe(pck_crl_issuer_chain)
  })
})

function derOfPem(pem: string): Uint8Array {
  return Uint8Array.from(Buffer.from(pem.replace(/-----[A-Z ]+-----|\s/g, ''), 'base64'))
}
