import { secp256k1 } from '@noble/curves/secp256k1'
import { type Address, encodeFunctionData, keccak256, parseEventLogs } from 'viem'
import {
  admitCarbonProject,
  buyCover,
  createEscrow,
  encodeCurve,
  fundPool,
  offerCover,
} from '#contracts/deploy/agreements.ts'
import { deployLocalnet } from '#contracts/deploy/deployLocalnet.ts'
import { createPlatform } from '#localnet/tdx/platform.ts'
import { carbonCreditAbi } from '#schemas/abi/carbonCredit.ts'
import { enclaveRegistryAbi } from '#schemas/abi/enclaveRegistry.ts'
import { performanceEscrowAbi } from '#schemas/abi/performanceEscrow.ts'
import { proofRegistryAbi } from '#schemas/abi/proofRegistry.ts'
import { reportConsumerAbi } from '#schemas/abi/reportConsumer.ts'
import { testTokenAbi } from '#schemas/abi/testToken.ts'
import { type Batch, batchDigest, streamId } from '#schemas/batch.ts'
import { type Hex, concatBytes, fromHex, toHex, utf8 } from '#schemas/bytes.ts'
import { createFastKeccakPairs } from '#schemas/merkle/fastPairHashers.ts'
import { buildTree, inclusionPath, multiproof } from '#schemas/merkle/orderedTree.ts'
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
import { packQuoteEvidence } from '#verifier/quote/packQuoteEvidence.ts'
import type { Meter } from './meter.ts'

const dayMs = 86_400_000n
const ringSize = 64
/** EIP-2929; the target of a transaction is warm, and the probe's is not. */
const coldAccountGas = 2_600
/** Leaves of the tree that reports are settled from. */
const leafCount = 1_000_000

const word = (text: string): Hex => keccak256(utf8(text))
const stream = streamId('gas')
const unit = unitCode('Wh')
const policyId = word('policy')
const enclaveKey = fromHex(word('gas: enclave key'), 'key', 32)

/**
 * Measures what a relayer pays: registering, anchoring, settling one of a million reports, settling a
 * hundred at once. Payees hold the token before they are paid.
 */
export async function measureSettlement(meter: Meter): Promise<void> {
  const start = (await meter.latestBlock()).timestamp
  const platform = createPlatform({ now: Number(start) })
  const sample = platform.mintQuote({ reportData: new Uint8Array(64) })
  const body = sample.subarray(48, 632)
  const imageId = keccak256(
    concatBytes(
      body.subarray(136, 184),
      body.subarray(328, 472),
      body.subarray(184, 232),
      body.subarray(120, 136),
    ),
  )
  const place = {
    rpcUrl: meter.anvil.rpcUrl,
    chainId: meter.anvil.chainId,
    key: '0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80',
  } as const
  const addresses = await deployLocalnet({
    ...place,
    deployerKey: place.key,
    // 700 = header 48 + body 584 + length 4 + signature 64.
    platformAttestationKey: {
      x: toHex(sample.subarray(700, 732)),
      y: toHex(sample.subarray(732, 764)),
    },
    imageIds: [imageId],
  })
  for (const [name, address] of Object.entries(addresses)) await meter.weigh(name, address)

  const register = async (name: string) => {
    const block = await meter.latestBlock()
    const statement: Statement = {
      version: 1,
      signer: addressOf(secp256k1.getPublicKey(enclaveKey)),
      ed25519PublicKey: word('ed25519'),
      stream,
      release: word('release'),
      anchorChainId: BigInt(place.chainId),
      registry: addresses.enclaveRegistry.toLowerCase() as Hex,
    }
    const quote = platform.mintQuote({
      reportData: fromHex(statementReportData(statement, block.hash), 'reportData', 64),
    })
    await meter.measure(
      name,
      addresses.enclaveRegistry,
      encodeFunctionData({
        abi: enclaveRegistryAbi,
        functionName: 'register',
        args: [
          statement,
          block.number,
          signDigest(possessionDigest(statement), enclaveKey),
          packQuoteEvidence(quote),
        ],
      }),
    )
  }
  await register('localnet registration, first')
  await register('localnet registration, renewal')

  // --- anchoring ---
  let sequence = 0n
  let previous = zeroHash
  const nextBatch = async (reportRoot: Hex, reportCount: number) => {
    const { timestamp, number, hash } = await meter.latestBlock()
    sequence += 1n
    const batch: Batch = {
      stream,
      sequence,
      previous,
      reportRoot,
      reportCount,
      rosterRoot: word(`roster ${sequence}`),
      rosterCount: 1_000,
      closedAtMs: timestamp * 1000n,
      anchorNumber: number,
      anchorHash: hash,
    }
    previous = batchDigest(batch)
    return [batch, signDigest(previous, enclaveKey)] as const
  }
  const commitData = async (reportRoot: Hex, reportCount: number) =>
    encodeFunctionData({
      abi: proofRegistryAbi,
      functionName: 'commit',
      args: await nextBatch(reportRoot, reportCount),
    })
  for (let count = 0; count < ringSize; count += 1) {
    const data = await commitData(word(`root ${count}`), 1_000)
    const name = count === 0 ? 'commit, first of a stream' : 'commit, ring filling'
    await meter.measure(name, addresses.proofRegistry, data)
  }
  // What the signature costs: its calldata and the same check without the anchoring.
  const args = await nextBatch(word('steady root'), 1_000)
  const signatureCheck = encodeFunctionData({
    abi: proofRegistryAbi,
    functionName: 'verifySignedBatch',
    args,
  })
  meter.gas['signature check'] =
    (await meter.executionGas(addresses.proofRegistry, signatureCheck)) -
    coldAccountGas +
    calldataGas(args[1])
  await meter.measure(
    'commit, steady',
    addresses.proofRegistry,
    encodeFunctionData({ abi: proofRegistryAbi, functionName: 'commit', args }),
  )

  // --- agreements ---
  const periodStartMs = ((start * 1000n) / dayMs + 3n) * dayMs
  const periodEndMs = periodStartMs + 28n * dayMs
  const payee = (name: string): Address => `0x${word(`payee ${name}`).slice(-40)}`
  const terms = (subject: Hex, policy = policyId, valueUnit = unit) => ({
    stream,
    subject,
    policyId: policy,
    unit: valueUnit,
  })
  const escrowOf = (name: string, curve: Parameters<typeof createEscrow>[2]['penalty']) =>
    createEscrow(place, addresses.performanceEscrow, {
      payee: payee(name),
      token: addresses.token,
      report: terms(subjectId(name)),
      graceSeconds: 2_592_000,
      penalty: curve,
      tranches: [{ periodStartMs, periodEndMs, amount: 1_000_000n }],
    })
  const flat = { shape: 'flat', maximumPpm: 1_000_000 } as const
  const single = await escrowOf('single', flat)
  const penalised = await escrowOf('penalised', {
    shape: 'linear',
    maximumPpm: 1_000_000,
    attachmentMicro: 350_000_000n,
    exhaustionMicro: 250_000_000n,
  })
  await fundPool(place, addresses.coverPool, addresses.token, 100_000_000n)
  const coverPolicyId = word('cover policy')
  const productId = await offerCover(place, addresses.parametricCover, {
    report: { stream, policyId: coverPolicyId, unit },
    peril: word('sun'),
    region: word('here'),
    exposureCap: 50_000_000n,
    windowMs: periodEndMs - periodStartMs,
    maxWindows: 12,
    waitingSeconds: 0,
    claimSeconds: 2_592_000,
    basePpm: 40_000,
    curve: {
      shape: 'linear',
      maximumPpm: 1_000_000,
      attachmentMicro: 350_000_000n,
      exhaustionMicro: 250_000_000n,
    },
  })
  const policy = await buyCover(place, addresses.parametricCover, addresses.token, {
    productId,
    subject: subjectId('cover'),
    startMs: periodStartMs,
    windowCount: 1,
    sumInsured: 10_000_000n,
    windowLimit: 10_000_000n,
    holder: payee('cover'),
  })
  const projectId = await admitCarbonProject(place, addresses.carbonCredit, {
    beneficiary: meter.sender,
    report: terms(subjectId('carbon'), policyId, unitCode('kgCO2e')),
    bufferPpm: 100_000,
    credits: { numerator: 1n, denominator: 10n },
    name: 'Plant',
    methodology: 'AMS-I.D.',
    registryId: 'PL-1',
  })
  const names = Array.from({ length: 200 }, (_, position) => `many ${position}`)
  await meter.send(
    addresses.token,
    encodeFunctionData({
      abi: testTokenAbi,
      functionName: 'mint',
      args: [meter.sender, 1_000_000_000n],
    }),
  )
  await meter.send(
    addresses.token,
    encodeFunctionData({
      abi: testTokenAbi,
      functionName: 'approve',
      args: [addresses.performanceEscrow, 1_000_000_000n],
    }),
  )
  for (const name of ['single', 'penalised', 'cover', ...names]) {
    const args = [payee(name), 1n] as const
    await meter.send(
      addresses.token,
      encodeFunctionData({ abi: testTokenAbi, functionName: 'mint', args }),
    )
  }
  const many: bigint[] = []
  for (const name of names) {
    const args = [
      {
        payee: payee(name),
        token: addresses.token,
        report: terms(subjectId(name)),
        minCoveragePpm: 1_000_000,
        weakestTier: 1,
        isInOrder: true,
        graceSeconds: 2_592_000,
        penalty: encodeCurve(flat),
        tranches: [{ periodStartMs, periodEndMs, amount: 1_000_000n }],
      },
    ] as const
    const receipt = await meter.measure(
      'escrow, create with one tranche',
      addresses.performanceEscrow,
      encodeFunctionData({ abi: performanceEscrowAbi, functionName: 'create', args }),
    )
    const [made] = parseEventLogs({
      abi: performanceEscrowAbi,
      eventName: 'EscrowCreated',
      logs: receipt.logs,
    })
    if (made === undefined) throw new Error('an escrow left no event')
    many.push(made.args.agreementId)
  }

  // --- a batch of a million reports ---
  await meter.warp(periodEndMs / 1000n + 60n)
  await register('localnet registration, renewal')
  const report = (subject: Hex, rest: Partial<Report>): Report => ({
    version: 1,
    subject,
    policyId,
    periodStartMs,
    periodEndMs,
    verdict: verdicts.PASS,
    valueMicro: 300_000_000n,
    unit,
    coveragePpm: 1_000_000,
    tier: 1,
    evidenceRoot: word('evidence'),
    measuresHash: word('measures'),
    exclusiveTo: zeroHash,
    amends: zeroHash,
    ...rest,
  })
  const clustered = Array.from({ length: 100 }, (_, position) => 500_000 + position)
  const spread = Array.from({ length: 100 }, (_, position) => position * 10_000 + 5_001)
  const singles = {
    pass: { index: 777_777, report: report(subjectId('single'), {}) },
    fail: { index: 777_778, report: report(subjectId('penalised'), { verdict: verdicts.FAIL }) },
    cover: {
      index: 777_779,
      report: report(subjectId('cover'), { policyId: coverPolicyId, verdict: verdicts.FAIL }),
    },
    carbon: {
      index: 777_780,
      report: report(subjectId('carbon'), {
        unit: unitCode('kgCO2e'),
        valueMicro: 110_100_000_005n,
        exclusiveTo: rightId({
          chainId: BigInt(place.chainId),
          contract: addresses.carbonCredit.toLowerCase() as Hex,
          right: rightClass('carbon'),
        }),
      }),
    },
  }
  const manyReports = names.map((name) => report(subjectId(name), {}))
  const leaves = new Uint8Array(leafCount * 32)
  // Leaves of reports that nobody settles here: distinct words, which is all that a tree asks.
  const view = new DataView(leaves.buffer)
  for (let index = 0; index < leafCount; index += 1) view.setUint32(index * 32 + 28, index + 1)
  const put = (index: number, value: Report) => {
    leaves.set(fromHex(reportLeaf(value), 'leaf', 32), index * 32)
  }
  for (const { index, report: value } of Object.values(singles)) put(index, value)
  const indices = [...clustered, ...spread]
  for (const [position, value] of manyReports.entries()) put(indices[position] ?? 0, value)
  const tree = buildTree(leaves, await createFastKeccakPairs())
  await meter.measure(
    'commit, steady',
    addresses.proofRegistry,
    await commitData(toHex(tree.root), leafCount),
  )

  const inclusion = (index: number) => ({
    stream,
    sequence,
    index,
    path: inclusionPath(tree, index).map(toHex),
  })
  meter.gas['inclusion in 1 M reports, beyond calldata'] = await meter.executionGas(
    addresses.proofRegistry,
    encodeFunctionData({
      abi: proofRegistryAbi,
      functionName: 'verifyReport',
      args: [singles.pass.report, inclusion(singles.pass.index)],
    }),
  )

  const settle = (
    name: string,
    contract: Address,
    agreementId: bigint,
    { index, report: value }: { index: number; report: Report },
  ) =>
    meter.measure(
      name,
      contract,
      encodeFunctionData({
        abi: reportConsumerAbi,
        functionName: 'settle',
        args: [agreementId, value, inclusion(index)],
      }),
    )
  await settle('settle 1 of 1 M: escrow, PASS', addresses.performanceEscrow, single, singles.pass)
  await settle(
    'settle 1 of 1 M: escrow, penalty',
    addresses.performanceEscrow,
    penalised,
    singles.fail,
  )
  await settle('settle 1 of 1 M: cover', addresses.parametricCover, policy, singles.cover)
  await settle('settle 1 of 1 M: carbon mint', addresses.carbonCredit, projectId, singles.carbon)
  await meter.measure(
    'retire carbon credits',
    addresses.carbonCredit,
    encodeFunctionData({
      abi: carbonCreditAbi,
      functionName: 'retire',
      args: [meter.sender, (projectId << 128n) | 1n, 1_000n, 'Somebody', 'Travel'],
    }),
  )
  const settleMany = async (name: string, from: number, chosen: readonly number[]) => {
    const data = encodeFunctionData({
      abi: reportConsumerAbi,
      functionName: 'settleMany',
      args: [
        many.slice(from, from + 100),
        manyReports.slice(from, from + 100),
        { stream, sequence, indices: chosen, proof: multiproof(tree, chosen).map(toHex) },
      ],
    })
    const receipt = await meter.send(addresses.performanceEscrow, data, 16_000_000n)
    const settled = parseEventLogs({
      abi: reportConsumerAbi,
      eventName: 'ReportSettled',
      logs: receipt.logs,
    })
    if (settled.length !== 100) throw new Error(`${settled.length} of 100 were settled`)
    meter.gas[name] = Math.round(Number(receipt.gasUsed) / 100)
  }
  await settleMany('settle 100 at once, clustered: each', 0, clustered)
  await settleMany('settle 100 at once, spread: each', 100, spread)
}

/** @see EIP-2028: 16 gas for a byte, 4 for a zero. */
export function calldataGas(data: Hex): number {
  return fromHex(data, 'data').reduce((sum, byte) => sum + (byte === 0 ? 4 : 16), 0)
}
