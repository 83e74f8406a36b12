import {
  type Abi,
  type Address,
  BaseError,
  type Hex,
  type TransactionReceipt,
  decodeErrorResult,
  encodeFunctionData,
  encodePacked,
  hashMessage,
  isHex,
  keccak256,
  parseEventLogs,
  serializeSignature,
} from 'viem'
import { sign } from 'viem/accounts'
import { endpointAbi } from '#relayer/transports/layerzero/abi.ts'
import { lzReceiveGas } from '#relayer/transports/layerzero/options.ts'
import {
  type Packet,
  addressWord,
  decodePacket,
  encodePacket,
  packetHeader,
  payloadHash,
} from '#relayer/transports/layerzero/packet.ts'
import {
  type LayerZeroDeployment,
  LayerZeroSetupError,
  createChainHand,
} from './deployLayerZero.ts'
import { batchReceiverAbi } from '#schemas/abi/batchReceiver.ts'
import { proofRegistryAbi } from '#schemas/abi/proofRegistry.ts'
import { revocationReceiverAbi } from '#schemas/abi/revocationReceiver.ts'
import { protocolContracts } from './protocol.ts'

/** A packet on its way, with what its sender asked of the executor. */
export type SentPacket = { readonly packet: Packet; readonly options: Hex }

/** Where a message stands on its destination, by the endpoint's state. */
export type PacketState = 'unverified' | 'verified' | 'delivered'

/** The packets that a transaction on the source chain sent. */
export function packetsIn(receipt: TransactionReceipt, endpoint: Address): SentPacket[] {
  return parseEventLogs({ abi: endpointAbi, eventName: 'PacketSent', logs: receipt.logs })
    .filter(({ address }) => address.toLowerCase() === endpoint)
    .map(({ args }) => ({ packet: decodePacket(args.encodedPayload), options: args.options }))
}

/** Gas that each step cost on the destination. */
export type DeliveryGas = {
  readonly verify: bigint
  readonly commit: bigint
  readonly execute: bigint
}

/**
 * Verifier network, committer and executor for one destination chain, as one process with one key.
 * Contracts of theirs succeed whatever happens inside (a wrong signer, an instruction that has expired,
 * a receiver that reverts), so every step looks at the endpoint's state afterwards.
 */
export function createLayerZeroWorkers(destination: LayerZeroDeployment, key: Hex) {
  const hand = createChainHand(destination, key)
  const contracts = protocolContracts()
  const { endpoint, receiveUln, dvn, executor, vid } = destination

  async function storedHash({ receiver, srcEid, sender, nonce }: Packet): Promise<Hex> {
    return hand.client.readContract({
      address: endpoint,
      abi: endpointAbi,
      functionName: 'inboundPayloadHash',
      args: [receiver, srcEid, addressWord(sender), nonce],
    })
  }

  async function state(packet: Packet): Promise<PacketState> {
    const stored = await storedHash(packet)
    if (stored === payloadHash(packet)) return 'verified'
    const { receiver, srcEid, sender, nonce } = packet
    const executed = await hand.client.readContract({
      address: endpoint,
      abi: endpointAbi,
      functionName: 'lazyInboundNonce',
      args: [receiver, srcEid, addressWord(sender)],
    })
    return BigInt(stored) === 0n && executed >= nonce ? 'delivered' : 'unverified'
  }

  /** What the network's signer vouches for is whatever it is handed: tests hand it forgeries. */
  async function verify(packet: Packet): Promise<bigint> {
    const callData = encodeFunctionData({
      abi: contracts.receiveUln.abi,
      functionName: 'verify',
      args: [packetHeader(encodePacket(packet)), payloadHash(packet), 1n],
    })
    const expiration = (await hand.client.getBlock()).timestamp + 3_600n
    const digest = keccak256(
      encodePacked(
        ['uint32', 'address', 'uint256', 'bytes'],
        [vid, receiveUln, expiration, callData],
      ),
    )
    const signature = await sign({ hash: hashMessage({ raw: digest }), privateKey: key })
    const receipt = await hand.call(dvn, contracts.dvn.abi, 'execute', [
      [
        {
          vid,
          target: receiveUln,
          callData,
          expiration,
          signatures: serializeSignature(signature),
        },
      ],
    ])
    return receipt.gasUsed
  }

  async function commit(packet: Packet): Promise<bigint> {
    const receipt = await hand.call(receiveUln, contracts.receiveUln.abi, 'commitVerification', [
      packetHeader(encodePacket(packet)),
      payloadHash(packet),
    ])
    // Whoever is quick may have carried it out by now.
    if ((await state(packet)) === 'unverified') {
      throw new LayerZeroSetupError('A packet was committed and is not verified.', {
        metaMessages: [`Guid: ${packet.guid}`],
      })
    }
    return receipt.gasUsed
  }

  /** Carries a message out through the executor, which succeeds even if the receiver refuses. */
  async function execute(packet: Packet, gasLimit: bigint): Promise<TransactionReceipt> {
    const origin = {
      srcEid: packet.srcEid,
      sender: addressWord(packet.sender),
      nonce: packet.nonce,
    }
    const { receiver, guid, message } = packet
    return hand.call(
      executor,
      contracts.executor.abi,
      'execute302',
      [{ receiver, origin, guid, message, extraData: '0x', gasLimit }],
      // 64/63 and room for the alert, so that what the option asks for is what the receiver gets.
      gasLimit + gasLimit / 32n + 500_000n,
    )
  }

  return {
    hand,
    state,
    verify,
    commit,
    execute,
    /** All three steps, with the gas that the options ask for. */
    async deliver({ packet, options }: SentPacket): Promise<DeliveryGas & { state: PacketState }> {
      const verified = await verify(packet)
      const committed = await commit(packet)
      const { gasUsed } = await execute(packet, lzReceiveGas(options).gas)
      return { verify: verified, commit: committed, execute: gasUsed, state: await state(packet) }
    },
    /** Carries a verified message out without an executor: the door is open to anyone. */
    resume: (packet: Packet): Promise<TransactionReceipt> =>
      hand.send('lzReceive', { to: endpoint, data: receiveData(packet) }),
    /** The error with which a message would be refused now; `undefined` if it would not be. */
    async refusal(packet: Packet): Promise<string | undefined> {
      try {
        await hand.client.call({
          account: hand.account,
          to: endpoint,
          data: receiveData(packet),
        })
        return undefined
      } catch (error) {
        return nameOf(error)
      }
    },
  }
}

function receiveData({ srcEid, sender, nonce, receiver, guid, message }: Packet): Hex {
  return encodeFunctionData({
    abi: endpointAbi,
    functionName: 'lzReceive',
    args: [{ srcEid, sender: addressWord(sender), nonce }, receiver, guid, message, '0x'],
  })
}

/** Errors of everything that a message can run into, so that a refusal has a name. */
const refusals: Abi = [
  ...endpointAbi,
  ...batchReceiverAbi,
  ...revocationReceiverAbi,
  ...proofRegistryAbi,
].filter(({ type }) => type === 'error')

function nameOf(error: unknown): string {
  if (error instanceof BaseError) {
    const raw = error.walk((cause) => typeof (cause as { data?: unknown }).data === 'string')
    const { data } = (raw ?? {}) as { data?: unknown }
    if (isHex(data)) return decodeErrorResult({ abi: refusals, data }).errorName
  }
  throw error
}

export type LayerZeroWorkers = ReturnType<typeof createLayerZeroWorkers>
