import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createPublicClient, createTestClient, http } from 'viem'
import { privateKeyToAccount } from 'viem/accounts'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createEscrow } from '#contracts/deploy/agreements.ts'
import { type LocalnetAddresses, deployLocalnet } from '#contracts/deploy/deployLocalnet.ts'
import type { RunningRelayer } from '#relayer/local/engineProcess.ts'
import { startRelayer } from '#relayer/local/startRelayer.ts'
import { enclaveRegistryAbi } from '#schemas/abi/enclaveRegistry.ts'
import type { Hex } from '#schemas/bytes.ts'
import { unitCode } from '#schemas/report.ts'
import { type TestChain, developmentKeys, startAnvil } from './support/anvil.ts'
import { statusOf, until } from './support/rehearsal.ts'
import { subjectOf, testPolicy, testReport, testStream } from './support/testStream.ts'
import { type TestWorker, platformFacts, startTestWorker } from './support/testWorker.ts'

const [deployerKey, senderKey] = developmentKeys
const periods = [1, 2, 3, 4, 5]

/** The contracts themselves: quotes are verified, batches recovered, reports proved, money moved. */
describe('relayer and the real contracts', () => {
  let chains: TestChain[]
  let addresses: LocalnetAddresses[]
  let worker: TestWorker
  let relayer: RunningRelayer
  const dataFolder = mkdtempSync(join(tmpdir(), 'relayer-contracts-'))

  beforeAll(async () => {
    chains = await Promise.all([31_371, 31_372].map((chainId) => startAnvil({ chainId })))
    const { attestationKey, imageId } = platformFacts()
    addresses = await Promise.all(
      chains.map(({ rpcUrl, chainId }) =>
        deployLocalnet({
          rpcUrl,
          chainId,
          deployerKey,
          platformAttestationKey: attestationKey,
          imageIds: [imageId],
        }),
      ),
    )
    const addressesOf = (at: number): LocalnetAddresses => {
      const found = addresses[at]
      if (found === undefined) throw new Error('not deployed')
      return found
    }
    const agreements = await Promise.all(
      chains.map(({ rpcUrl, chainId }, at) =>
        createEscrow({ rpcUrl, chainId, key: deployerKey }, addressesOf(at).performanceEscrow, {
          payee: privateKeyToAccount(developmentKeys[2]).address,
          token: addressesOf(at).token,
          report: {
            stream: testStream,
            subject: subjectOf(0),
            policyId: testPolicy,
            unit: unitCode('Wh'),
          },
          graceSeconds: 4_000_000_000 - 3_600,
          isInOrder: false,
          penalty: { shape: 'flat', maximumPpm: 100_000 },
          tranches: periods.map((period) => ({
            periodStartMs: testReport(0, period).periodStartMs,
            periodEndMs: testReport(0, period).periodEndMs,
            amount: 1_000n,
          })),
        }),
      ),
    )
    worker = await startTestWorker(() =>
      chains.map(({ chainId, rpcUrl }, at) => ({
        chainId,
        rpcUrl,
        registry: addressesOf(at).enclaveRegistry.toLowerCase() as Hex,
      })),
    )
    relayer = await startRelayer({
      plan: {
        version: 1,
        worker: worker.url,
        stream: testStream,
        pollMs: 100,
        chains: chains.map(({ chainId, rpcUrl }, at) => ({
          chainId,
          rpcUrls: [rpcUrl],
          enclaveRegistry: addressesOf(at).enclaveRegistry,
          proofRegistry: addressesOf(at).proofRegistry,
          confirmations: 1,
          pollMs: 50,
        })),
        settlements: chains.map(({ chainId }, at) => ({
          chainId,
          contract: addressesOf(at).performanceEscrow,
          kind: 'performance-escrow',
          agreementId: String(agreements[at]),
          subject: subjectOf(0),
          policyId: testPolicy,
          label: `escrow on ${chainId}`,
        })),
      },
      senderKeys: Object.fromEntries(chains.map(({ chainId }) => [chainId, senderKey])),
      dataFolder,
      port: 0,
    })
  })

  afterAll(async () => {
    await relayer.stop()
    await worker.stop()
    await Promise.all(chains.map((chain) => chain.stop()))
    rmSync(dataFolder, { recursive: true, force: true })
  })

  it('one batch pays five tranches on each chain in one transaction, by its multiproof', async () => {
    // Another subject's reports between them, so that the multiproof has something to prove.
    worker.close(periods.flatMap((period) => [testReport(0, period), testReport(7, period)]))
    const status = await until(
      () => statusOf(relayer.url),
      ({ lanes }) => lanes.every(({ counts }) => counts.final === 2 + periods.length),
    )
    for (const lane of status.lanes) {
      const hashes = new Set(lane.settlements.map(({ transaction }) => transaction?.hash))
      expect(lane.settlements).toHaveLength(periods.length)
      expect(hashes.size).toBe(1)
    }
  })

  it('what a contract refuses is put in its own words', async () => {
    // The escrow knows no sixth period.
    worker.close([testReport(0, 6)])
    const status = await until(
      () => statusOf(relayer.url),
      ({ settlements }) => settlements.some(({ failures }) => failures > 0),
    )
    const refused = status.settlements.find(({ failures }) => failures > 0)
    expect(refused?.reason).toMatch(
      /^The contract refuses: PerformanceEscrowUnknownPeriod\(\d+, 21600000, 25200000\)\.$/,
    )
  })

  it('a new enclave key is registered by its own quote before its batches are anchored', async () => {
    worker.rotate()
    worker.close([testReport(7, 9)])
    const status = await until(
      () => statusOf(relayer.url),
      ({ lanes }) =>
        lanes.every(({ jobs }) => jobs.filter(({ kind }) => kind === 'register').length === 2) &&
        lanes.every(({ jobs }) =>
          jobs.every(({ kind, stage }) => kind === 'settle' || stage === 'final'),
        ),
    )
    expect(status.feed.sequence).toBe('3')
  })

  it('a registration that has run out is renewed by a fresh quote before the next batch', async () => {
    const expiries = (): Promise<bigint[]> =>
      Promise.all(
        chains.map(async ({ rpcUrl }, at) => {
          const client = createPublicClient({ transport: http(rpcUrl) })
          const [, , expiresAt] = await client.readContract({
            address: addresses[at]?.enclaveRegistry ?? '0x',
            abi: enclaveRegistryAbi,
            functionName: 'signerStatus',
            args: [worker.signer],
          })
          return expiresAt
        }),
      )
    const before = await expiries()
    const eightDays = 8 * 86_400
    for (const { rpcUrl } of chains) {
      const client = createTestClient({ mode: 'anvil', transport: http(rpcUrl) })
      await client.increaseTime({ seconds: eightDays })
      await client.mine({ blocks: 1 })
    }
    worker.close([testReport(7, 10)])
    await until(
      () => statusOf(relayer.url),
      ({ feed, lanes }) =>
        feed.sequence === '4' &&
        lanes.every(({ jobs }) =>
          jobs.every(({ kind, stage }) => kind === 'settle' || stage === 'final'),
        ),
    )
    const after = await expiries()
    for (const [at, expiresAt] of after.entries()) {
      expect(expiresAt - (before[at] ?? 0n)).toBeGreaterThanOrEqual(BigInt(eightDays))
    }
  })
})
