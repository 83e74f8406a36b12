import { encodeFunctionData } from 'viem'
import type { Hex } from '#schemas/bytes.ts'
import type { Call } from '../../lane/job.ts'
import { endpointAbi } from './abi.ts'
import { type Packet, addressWord } from './packet.ts'

/** Carries a verified message out: the endpoint lets anyone do so. */
export function lzReceiveCall(endpoint: Hex, packet: Packet): Call {
  const { srcEid, sender, nonce, receiver, guid, message } = packet
  return {
    to: endpoint,
    data: encodeFunctionData({
      abi: endpointAbi,
      functionName: 'lzReceive',
      args: [{ srcEid, sender: addressWord(sender), nonce }, receiver, guid, message, '0x'],
    }),
  }
}
