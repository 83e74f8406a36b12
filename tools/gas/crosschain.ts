/**
 * What it costs to have one batch settled on N chains: every chain by itself, or through LayerZero from
 * a hub. All figures are gas of receipts on local chains with LayerZero's own contracts.
 * `node tools/gas/crosschain.ts` prints JSON; `--markdown` prints the table of docs/crosschain.md.
 */
import { type Hex, encodeFunctionData, keccak256, zeroHash } from 'viem'
import { createEscrow } from '#contracts/deploy/agreements.ts'
import { type CrosschainSpoke, createCrosschain } from '#localnet/layerzero/crosschain.ts'
import { packetsIn } from '#localnet/layerzero/workers.ts'
import { batchBroadcasterAbi } from '#schemas/abi/batchBroadcaster.ts'
import { proofRegistryAbi } from '#schemas/abi/proofRegistry.ts'
import { reportConsumerAbi } from '#schemas/abi/reportConsumer.ts'
import { type Batch, batchDigest, streamId } from '#schemas/batch.ts'
import { utf8 } from '#schemas/bytes.ts'
import { type Report, reportLeaf, subjectId, unitCode, verdicts } from '#schemas/report.ts'
import { anvilKey } from '../anvil.ts'

const chainCounts = [1, 2, 3, 5, 10] as const
/** Slots of the registries' rings and of the broadcaster's, which fill once. */
const ringSize = 64

const stream = streamId('crosschain-gas')
const word = (text: string): Hex => keccak256(utf8(text))
const hourMs = 3_600_000n
const start = BigInt(Date.UTC(2026, 0, 6))

const reportOf = (at: bigint): Report => ({
  version: 1,
  subject: subjectId('plant'),
  policyId: word('policy'),
  periodStartMs: start + at * hourMs,
  periodEndMs: start + (at + 1n) * hourMs,
  verdict: verdicts.PASS,
  valueMicro: 300_000_000n,
  unit: unitCode('Wh'),
  coveragePpm: 1_000_000,
  tier: 1,
  evidenceRoot: word('evidence'),
  measuresHash: word('measures'),
  exclusiveTo: zeroHash,
  amends: zeroHash,
})

/** Gas of one step, by where it is paid. */
export type CrosschainGas = {
  readonly direct: {
    readonly register: number
    readonly commit: number
    readonly settle: number
  }
  readonly layerZero: {
    /** At the hub, for 1, 2, 3, 5 and 10 spokes in one transaction. */
    readonly broadcastBatch: Readonly<Record<number, number>>
    readonly broadcastRegistration: number
    /** On each spoke. */
    readonly registration: { verify: number; commit: number; execute: number }
    readonly batch: { verify: number; commit: number; execute: number }
    readonly settle: number
  }
  /** Gas in all for one batch that settles one report on each of N chains, keys being registered. */
  readonly perBatch: readonly {
    readonly chains: number
    readonly direct: number
    readonly layerZero: number
  }[]
  /** Wei that LayerZero's workers ask on the local chains for one batch, at 1 gwei everywhere. */
  readonly feeWei: string
}

export async function measureCrosschain(): Promise<CrosschainGas> {
  const world = await createCrosschain({
    key: anvilKey,
    stream,
    genesisSeconds: Number(start / 1000n) - 86_400,
    spokes: 1,
    phantomSpokes: 9,
  })
  try {
    const [spoke] = world.spokes
    if (spoke === undefined) throw new TypeError('One spoke was asked for')
    return await measureOn(world, spoke)
  } finally {
    await world.stop()
  }
}

async function measureOn(
  world: Awaited<ReturnType<typeof createCrosschain>>,
  spoke: CrosschainSpoke,
): Promise<CrosschainGas> {
  const { hub } = world
  const tranches = Array.from({ length: 3 }, (_, at) => ({
    periodStartMs: start + BigInt(at) * hourMs,
    periodEndMs: start + BigInt(at + 1) * hourMs,
    amount: 1_000n,
  }))
  const agreement = (place: { rpcUrl: string; chainId: number }, contract: Hex, token: Hex) =>
    createEscrow({ ...place, key: anvilKey }, contract, {
      payee: '0x00000000000000000000000000000000000000a1',
      token,
      report: {
        stream,
        subject: subjectId('plant'),
        policyId: word('policy'),
        unit: unitCode('Wh'),
      },
      graceSeconds: 2_592_000,
      penalty: { shape: 'flat', maximumPpm: 1_000_000 },
      tranches,
    })
  const direct = {
    registry: hub.contracts.proofRegistry,
    escrow: hub.contracts.performanceEscrow,
    agreementId: await agreement(
      hub.layerZero,
      hub.contracts.performanceEscrow,
      hub.contracts.token,
    ),
  }
  const spokeAgreement = await agreement(spoke.layerZero, spoke.performanceEscrow, spoke.token)
  await world.warp((start + 3n * hourMs) / 1000n + 60n)

  const enclave = await world.registerEnclave('measured')
  const registerGas = await world.registerEnclave('measured again')
  const { number, hash } = await hub.hand.client.getBlock()
  let previous: Hex = zeroHash
  let sequence = 0n
  /** The next batch of the stream, with one report. */
  const nextBatch = (report: Report): Batch => {
    sequence += 1n
    const batch: Batch = {
      stream,
      sequence,
      previous,
      reportRoot: reportLeaf(report),
      reportCount: 1,
      rosterRoot: word('roster'),
      rosterCount: 1,
      closedAtMs: start + 3n * hourMs + sequence,
      anchorNumber: number,
      anchorHash: hash,
    }
    previous = batchDigest(batch)
    return batch
  }
  const commitOn = async (hand: typeof hub.hand, registry: Hex, batch: Batch) => {
    const receipt = await hand.send('commit', {
      to: registry,
      data: encodeFunctionData({
        abi: proofRegistryAbi,
        functionName: 'commit',
        args: [batch, enclave.sign(batch)],
      }),
    })
    return Number(receipt.gasUsed)
  }
  const settleOn = async (hand: typeof hub.hand, contract: Hex, id: bigint, report: Report) => {
    const receipt = await hand.send('settle', {
      to: contract,
      data: encodeFunctionData({
        abi: reportConsumerAbi,
        functionName: 'settle',
        args: [id, report, { stream, sequence, index: 0, path: [] }],
      }),
    })
    return Number(receipt.gasUsed)
  }
  const eids = Array.from({ length: 10 }, (_, at) =>
    at === 0 ? spoke.layerZero.eid : hub.layerZero.eid + 1_000 + at - 1,
  )
  const broadcast = async (batch: Batch, count: number) => {
    const signature = enclave.sign(batch)
    const feeWei = await hub.hand.client.readContract({
      address: hub.batchBroadcaster,
      abi: batchBroadcasterAbi,
      functionName: 'quoteBatch',
      args: [batch, signature, spoke.layerZero.eid, '0x'],
    })
    const receipt = await hub.hand.send('broadcast', {
      to: hub.batchBroadcaster,
      value: feeWei * BigInt(count),
      data: encodeFunctionData({
        abi: batchBroadcasterAbi,
        functionName: 'broadcastBatch',
        args: [
          batch,
          signature,
          eids.slice(0, count).map((eid) => ({ eid, feeWei, options: '0x' as const })),
        ],
      }),
    })
    const [packet] = packetsIn(receipt, hub.layerZero.endpoint)
    if (packet === undefined) throw new TypeError('Nothing was sent')
    return { packet, feeWei, gas: Number(receipt.gasUsed) }
  }

  // The key, by message.
  const registration = await world.registrationOf(enclave.signer)
  const endorsements = await world.endorse(registration)
  const registrationFee = await hub.hand.client.readContract({
    address: hub.batchBroadcaster,
    abi: batchBroadcasterAbi,
    functionName: 'quoteRegistration',
    args: [enclave.signer, endorsements, spoke.layerZero.eid, '0x'],
  })
  const sentRegistration = await hub.hand.send('broadcast', {
    to: hub.batchBroadcaster,
    value: registrationFee,
    data: encodeFunctionData({
      abi: batchBroadcasterAbi,
      functionName: 'broadcastRegistration',
      args: [
        enclave.signer,
        endorsements,
        [{ eid: spoke.layerZero.eid, feeWei: registrationFee, options: '0x' }],
      ],
    }),
  })
  const [registrationPacket] = packetsIn(sentRegistration, hub.layerZero.endpoint)
  if (registrationPacket === undefined) throw new TypeError('Nothing was sent')
  const registered = await spoke.workers.deliver(registrationPacket)

  // One lap of every ring: from then on nothing writes a new slot.
  for (let lap = 0; lap < ringSize; lap += 1) {
    const batch = nextBatch(reportOf(99n))
    await commitOn(hub.hand, direct.registry, batch)
    const { packet } = await broadcast(batch, 10)
    const { state } = await spoke.workers.deliver(packet)
    if (state !== 'delivered') throw new TypeError('A batch did not arrive')
  }

  // First settlements touch balances that were empty; what follows is the steady state.
  const first = reportOf(0n)
  const firstBatch = nextBatch(first)
  await commitOn(hub.hand, direct.registry, firstBatch)
  await spoke.workers.deliver((await broadcast(firstBatch, 1)).packet)
  await settleOn(hub.hand, direct.escrow, direct.agreementId, first)
  await settleOn(spoke.hand, spoke.performanceEscrow, spokeAgreement, first)

  const second = reportOf(1n)
  const steady = nextBatch(second)
  const commit = await commitOn(hub.hand, direct.registry, steady)
  const settle = await settleOn(hub.hand, direct.escrow, direct.agreementId, second)
  const { packet, feeWei } = await broadcast(steady, 1)
  const delivered = await spoke.workers.deliver(packet)
  const spokeSettle = await settleOn(spoke.hand, spoke.performanceEscrow, spokeAgreement, second)
  // The same batch to 1, 2, 3, 5 and 10 spokes: sending it again costs what sending it did.
  const broadcastBatch: Record<number, number> = {}
  for (const count of chainCounts) broadcastBatch[count] = (await broadcast(steady, count)).gas

  const numbers = ({ verify, commit: committed, execute }: typeof delivered) => ({
    verify: Number(verify),
    commit: Number(committed),
    execute: Number(execute),
  })
  const batch = numbers(delivered)
  const arrival = batch.verify + batch.commit + batch.execute
  return {
    direct: { register: Number(registerGas.gasUsed), commit, settle },
    layerZero: {
      broadcastBatch,
      broadcastRegistration: Number(sentRegistration.gasUsed),
      registration: numbers(registered),
      batch,
      settle: spokeSettle,
    },
    perBatch: chainCounts.map((chains) => ({
      chains,
      direct: chains * (commit + settle),
      layerZero: (broadcastBatch[chains] ?? Number.NaN) + chains * (arrival + spokeSettle),
    })),
    feeWei: feeWei.toString(),
  }
}

const figure = (value: number) => value.toLocaleString('en-US')

function markdown({ direct, layerZero, perBatch }: CrosschainGas): string {
  const { registration, batch } = layerZero
  return [
    '| chains | direct | by LayerZero | against direct |',
    '|---:|---:|---:|---:|',
    ...perBatch.map(
      (row) =>
        `| ${row.chains} | ${figure(row.direct)} | ${figure(row.layerZero)} | ${(row.layerZero / row.direct).toFixed(1)} × |`,
    ),
    '',
    '| step | where | gas |',
    '|---|---|---:|',
    `| register a key, verified on the chain | each chain | ${figure(direct.register)} |`,
    `| commit a batch | each chain | ${figure(direct.commit)} |`,
    `| settle one report | each chain | ${figure(direct.settle)} |`,
    `| send a registration | hub | ${figure(layerZero.broadcastRegistration)} |`,
    `| its arrival: verify, commit, execute | spoke | ${figure(registration.verify)} + ${figure(registration.commit)} + ${figure(registration.execute)} |`,
    `| send a batch to 1, 2, 3, 5, 10 spokes | hub | ${chainCounts.map((count) => figure(layerZero.broadcastBatch[count] ?? Number.NaN)).join(', ')} |`,
    `| its arrival: verify, commit, execute | spoke | ${figure(batch.verify)} + ${figure(batch.commit)} + ${figure(batch.execute)} |`,
    `| settle one report | spoke | ${figure(layerZero.settle)} |`,
  ].join('\n')
}

if (import.meta.main) {
  const measured = await measureCrosschain()
  console.log(
    process.argv.includes('--markdown')
      ? markdown(measured)
      : JSON.stringify(measured, undefined, 2),
  )
}
