import { type Context, Hono } from 'hono'
import { decodeFunctionResult, encodeFunctionData, isHex } from 'viem'
import { enclaveRegistryAbi } from '#schemas/abi/relayerCalls.ts'
import type { Hex } from '#schemas/bytes.ts'
import { type Hub, type Registration, endorsementDigest } from '#schemas/crosschain.ts'
import { BaseError } from '#schemas/errors.ts'
import type { Rpc } from '../../chain/rpc.ts'
import { readObject, readQuantity } from '../../chain/words.ts'

/** Signs 32 bytes; the same digest always gives the same signature. */
export type SignDigest = (digest: Hex) => Promise<Hex> | Hex

/** Raised while the endorser's nodes do not all say the same of a key; nothing is signed meanwhile. */
export class NodesDisagreeError extends BaseError {
  override readonly name = 'NodesDisagreeError'
  override readonly retryable = true
}

/**
 * An endorser: reads what the hub's registry holds of a key in the newest final block, and signs exactly
 * that. It is asked for a key and never for a statement, so nobody can have it sign anything else.
 *
 * A spoke trusts endorsers because each has seen the hub for itself. So every one of its nodes has to
 * answer, and all the same: one that lies keeps it silent, and makes it sign nothing.
 *
 * `GET /v1/endorsements/{signer}` answers `{ endorsement, registration }`, or 404 for a key that is not
 * valid there now, or 503 while the nodes disagree.
 */
export function createEndorser(options: {
  readonly hub: Hub
  /** Nodes of the endorser's own. */
  readonly rpc: { each(): readonly Pick<Rpc, 'ask'>[] }
  readonly sign: SignDigest
  /** `finalized` unless the hub has no such tag. */
  readonly blockTag?: BlockTag
}): Hono {
  const { hub, rpc, sign, blockTag = 'finalized' } = options

  async function seenByAll(signer: Hex): Promise<Registration | undefined> {
    const [first, ...others] = await Promise.all(
      rpc.each().map((node) => registrationAt(node, hub, signer, blockTag)),
    ).catch((cause: unknown) => {
      throw disagreement('A node of the hub does not answer.', cause)
    })
    const text = (value: Registration | undefined): string =>
      value === undefined ? '' : Object.values(value).map(String).join()
    if (others.some((other) => text(other) !== text(first))) {
      throw disagreement('The nodes of the hub say different things of this key.')
    }
    return first
  }

  return new Hono().get('/v1/endorsements/:signer', async (context) => {
    const signer = context.req.param('signer').toLowerCase()
    if (!/^0x[0-9a-f]{40}$/.test(signer)) {
      return problem(context, 400, {
        name: 'InvalidSignerError',
        message: 'This is not the address of a key.',
        remedy: 'Ask for 0x and 40 hex digits.',
      })
    }
    let registration: Registration | undefined
    try {
      registration = await seenByAll(signer as Hex)
    } catch (error) {
      if (!(error instanceof NodesDisagreeError)) throw error
      const { name, shortMessage: message, remedy = '' } = error
      return problem(context, 503, { name, message, remedy })
    }
    if (registration === undefined) {
      return problem(context, 404, {
        name: 'SignerNotValidError',
        message: 'The registry of the hub does not hold this key valid.',
        remedy: 'Register or renew it there, and wait until that is final.',
      })
    }
    const endorsement = await sign(endorsementDigest(hub, registration))
    const { attestedAt, expiresAt } = registration
    return context.json({
      endorsement,
      registration: {
        ...registration,
        attestedAt: attestedAt.toString(),
        expiresAt: expiresAt.toString(),
      },
    })
  })
}

export type BlockTag = 'finalized' | 'safe' | 'latest'

function disagreement(message: string, cause?: unknown): NodesDisagreeError {
  return new NodesDisagreeError(message, {
    field: 'signer',
    remedy: 'Ask again; should it last, the operator of this endorser looks at its nodes.',
    cause,
  })
}

function problem(
  context: Context,
  status: 400 | 404 | 503,
  error: { readonly name: string; readonly message: string; readonly remedy: string },
): Response {
  return context.json({ error: { ...error, field: 'signer', retryable: status === 503 } }, status)
}

/** What one node says that the registry holds; `undefined` when the key is not valid there. */
async function registrationAt(
  node: Pick<Rpc, 'ask'>,
  { registry }: Hub,
  signer: Hex,
  blockTag: BlockTag,
): Promise<Registration | undefined> {
  const names = ['signerStatus', 'signerRecord'] as const
  const [block, ...answers] = await node.ask([
    { method: 'eth_getBlockByNumber', params: [blockTag, false] },
    ...names.map((functionName) => ({
      method: 'eth_call',
      params: [
        {
          to: registry,
          data: encodeFunctionData({ abi: enclaveRegistryAbi, functionName, args: [signer] }),
        },
        blockTag,
      ],
    })),
  ])
  const [status, record] = answers.map((answer) =>
    answer.ok && isHex(answer.result) && answer.result !== '0x' ? answer.result : undefined,
  )
  if (block?.ok !== true || status === undefined || record === undefined) {
    throw disagreement('A node has no such block, or no registry in it.')
  }
  const timestamp = readQuantity(readObject(block.result, 'block')['timestamp'], 'block.timestamp')
  const [stream, imageId, expiresAt] = decodeFunctionResult({
    abi: enclaveRegistryAbi,
    functionName: 'signerStatus',
    data: status,
  })
  const [, , ppid, attestedAt] = decodeFunctionResult({
    abi: enclaveRegistryAbi,
    functionName: 'signerRecord',
    data: record,
  })
  if (expiresAt <= timestamp) return undefined
  return { signer, stream, imageId, ppid, attestedAt, expiresAt }
}
