import { type Address, createPublicClient, createTestClient, encodeFunctionData, http } from 'viem'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { AppraisalRules } from '#contracts/deploy/attestation.ts'
import { RegistrationRefusedError } from '#contracts/deploy/errors.ts'
import { findQuoteVerifier, registerEnclave } from '#contracts/deploy/registerEnclave.ts'
import { createSender } from '#contracts/deploy/sender.ts'
import { createNegativePlatform } from '#localnet/tdx/negatives.ts'
import { type Platform, createPlatform } from '#localnet/tdx/platform.ts'
import { enclaveRegistryAbi } from '#schemas/abi/enclaveRegistry.ts'
import { type Hex, fromHex, toHex } from '#schemas/bytes.ts'
import { statementReportData } from '#schemas/statement.ts'
import type { Attestation } from '#schemas/workerApi.ts'
import type { Collateral } from '#verifier/collateral/collateral.ts'
import { type Anvil, anvilKey, startAnvil } from '../anvil.ts'
import { attestEnclave, deployDcapRegistry, stream } from './dcapRegistry.ts'

const day = 86_400
const start = Date.UTC(2026, 8, 1, 12) / 1000
const strictRules: AppraisalRules = {
  evaluationNumberFloor: 20,
  qeEvaluationNumberFloor: 20,
  maximumCollateralAgeSeconds: 28 * day,
  acceptedTcbStatuses: 1,
  requiresAllowedPlatform: false,
  requiresImage: true,
  allowedTdAttributes: '0x0000000000000000',
}

describe('an enclave enters the registry by the whole way that Intel’s certificates lead', () => {
  let anvil: Anvil

  beforeAll(async () => {
    anvil = await startAnvil(31_337, start - day)
  })
  afterAll(() => anvil.stop())

  const clients = () => {
    const transport = http(anvil.rpcUrl)
    return {
      client: createPublicClient({ transport, cacheTime: 0, pollingInterval: 20 }),
      control: createTestClient({ mode: 'anvil', transport }),
    }
  }
  const sender = () => ({ rpcUrl: anvil.rpcUrl, chainId: anvil.chainId, key: anvilKey })

  async function warp(unixSeconds: number): Promise<void> {
    const { control } = clients()
    await control.setNextBlockTimestamp({ timestamp: BigInt(unixSeconds) })
    await control.mine({ blocks: 1 })
  }

  async function nowOnChain(): Promise<number> {
    const { timestamp } = await clients().client.getBlock()
    return Number(timestamp)
  }

  const deployRegistry = (name: string, platform: Platform, appraisal?: AppraisalRules) =>
    deployDcapRegistry(sender(), { name, platform, appraisal })
  const attest = (
    platform: Platform,
    registry: Address,
    options: { readonly key?: Hex; readonly collateral?: Collateral } = {},
  ) => attestEnclave(sender(), { platform, registry, ...options })

  it('uploads what the store lacks, registers, then renews with the platform remembered', async () => {
    const now = await nowOnChain()
    const platform = createPlatform({ now })
    const registry = await deployRegistry('renewal', platform)

    const first = await registerEnclave({
      ...sender(),
      registry,
      attestation: await attest(platform, registry),
    })
    expect(first).toMatchObject({ stream, isRenewal: false })
    expect(first.prepared).toEqual([
      'root certificate',
      'root revocation list',
      'PCK CA certificate',
      'PCK revocation list',
      'TCB signing certificate',
      'TCB info',
      'QE identity',
    ])
    expect(Number(first.gasUsed)).toBeLessThanOrEqual(250_000)
    expect(Number(first.expiresAtSeconds) - (await nowOnChain())).toBe(7 * day)

    await warp(now + 3 * day)
    const second = await registerEnclave({
      ...sender(),
      registry,
      attestation: await attest(platform, registry),
    })
    expect(second).toMatchObject({ isRenewal: true, prepared: ['platform remembered'] })
    expect(Number(second.gasUsed)).toBeLessThanOrEqual(120_000)
    expect(second.expiresAtSeconds).toBeGreaterThan(first.expiresAtSeconds)

    await warp(now + 6 * day)
    const third = await registerEnclave({
      ...sender(),
      registry,
      attestation: await attest(platform, registry),
    })
    expect(third).toMatchObject({ isRenewal: true, prepared: [] })
  })

  it('lets no key outlive the collateral that it was judged by', async () => {
    const now = await nowOnChain()
    const platform = createPlatform({ now })
    const registry = await deployRegistry('expiry', platform)
    await warp(now + 28 * day)
    const { expiresAtSeconds } = await registerEnclave({
      ...sender(),
      registry,
      attestation: await attest(platform, registry),
    })
    expect(Number(expiresAtSeconds)).toBeLessThanOrEqual(now + 30 * day)

    await warp(now + 31 * day)
    const late = attest(platform, registry)
    await expect(
      registerEnclave({ ...sender(), registry, attestation: await late }),
    ).rejects.toMatchObject({ field: 'CollateralStoreRootCrlExpired' })

    const fresh = platform.collateral(await nowOnChain())
    const renewed = await registerEnclave({
      ...sender(),
      registry,
      attestation: await attest(platform, registry, { collateral: fresh }),
    })
    expect(renewed.prepared).toEqual([
      'root revocation list',
      'PCK revocation list',
      'TCB info',
      'QE identity',
      'platform remembered',
    ])
  })

  it('refuses a platform that Intel revokes after it was remembered', async () => {
    const now = await nowOnChain()
    const platform = createPlatform({ now })
    const registry = await deployRegistry('revocation', platform)
    const attestation = await attest(platform, registry)
    await registerEnclave({ ...sender(), registry, attestation })
    await warp(now + day)
    await registerEnclave({
      ...sender(),
      registry,
      attestation: await attest(platform, registry),
    })

    await warp(now + 2 * day)
    const collateral = createNegativePlatform('pckRevoked', {
      now: await nowOnChain(),
    }).collateral()
    await expect(
      registerEnclave({
        ...sender(),
        registry,
        attestation: await attest(platform, registry, { collateral }),
      }),
    ).rejects.toMatchObject({ field: 'DcapQuoteVerifierPckRevoked' })
  })

  it('refuses a key that the guardian revoked, however good its quote', async () => {
    const platform = createPlatform({ now: await nowOnChain() })
    const registry = await deployRegistry('guardian', platform)
    const attestation = await attest(platform, registry)
    await registerEnclave({ ...sender(), registry, attestation })
    const founder = await createSender(sender())
    await founder.sendAll([
      {
        label: 'revocation',
        to: registry,
        data: encodeFunctionData({
          abi: enclaveRegistryAbi,
          functionName: 'revoke',
          args: [attestation.statement.signer],
        }),
      },
    ])
    await expect(
      registerEnclave({ ...sender(), registry, attestation: await attest(platform, registry) }),
    ).rejects.toMatchObject({
      field: 'EnclaveRegistrySignerRevoked',
      remedy: 'A revoked key stays revoked: restart the worker, which makes a new one.',
    })
  })

  it('refuses another image, another statement, a stale block and a foreign root', async () => {
    const now = await nowOnChain()
    const platform = createPlatform({ now })
    const registry = await deployRegistry('refusals', platform)
    const honest = await attest(platform, registry)
    const refusal = async (attestation: Attestation) => {
      const error: unknown = await registerEnclave({
        ...sender(),
        registry,
        attestation,
      }).catch((caught: unknown) => caught)
      if (!(error instanceof RegistrationRefusedError)) throw error
      return error.field
    }
    const reportData = fromHex(statementReportData(honest.statement, honest.blockHash), 'r', 64)

    const otherImage = platform.mintQuote({
      reportData,
      measurements: { rtmr2: new Uint8Array(48).fill(7) },
    })
    expect(await refusal({ ...honest, quote: toHex(otherImage) })).toBe(
      'EnclaveRegistryImageNotAllowed',
    )
    const otherKey = await attest(platform, registry, { key: `0x${'e2'.repeat(32)}` })
    expect(await refusal({ ...honest, quote: otherKey.quote })).toBe(
      'EnclaveRegistryStatementMismatch',
    )
    expect(await refusal({ ...honest, blockNumber: honest.blockNumber + 1_000_000n })).toBe(
      'EnclaveRegistryBlockUnknown',
    )
    expect(await refusal({ ...honest, possession: otherKey.possession })).toBe(
      'EnclaveRegistryPossessionUnproven',
    )
    const foreign = createPlatform({ now, seed: 'another root' })
    expect(await refusal({ ...honest, quote: toHex(foreign.mintQuote({ reportData })) })).toBe(
      'DcapQuoteVerifierPckSignatureInvalid',
    )
    const foreignCollateral = foreign.collateral()
    const fresh = await deployRegistry('foreign collateral', platform)
    expect(
      await registerEnclave({
        ...sender(),
        registry: fresh,
        attestation: await attest(platform, fresh, { collateral: foreignCollateral }),
      }).catch((error: unknown) => (error as RegistrationRefusedError).field),
    ).toBe('CollateralStoreRootCertificateMismatch')
  })

  it('goes through an appraisal policy where the operator has one', async () => {
    const now = await nowOnChain()
    const platform = createPlatform({ now })
    const registry = await deployRegistry('policy', platform, strictRules)
    const { client } = clients()
    const behind = await findQuoteVerifier(client, registry)
    expect(Object.keys(behind).toSorted()).toEqual(['policy', 'store', 'verifier'])
    await registerEnclave({
      ...sender(),
      registry,
      attestation: await attest(platform, registry),
    })

    await warp(now + 29 * day)
    await expect(
      registerEnclave({ ...sender(), registry, attestation: await attest(platform, registry) }),
    ).rejects.toMatchObject({ field: 'AppraisalPolicyCollateralTooOld' })
  })
})
