import {
  type Address,
  type Hex,
  encodeFunctionData,
  keccak256,
  parseEventLogs,
  zeroHash,
} from 'viem'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createEscrow } from '#contracts/deploy/agreements.ts'
import {
  type Crosschain,
  type CrosschainSpoke,
  type TestEnclave,
  createCrosschain,
} from '#localnet/layerzero/crosschain.ts'
import { type SentPacket, packetsIn } from '#localnet/layerzero/workers.ts'
import { endpointAbi } from '#relayer/transports/layerzero/abi.ts'
import { createPacket } from '#relayer/transports/layerzero/packet.ts'
import { batchBroadcasterAbi } from '#schemas/abi/batchBroadcaster.ts'
import { batchReceiverAbi } from '#schemas/abi/batchReceiver.ts'
import { enclaveRegistryAbi } from '#schemas/abi/enclaveRegistry.ts'
import { proofRegistryAbi } from '#schemas/abi/proofRegistry.ts'
import { reportConsumerAbi } from '#schemas/abi/reportConsumer.ts'
import { revocationBroadcasterAbi } from '#schemas/abi/revocationBroadcaster.ts'
import { testTokenAbi } from '#schemas/abi/testToken.ts'
import { type Batch, batchDigest, streamId } from '#schemas/batch.ts'
import { utf8 } from '#schemas/bytes.ts'
import { decodeMessage, encodeMessage } from '#schemas/crosschain.ts'
import { type Report, reportLeaf, subjectId, unitCode, verdicts } from '#schemas/report.ts'
import { anvilKey } from '#tools/anvil.ts'

const genesisSeconds = Date.UTC(2026, 0, 5) / 1000
const stream = streamId('layerzero-test')
const policyId = keccak256(utf8('policy'))
const payee: Address = '0x00000000000000000000000000000000000000a1'
const periodStartMs = BigInt(Date.UTC(2026, 0, 6))
const periodEndMs = BigInt(Date.UTC(2026, 0, 7))

const report: Report = {
  version: 1,
  subject: subjectId('plant'),
  policyId,
  periodStartMs,
  periodEndMs,
  verdict: verdicts.PASS,
  valueMicro: 300_000_000n,
  unit: unitCode('Wh'),
  coveragePpm: 1_000_000,
  tier: 1,
  evidenceRoot: keccak256(utf8('evidence')),
  measuresHash: keccak256(utf8('measures')),
  exclusiveTo: zeroHash,
  amends: zeroHash,
}

describe('localnet/layerzero', () => {
  let world: Crosschain
  let spoke: CrosschainSpoke
  let enclave: TestEnclave
  let batch: Batch
  let agreementId: bigint

  const feeFor = async (functionName: string, abi: readonly object[], to: Address, args: unknown) =>
    (await world.hub.hand.client.readContract({
      address: to,
      abi: abi as never,
      functionName: functionName,
      args: args as never,
    })) as bigint

  async function sent(to: Address, data: Hex, value: bigint): Promise<SentPacket> {
    const receipt = await world.hub.hand.send('broadcast', { to, data, value })
    const [packet] = packetsIn(receipt, world.hub.layerZero.endpoint)
    if (packet === undefined) throw new Error('nothing was sent')
    return packet
  }

  async function sendRegistration(signer: Hex): Promise<SentPacket> {
    const endorsements = await world.endorse(await world.registrationOf(signer))
    const { eid } = spoke.layerZero
    const to = world.hub.batchBroadcaster
    const fee = await feeFor('quoteRegistration', batchBroadcasterAbi, to, [
      signer,
      endorsements,
      eid,
      '0x',
    ])
    const data = encodeFunctionData({
      abi: batchBroadcasterAbi,
      functionName: 'broadcastRegistration',
      args: [signer, endorsements, [{ eid, feeWei: fee, options: '0x' }]],
    })
    return sent(to, data, fee)
  }

  async function sendBatch(value: Batch, signature: Hex): Promise<SentPacket> {
    const { eid } = spoke.layerZero
    const to = world.hub.batchBroadcaster
    const fee = await feeFor('quoteBatch', batchBroadcasterAbi, to, [value, signature, eid, '0x'])
    const data = encodeFunctionData({
      abi: batchBroadcasterAbi,
      functionName: 'broadcastBatch',
      args: [value, signature, [{ eid, feeWei: fee, options: '0x' }]],
    })
    return sent(to, data, fee)
  }

  async function sendRevocation(signer: Hex): Promise<SentPacket> {
    const { eid } = spoke.layerZero
    const to = world.hub.revocationBroadcaster
    const fee = await feeFor('quoteRevocations', revocationBroadcasterAbi, to, [
      [signer],
      eid,
      '0x',
    ])
    const data = encodeFunctionData({
      abi: revocationBroadcasterAbi,
      functionName: 'broadcastRevocations',
      args: [[signer], [{ eid, feeWei: fee, options: '0x' }]],
    })
    return sent(to, data, fee)
  }

  const validStreamOf = (signer: Hex) =>
    spoke.hand.client.readContract({
      address: spoke.batchReceiver,
      abi: batchReceiverAbi,
      functionName: 'validStreamOf',
      args: [signer],
    })

  const wholeHead = () =>
    spoke.hand.client.readContract({
      address: spoke.proofRegistry,
      abi: proofRegistryAbi,
      functionName: 'head',
      args: [stream],
    })
  const headOf = async (): Promise<bigint> => (await wholeHead())[0]

  const revokeOnHub = (signer: Hex) =>
    world.hub.hand.call(world.hub.contracts.enclaveRegistry, enclaveRegistryAbi, 'revoke', [signer])

  beforeAll(async () => {
    world = await createCrosschain({ key: anvilKey, stream, genesisSeconds, spokes: 1 })
    const [only] = world.spokes
    if (only === undefined) throw new Error('no spoke')
    spoke = only
    agreementId = await createEscrow(
      { ...spoke.layerZero, key: anvilKey },
      spoke.performanceEscrow,
      {
        payee,
        token: spoke.token,
        report: { stream, subject: report.subject, policyId, unit: report.unit },
        graceSeconds: 2_592_000,
        penalty: { shape: 'flat', maximumPpm: 1_000_000 },
        tranches: [{ periodStartMs, periodEndMs, amount: 7_000_000n }],
      },
    )
    await world.warp(periodEndMs / 1000n + 60n)
    enclave = await world.registerEnclave('main')
    const { number, hash } = await world.hub.hand.client.getBlock()
    batch = {
      stream,
      sequence: 1n,
      previous: zeroHash,
      reportRoot: reportLeaf(report),
      reportCount: 1,
      rosterRoot: keccak256(utf8('roster')),
      rosterCount: 1,
      closedAtMs: periodEndMs + 1_000n,
      anchorNumber: number,
      anchorHash: hash,
    }
  })

  afterAll(async () => {
    await world.stop()
  })

  it('a revoked key never gets in, though its registration is carried out after its revocation', async () => {
    const stolen = await world.registerEnclave('stolen')
    // Sent while it was good, held back by the carrier until it no longer was.
    const registration = await sendRegistration(stolen.signer)
    await revokeOnHub(stolen.signer)
    const revocation = await sendRevocation(stolen.signer)
    // The revocation has a path of its own: nothing of the other one has even been verified.
    expect(await spoke.workers.state(registration.packet)).toBe('unverified')
    expect(await spoke.workers.deliver(revocation)).toMatchObject({ state: 'delivered' })
    const held = await spoke.workers.deliver(registration)
    expect(held.state).toBe('verified')
    expect(await validStreamOf(stolen.signer)).toBe(zeroHash)
    expect(await spoke.workers.refusal(registration.packet)).toBe('BatchReceiverSignerRevoked')
  })

  it('a registration and a batch go from hub to spoke, and an escrow there pays on the same proof', async () => {
    const registration = await sendRegistration(enclave.signer)
    expect(decodeMessage(registration.packet.message)).toMatchObject({
      kind: 'registration',
      registration: await world.registrationOf(enclave.signer),
    })
    expect(await spoke.workers.deliver(registration)).toMatchObject({ state: 'delivered' })
    expect(await validStreamOf(enclave.signer)).toBe(stream)

    const signature = enclave.sign(batch)
    const carried = await sendBatch(batch, signature)
    expect(carried.packet.message).toBe(encodeMessage({ kind: 'batch', batch, signature }))
    expect(await headOf()).toBe(0n)
    expect(await spoke.workers.deliver(carried)).toMatchObject({ state: 'delivered' })
    expect(await headOf()).toBe(1n)

    await spoke.hand.send('settle', {
      to: spoke.performanceEscrow,
      data: encodeFunctionData({
        abi: reportConsumerAbi,
        functionName: 'settle',
        args: [agreementId, report, { stream, sequence: 1n, index: 0, path: [] }],
      }),
    })
    expect(
      await spoke.hand.client.readContract({
        address: spoke.token,
        abi: testTokenAbi,
        functionName: 'balanceOf',
        args: [payee],
      }),
    ).toBe(7_000_000n)
  })

  it('what an executor with too little gas leaves behind is carried out by anybody else', async () => {
    const next: Batch = {
      ...batch,
      sequence: 2n,
      previous: batchDigest(batch),
      reportRoot: zeroHash,
      reportCount: 0,
    }
    const { packet } = await sendBatch(next, enclave.sign(next))
    await spoke.workers.verify(packet)
    await spoke.workers.commit(packet)
    const receipt = await spoke.workers.execute(packet, 40_000n)
    // The executor's transaction succeeded; the endpoint says what really happened.
    expect(receipt.status).toBe('success')
    const alerts = parseEventLogs({
      abi: endpointAbi,
      eventName: 'LzReceiveAlert',
      logs: receipt.logs,
    })
    expect(alerts.map(({ args }) => args.guid)).toEqual([packet.guid])
    expect(await spoke.workers.state(packet)).toBe('verified')
    expect(await headOf()).toBe(1n)
    await spoke.workers.resume(packet)
    expect(await spoke.workers.state(packet)).toBe('delivered')
    expect(await headOf()).toBe(2n)
    expect(await spoke.workers.refusal(packet)).toBe('LZ_PayloadHashNotFound')
  })

  it('verifiers that vouch for anything can neither anchor, register nor revive; they can only revoke', async () => {
    const path = {
      srcEid: world.hub.layerZero.eid,
      sender: world.hub.batchBroadcaster.toLowerCase() as Hex,
      dstEid: spoke.layerZero.eid,
      receiver: spoke.batchReceiver.toLowerCase() as Hex,
    }
    const nonceAt = async (sender: Hex, receiver: Hex) =>
      (await spoke.hand.client.readContract({
        address: spoke.layerZero.endpoint,
        abi: endpointAbi,
        functionName: 'lazyInboundNonce',
        args: [receiver, path.srcEid, `0x${sender.slice(2).padStart(64, '0')}`],
      })) + 1n
    /** The network signs for a message that nobody ever sent, and the executor carries it out. */
    const forge = async (message: Hex, on = path) => {
      const packet = createPacket(on, await nonceAt(on.sender, on.receiver), message)
      const { state } = await spoke.workers.deliver({
        packet,
        // 5,000,000 gas: what is refused is not refused for want of it.
        options: '0x000301001101000000000000000000000000004c4b40',
      })
      return { state, refusal: await spoke.workers.refusal(packet) }
    }
    const [head, previous] = await wholeHead()
    const next: Batch = { ...batch, sequence: head + 1n, previous }
    const honest = await world.registrationOf(enclave.signer)
    const thief = await world.registerEnclave('thief')
    await revokeOnHub(thief.signer)
    const invented = { ...honest, signer: thief.signer, attestedAt: honest.attestedAt + 1n }
    const strangers = await world.endorse(invented, 1)

    // A batch that its thief signed.
    expect(
      await forge(encodeMessage({ kind: 'batch', batch: next, signature: thief.sign(next) })),
    ).toEqual({ state: 'verified', refusal: 'ProofRegistrySignerNotValid' })
    // A key of the thief's, endorsed by one of the two that are asked for.
    expect(
      await forge(
        encodeMessage({
          kind: 'registration',
          registration: invented,
          endorsements: [strangers],
        }),
      ),
    ).toEqual({ state: 'verified', refusal: 'BatchReceiverTooFewEndorsements' })
    expect(await validStreamOf(thief.signer)).toBe(zeroHash)
    expect(await headOf()).toBe(head)
    // What stands only in the forgery settles nothing.
    await expect(
      spoke.hand.client.simulateContract({
        account: spoke.hand.account,
        address: spoke.performanceEscrow,
        abi: [...reportConsumerAbi, ...proofRegistryAbi],
        functionName: 'settle',
        args: [agreementId, report, { stream, sequence: head + 1n, index: 0, path: [] }],
      }),
    ).rejects.toThrow('ProofRegistryNotAnchored')

    // The worst that they can do: an honest key is taken away, and nothing brings it back.
    const revocations = {
      ...path,
      sender: world.hub.revocationBroadcaster.toLowerCase() as Hex,
      receiver: spoke.revocationReceiver.toLowerCase() as Hex,
    }
    expect(
      await forge(encodeMessage({ kind: 'revocation', signers: [enclave.signer] }), revocations),
    ).toMatchObject({ state: 'delivered' })
    expect(await validStreamOf(enclave.signer)).toBe(zeroHash)
    const endorsements = await world.endorse(honest)
    expect(
      await forge(
        encodeMessage({
          kind: 'registration',
          registration: honest,
          endorsements: [`0x${endorsements.slice(2, 132)}`, `0x${endorsements.slice(132)}`],
        }),
      ),
    ).toEqual({ state: 'verified', refusal: 'BatchReceiverSignerRevoked' })
    expect(await validStreamOf(enclave.signer)).toBe(zeroHash)
    expect(await headOf()).toBe(head)
  })
})
