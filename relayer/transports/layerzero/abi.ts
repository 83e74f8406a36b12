import { abiErrors } from '../../chain/abiErrors.ts'
import { endpointRefusals } from './refusals.ts'

// As JSON and not as text: a parser of ABIs would weigh more than all of this.
const calls = [
  {
    name: 'PacketSent',
    type: 'event',
    inputs: [
      {
        type: 'bytes',
        name: 'encodedPayload',
      },
      {
        type: 'bytes',
        name: 'options',
      },
      {
        type: 'address',
        name: 'sendLibrary',
      },
    ],
  },
  {
    name: 'LzReceiveAlert',
    type: 'event',
    inputs: [
      {
        type: 'address',
        name: 'receiver',
        indexed: true,
      },
      {
        type: 'address',
        name: 'executor',
        indexed: true,
      },
      {
        type: 'tuple',
        name: 'origin',
        components: [
          {
            type: 'uint32',
            name: 'srcEid',
          },
          {
            type: 'bytes32',
            name: 'sender',
          },
          {
            type: 'uint64',
            name: 'nonce',
          },
        ],
      },
      {
        type: 'bytes32',
        name: 'guid',
      },
      {
        type: 'uint256',
        name: 'gas',
      },
      {
        type: 'uint256',
        name: 'value',
      },
      {
        type: 'bytes',
        name: 'message',
      },
      {
        type: 'bytes',
        name: 'extraData',
      },
      {
        type: 'bytes',
        name: 'reason',
      },
    ],
  },
  {
    name: 'eid',
    type: 'function',
    stateMutability: 'view',
    inputs: [],
    outputs: [
      {
        type: 'uint32',
      },
    ],
  },
  {
    name: 'inboundPayloadHash',
    type: 'function',
    stateMutability: 'view',
    inputs: [
      {
        type: 'address',
        name: 'receiver',
      },
      {
        type: 'uint32',
        name: 'srcEid',
      },
      {
        type: 'bytes32',
        name: 'sender',
      },
      {
        type: 'uint64',
        name: 'nonce',
      },
    ],
    outputs: [
      {
        type: 'bytes32',
      },
    ],
  },
  {
    name: 'lazyInboundNonce',
    type: 'function',
    stateMutability: 'view',
    inputs: [
      {
        type: 'address',
        name: 'receiver',
      },
      {
        type: 'uint32',
        name: 'srcEid',
      },
      {
        type: 'bytes32',
        name: 'sender',
      },
    ],
    outputs: [
      {
        type: 'uint64',
      },
    ],
  },
  {
    name: 'lzReceive',
    type: 'function',
    stateMutability: 'payable',
    inputs: [
      {
        type: 'tuple',
        name: 'origin',
        components: [
          {
            type: 'uint32',
            name: 'srcEid',
          },
          {
            type: 'bytes32',
            name: 'sender',
          },
          {
            type: 'uint64',
            name: 'nonce',
          },
        ],
      },
      {
        type: 'address',
        name: 'receiver',
      },
      {
        type: 'bytes32',
        name: 'guid',
      },
      {
        type: 'bytes',
        name: 'message',
      },
      {
        type: 'bytes',
        name: 'extraData',
      },
    ],
    outputs: [],
  },
] as const

/** What is asked of LayerZero's endpoint; its interfaces are MIT, the contract itself is not ours. */
export const endpointAbi = [...calls, ...abiErrors(endpointRefusals)] as const
