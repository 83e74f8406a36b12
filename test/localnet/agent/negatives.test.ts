import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { DstackClient } from '@phala/dstack-sdk'
import { secp256k1 } from '@noble/curves/secp256k1'
import { describe, expect, it } from 'vitest'
import { toHex } from '#schemas/bytes.ts'
import { developmentCompose } from '#localnet/agent/developmentCompose.ts'
import { agentDistortion, agentNegativeNames, agentNegatives } from '#localnet/agent/negatives.ts'
import type { AgentDistortion } from '#localnet/agent/negatives.ts'
import { startGuestAgent } from '#localnet/agent/server.ts'
import { negativeNames } from '#localnet/tdx/negatives.ts'
import { createPlatform } from '#localnet/tdx/platform.ts'
import { strictPolicy } from '#localnet/tdx/strictPolicy.ts'
import { root } from '#tools/paths.ts'
import { QuoteRefusedError } from '#verifier/appraisal/errors.ts'
import { createQuotePolicy } from '#verifier/appraisal/policy.ts'
import { refusalCodes, refusalRules } from '#verifier/appraisal/rules.ts'
import { verifyCollateral } from '#verifier/collateral/verifyCollateral.ts'
import { nodeCrypto } from '#verifier/crypto/adapters/nodeCrypto.ts'
import { verifyKmsKey } from '#verifier/dstack/kmsChain.ts'
import { verifyRaTlsCertificate } from '#verifier/dstack/raTls.ts'
import { verifyDstackEvidence } from '#verifier/dstack/verifyDstackEvidence.ts'
import { verifyQuote } from '#verifier/quote/verifyQuote.ts'

const now = Date.UTC(2026, 8, 1, 12) / 1000
const platform = createPlatform({ now })
// Measurements are the business of the dstack rules here, not of the image list.
const policy = createQuotePolicy({ ...strictPolicy(platform), images: 'any' })
const collateral = verifyCollateral(platform.collateral(), {
  rootCertificate: platform.rootCertificateDer,
  now,
  crypto: nodeCrypto,
})

/** What the honest agent says of itself, pinned by whoever deploys it. */
const honest = await startGuestAgent({ platform, composeFile: developmentCompose })
const { key_provider_info } = await new DstackClient(honest.endpoint).info()
const keyProvider = JSON.parse(key_provider_info) as { name: string; id: string }
await honest.close()

/** Everything that a careful client checks of an agent, in one go. */
async function appraise(distortion?: AgentDistortion): Promise<string> {
  const agent = await startGuestAgent({
    platform,
    composeFile: developmentCompose,
    clock: () => now,
    ...(distortion === undefined ? {} : { distortion }),
  })
  try {
    const client = new DstackClient(agent.endpoint)
    const { quote, event_log } = await client.getQuote('x')
    const { tcb_info } = await client.info()
    verifyDstackEvidence(
      verifyQuote(Buffer.from(quote, 'hex'), collateral, { now, policy, crypto: nodeCrypto }),
      { eventLog: event_log, appCompose: tcb_info.app_compose },
      { appId: toHex(honest.appId), keyProviders: [keyProvider], zeroMrConfigId: 'refuse' },
    )
    const { key, signature_chain } = await client.getKey('path', 'purpose')
    verifyKmsKey({
      publicKey: toHex(secp256k1.getPublicKey(key, true)),
      purpose: 'purpose',
      appId: toHex(honest.appId),
      signatureChain: signature_chain.map(toHex),
      kmsRoot: toHex(honest.kmsRootPublicKey ?? new Uint8Array(33)),
    })
    const { certificate_chain } = await client.getTlsKey({ usageRaTls: true })
    const [leaf = '', issuer = ''] = certificate_chain
    verifyRaTlsCertificate(derOfPem(leaf), collateral, {
      now,
      policy,
      crypto: nodeCrypto,
      issuerCertificate: derOfPem(issuer),
    })
    return 'accepted'
  } catch (error) {
    if (error instanceof QuoteRefusedError) return error.code
    throw error
  } finally {
    await agent.close()
  }
}

describe('localnet/agent/negatives', () => {
  it('the honest agent passes everything', async () => {
    expect(await appraise()).toBe('accepted')
  })

  it.each(agentNegativeNames.map((name) => [name, agentNegatives[name].rule] as const))(
    '%s is refused as %s',
    async (name, rule) => {
      expect(await appraise(agentDistortion(name))).toBe(rule)
    },
  )

  it('every rule on dstack evidence is broken by at least one case', () => {
    const broken = new Set<string>(agentNegativeNames.map((name) => agentNegatives[name].rule))
    const onDstack = refusalCodes.filter((code) => refusalRules[code].stage === 'dstack')
    // The local agent writes MRCONFIGID of version 1, which has no document.
    expect(onDstack.filter((code) => !broken.has(code))).toEqual(['MrConfigDocumentInvalid'])
  })

  it('the page about the platform states how many cases there are', () => {
    const page = readFileSync(join(root, 'docs/local-tdx-platform.md'), 'utf8')
    expect(page).toContain(`${negativeNames.length} lies of the platform`)
    expect(page).toContain(`${agentNegativeNames.length} of the guest`)
  })

  it('no name is taken twice between platform and agent', () => {
    const names = [...negativeNames, ...agentNegativeNames]
    expect(new Set(names).size).toBe(names.length)
  })
})

function derOfPem(pem: string): Uint8Array {
  return Uint8Array.from(Buffer.from(pem.replace(/-----[A-Z ]+-----|\s/g, ''), 'base64'))
}
