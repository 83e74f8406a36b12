import { secp256k1 } from '@noble/curves/secp256k1'
import {
  type Address,
  createPublicClient,
  createTestClient,
  createWalletClient,
  http,
  keccak256,
  parseEventLogs,
  publicActions,
} from 'viem'
import { privateKeyToAccount } from 'viem/accounts'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  admitCarbonProject,
  buyCover,
  createEscrow,
  fundPool,
  offerCover,
} from '#contracts/deploy/agreements.ts'
import { uploadCollateral } from '#contracts/deploy/collateral.ts'
import { type LocalnetAddresses, deployLocalnet } from '#contracts/deploy/deployLocalnet.ts'
import { carbonCreditAbi } from '#schemas/abi/carbonCredit.ts'
import { enclaveRegistryAbi } from '#schemas/abi/enclaveRegistry.ts'
import { parametricCoverAbi } from '#schemas/abi/parametricCover.ts'
import { performanceEscrowAbi } from '#schemas/abi/performanceEscrow.ts'
import { proofRegistryAbi } from '#schemas/abi/proofRegistry.ts'
import { reportConsumerAbi } from '#schemas/abi/reportConsumer.ts'
import { testTokenAbi } from '#schemas/abi/testToken.ts'
import { type Batch, batchDigest, streamId } from '#schemas/batch.ts'
import { type Hex, concatBytes, fromHex, toHex, utf8 } from '#schemas/bytes.ts'
import { buildTree, inclusionPath } from '#schemas/merkle/orderedTree.ts'
import { keccakPairs } from '#schemas/merkle/pairHashers.ts'
import {
  type Report,
  reportLeaf,
  subjectId,
  unitCode,
  verdicts,
  zeroHash,
} from '#schemas/report.ts'
import { rightClass, rightId } from '#schemas/right.ts'
import { addressOf, signDigest } from '#schemas/signatures.ts'
import { type Statement, possessionDigest, statementReportData } from '#schemas/statement.ts'
import { createPlatform } from '#localnet/tdx/platform.ts'
import { packQuoteEvidence } from '#verifier/quote/packQuoteEvidence.ts'
import { type Anvil, anvilKey, startAnvil } from './anvil.ts'

const genesisSeconds = Date.UTC(2025, 0, 20) / 1000
const month = { startMs: BigInt(Date.UTC(2025, 1, 1)), endMs: BigInt(Date.UTC(2025, 2, 1)) }

const platform = createPlatform({ now: genesisSeconds })
const sampleQuote = platform.mintQuote({ reportData: new Uint8Array(64) })
// 700 = header 48 + body 584 + length 4 + signature 64.
const platformAttestationKey = {
  x: toHex(sampleQuote.subarray(700, 732)),
  y: toHex(sampleQuote.subarray(732, 764)),
}
// MRTD, RTMR0 to RTMR2, MRCONFIGID, attributes, XFAM: 48 = header.
const body = sampleQuote.subarray(48, 632)
const imageId = keccak256(
  concatBytes(
    body.subarray(136, 184),
    body.subarray(328, 472),
    body.subarray(184, 232),
    body.subarray(120, 136),
  ),
)

const enclaveKey = fromHex(keccak256(utf8('an enclave key of this test')), 'key', 32)
const signer = addressOf(secp256k1.getPublicKey(enclaveKey))
const stream = streamId('deploy-test')
const subject = subjectId('solar-plant-1')
const unit = unitCode('Wh')
const policyId = keccak256(utf8('a policy'))
const holder: Address = '0x00000000000000000000000000000000000000a1'

const report = (rest: Partial<Report>): Report => ({
  version: 1,
  subject,
  policyId,
  periodStartMs: month.startMs,
  periodEndMs: month.endMs,
  verdict: verdicts.PASS,
  valueMicro: 300_000_000_000_000n,
  unit,
  coveragePpm: 1_000_000,
  tier: 1,
  evidenceRoot: keccak256(utf8('evidence')),
  measuresHash: keccak256(utf8('measures')),
  exclusiveTo: zeroHash,
  amends: zeroHash,
  ...rest,
})

function clientOf(anvil: Anvil) {
  const account = privateKeyToAccount(anvilKey)
  const chain = {
    id: anvil.chainId,
    name: 'anvil',
    nativeCurrency: { name: 'Ether', symbol: 'ETH', decimals: 18 },
    rpcUrls: { default: { http: [anvil.rpcUrl] } },
  }
  return createWalletClient({ account, chain, transport: http(anvil.rpcUrl) }).extend(publicActions)
}

describe('contracts/deploy', () => {
  const chains: Anvil[] = []
  let addresses: LocalnetAddresses
  let others: LocalnetAddresses

  const deploy = (anvil: Anvil, key = anvilKey) =>
    deployLocalnet({
      rpcUrl: anvil.rpcUrl,
      chainId: anvil.chainId,
      deployerKey: key,
      platformAttestationKey,
      imageIds: [imageId],
    })

  const chainAt = (position: number): Anvil => {
    const found = chains[position]
    if (found === undefined) throw new Error('the chains are not up')
    return found
  }

  beforeAll(async () => {
    chains.push(
      ...(await Promise.all([
        startAnvil(31_337, genesisSeconds),
        startAnvil(31_338, genesisSeconds),
        startAnvil(8_453, genesisSeconds),
      ])),
    )
    ;[addresses, others] = await Promise.all([deploy(chainAt(0)), deploy(chainAt(1))])
  })

  afterAll(async () => {
    await Promise.all(chains.map((chain) => chain.stop()))
  })

  it('gives every contract the same address on every chain', () => {
    expect(others).toEqual(addresses)
    expect(new Set(Object.values(addresses)).size).toBe(10)
  })

  it('changes nothing when it runs again', async () => {
    const client = createPublicClient({ transport: http(chainAt(0).rpcUrl) })
    const before = await client.getBlockNumber({ cacheTime: 0 })
    expect(await deploy(chainAt(0))).toEqual(addresses)
    expect(await client.getBlockNumber({ cacheTime: 0 })).toBe(before)
  })

  it('refuses a chain id that is not local, because the quote verifier is not born there', async () => {
    await expect(deploy(chainAt(2))).rejects.toThrow('quoteVerifier failed on chain 8453.')
  })

  it('under a local root deploys what production has, and refuses a chain that is not local', async () => {
    const rooted = {
      ...chainAt(2),
      deployerKey: anvilKey,
      imageIds: [imageId],
      rootCertificate: platform.rootCertificateDer,
    }
    await expect(deployLocalnet(rooted)).rejects.toThrow('A local root is for local chains.')
    const local = await deployLocalnet({ ...rooted, ...chainAt(1) })
    expect(local.collateralStore).toBeDefined()
    const sender = { ...chainAt(1), key: anvilKey, store: local.collateralStore ?? '0x' }
    expect(await uploadCollateral(sender, platform.collateral())).toHaveLength(7)
    expect(await uploadCollateral(sender, platform.collateral())).toEqual([])
  })

  it('refuses a node that answers for another chain', async () => {
    const wrong = { ...chainAt(0), chainId: 31_339 }
    await expect(deploy(wrong)).rejects.toThrow('The node answers for another chain.')
  })

  it('carries one signed batch from a minted quote to a release, a payout and a mint', async () => {
    const anvil = chainAt(0)
    const client = clientOf(anvil)
    const control = createTestClient({ mode: 'anvil', transport: http(anvil.rpcUrl) })
    const place = { rpcUrl: anvil.rpcUrl, chainId: anvil.chainId, key: anvilKey }
    const terms = { stream, subject, policyId, unit }
    const carbonPolicyId = keccak256(utf8('a carbon policy'))

    const escrowId = await createEscrow(place, addresses.performanceEscrow, {
      payee: holder,
      token: addresses.token,
      report: terms,
      graceSeconds: 30 * 86_400,
      penalty: { shape: 'flat', maximumPpm: 1_000_000 },
      tranches: [{ periodStartMs: month.startMs, periodEndMs: month.endMs, amount: 7_000_000n }],
    })
    await fundPool(place, addresses.coverPool, addresses.token, 100_000_000n)
    const productId = await offerCover(place, addresses.parametricCover, {
      report: { stream, policyId: keccak256(utf8('a cover policy')), unit },
      peril: keccak256(utf8('sun')),
      region: keccak256(utf8('here')),
      exposureCap: 50_000_000n,
      windowMs: month.endMs - month.startMs,
      maxWindows: 12,
      waitingSeconds: 86_400,
      claimSeconds: 30 * 86_400,
      basePpm: 40_000,
      curve: {
        shape: 'linear',
        maximumPpm: 1_000_000,
        attachmentMicro: 350_000_000_000_000n,
        exhaustionMicro: 250_000_000_000_000n,
      },
    })
    const policy = await buyCover(place, addresses.parametricCover, addresses.token, {
      productId,
      subject,
      startMs: month.startMs,
      windowCount: 1,
      sumInsured: 10_000_000n,
      windowLimit: 10_000_000n,
      holder,
    })
    const projectId = await admitCarbonProject(place, addresses.carbonCredit, {
      beneficiary: holder,
      report: { stream, subject, policyId: carbonPolicyId, unit: unitCode('kgCO2e') },
      bufferPpm: 100_000,
      credits: { numerator: 1n, denominator: 10n },
      name: 'Plant 1',
      methodology: 'AMS-I.D.',
      registryId: 'PL-1',
    })

    await control.setNextBlockTimestamp({ timestamp: month.endMs / 1000n + 60n })
    await control.mine({ blocks: 1 })
    const block = await client.getBlock()
    const statement: Statement = {
      version: 1,
      signer,
      ed25519PublicKey: keccak256(utf8('ed25519')),
      stream,
      release: keccak256(utf8('release')),
      anchorChainId: BigInt(anvil.chainId),
      registry: addresses.enclaveRegistry.toLowerCase() as Hex,
    }
    const quote = platform.mintQuote({
      reportData: fromHex(statementReportData(statement, block.hash), 'reportData', 64),
    })
    const send = async (request: Parameters<typeof client.writeContract>[0]) => {
      const hash = await client.writeContract(request)
      return client.waitForTransactionReceipt({ hash })
    }
    const { account, chain } = client
    await send({
      account,
      chain,
      address: addresses.enclaveRegistry,
      abi: enclaveRegistryAbi,
      functionName: 'register',
      args: [
        statement,
        block.number,
        signDigest(possessionDigest(statement), enclaveKey),
        packQuoteEvidence(quote),
      ],
    })
    const status = await client.readContract({
      address: addresses.enclaveRegistry,
      abi: enclaveRegistryAbi,
      functionName: 'signerStatus',
      args: [signer],
    })
    expect(status.slice(0, 2)).toEqual([stream, imageId])

    const carbonRight = rightId({
      chainId: BigInt(anvil.chainId),
      contract: addresses.carbonCredit.toLowerCase() as Hex,
      right: rightClass('carbon'),
    })
    const reports = [
      report({}),
      report({ policyId: keccak256(utf8('a cover policy')), verdict: verdicts.FAIL }),
      report({
        policyId: carbonPolicyId,
        unit: unitCode('kgCO2e'),
        valueMicro: 110_100_000_005n,
        exclusiveTo: carbonRight,
      }),
    ] as const
    const leaves = reports.map((each) => fromHex(reportLeaf(each), 'leaf', 32))
    const tree = buildTree(concatBytes(...leaves), keccakPairs)
    const batch: Batch = {
      stream,
      sequence: 1n,
      previous: zeroHash,
      reportRoot: toHex(tree.root),
      reportCount: 3,
      rosterRoot: keccak256(utf8('roster')),
      rosterCount: 1,
      closedAtMs: month.endMs + 1000n,
      anchorNumber: block.number,
      anchorHash: block.hash,
    }
    const committed = await send({
      account,
      chain,
      address: addresses.proofRegistry,
      abi: proofRegistryAbi,
      functionName: 'commit',
      args: [batch, signDigest(batchDigest(batch), enclaveKey)],
    })
    const [event] = parseEventLogs({
      abi: proofRegistryAbi,
      eventName: 'BatchCommitted',
      logs: committed.logs,
    })
    expect(event?.args.digest).toBe(batchDigest(batch))

    const settlements = [
      [addresses.performanceEscrow, escrowId],
      [addresses.parametricCover, policy],
      [addresses.carbonCredit, projectId],
    ] as const
    const amounts: (bigint | undefined)[] = []
    for (const [index, [contract, agreementId]] of settlements.entries()) {
      const settled = reports[index]
      if (settled === undefined) throw new Error('one report for each settlement')
      const receipt = await send({
        account,
        chain,
        address: contract,
        abi: reportConsumerAbi,
        functionName: 'settle',
        args: [
          agreementId,
          settled,
          { stream, sequence: 1n, index, path: inclusionPath(tree, index).map(toHex) },
        ],
      })
      const [paid] = parseEventLogs({
        abi: reportConsumerAbi,
        eventName: 'ReportSettled',
        logs: receipt.logs,
      })
      expect(paid?.args.leaf).toBe(reportLeaf(settled))
      amounts.push(paid?.args.amount)
      const isSettled = await client.readContract({
        address: contract,
        abi: reportConsumerAbi,
        functionName: 'isSettled',
        args: [agreementId, reportLeaf(settled)],
      })
      expect(isSettled).toBe(true)
    }
    // The fee in full; half of the way from attachment to exhaustion; 110.1 t in units of 1e-8 t.
    expect(amounts).toEqual([7_000_000n, 5_000_000n, 11_010_000_000n])
    const tokens = await client.readContract({
      address: addresses.token,
      abi: testTokenAbi,
      functionName: 'balanceOf',
      args: [holder],
    })
    expect(tokens).toBe(12_000_000n)
    const credits = await client.readContract({
      address: addresses.carbonCredit,
      abi: carbonCreditAbi,
      functionName: 'balanceOf',
      args: [holder, (projectId << 128n) | 1n],
    })
    // A tenth is in the buffer.
    expect(credits).toBe(9_909_000_000n)
    const [, , , trancheCount, closedCount] = await client.readContract({
      address: addresses.performanceEscrow,
      abi: performanceEscrowAbi,
      functionName: 'agreement',
      args: [escrowId],
    })
    expect([trancheCount, closedCount]).toEqual([1, 1])
    const held = await client.readContract({
      address: addresses.parametricCover,
      abi: parametricCoverAbi,
      functionName: 'policy',
      args: [policy],
    })
    expect(held.remaining).toBe(5_000_000n)
  })
})
