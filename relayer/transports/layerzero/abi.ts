import { parseAbi } from 'viem'
import { abiErrors } from '../../chain/abiErrors.ts'
import { endpointRefusals } from './refusals.ts'

const calls = parseAbi([
  'struct Origin { uint32 srcEid; bytes32 sender; uint64 nonce; }',
  'event PacketSent(bytes encodedPayload, bytes options, address sendLibrary)',
  'event LzReceiveAlert(address indexed receiver, address indexed executor, Origin origin, bytes32 guid, uint256 gas, uint256 value, bytes message, bytes extraData, bytes reason)',
  'function eid() view returns (uint32)',
  'function inboundPayloadHash(address receiver, uint32 srcEid, bytes32 sender, uint64 nonce) view returns (bytes32)',
  'function lazyInboundNonce(address receiver, uint32 srcEid, bytes32 sender) view returns (uint64)',
  'function lzReceive(Origin origin, address receiver, bytes32 guid, bytes message, bytes extraData) payable',
])

/** What is asked of LayerZero's endpoint; its interfaces are MIT, the contract itself is not ours. */
export const endpointAbi = [...calls, ...abiErrors(endpointRefusals)] as const
