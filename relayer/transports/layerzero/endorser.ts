import { Hono } from 'hono'
import { encodeFunctionData, decodeFunctionResult, isHex } from 'viem'
import { enclaveRegistryAbi } from '#schemas/abi/enclaveRegistry.ts'
import type { Hex } from '#schemas/bytes.ts'
import { type Hub, type Registration, endorsementDigest } from '#schemas/crosschain.ts'
import type { Rpc } from '../../chain/rpc.ts'

/** Signs 32 bytes; the same digest always gives the same signature. */
export type SignDigest = (digest: Hex) => Promise<Hex> | Hex

/**
 * An endorser: reads, by nodes of its own, what the hub's registry holds of a key in its newest final
 * block, and signs exactly that. It is asked for a key and never for a statement, so nobody can have it
 * sign anything else.
 *
 * `GET /v1/endorsements/{signer}` answers `{ endorsement, registration }`, or 404 for a key that is not valid
 * there now.
 */
export function createEndorser(options: {
  readonly hub: Hub
  readonly rpc: Pick<Rpc, 'ask'>
  readonly sign: SignDigest
  /** `finalized` unless the hub has no such tag. */
  readonly blockTag?: 'finalized' | 'safe' | 'latest'
}): Hono {
  const { hub, rpc, sign, blockTag = 'finalized' } = options

  async function registrationOf(signer: Hex): Promise<Registration | undefined> {
    const names = ['signerStatus', 'signerRecord'] as const
    const [block, ...answers] = await rpc.ask([
      { method: 'eth_getBlockByNumber', params: [blockTag, false] },
      ...names.map((functionName) => ({
        method: 'eth_call',
        params: [
          {
            to: hub.registry,
            data: encodeFunctionData({ abi: enclaveRegistryAbi, functionName, args: [signer] }),
          },
          blockTag,
        ],
      })),
    ])
    const [status, record] = answers.map((answer) =>
      answer.ok && isHex(answer.result) && answer.result !== '0x' ? answer.result : undefined,
    )
    if (block?.ok !== true || status === undefined || record === undefined) return undefined
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
    const { timestamp } = block.result as { readonly timestamp?: unknown }
    if (!isHex(timestamp) || expiresAt <= BigInt(timestamp)) return undefined
    return { signer, stream, imageId, ppid, attestedAt, expiresAt }
  }

  return new Hono().get('/v1/endorsements/:signer', async (context) => {
    const signer = context.req.param('signer').toLowerCase()
    if (!/^0x[0-9a-f]{40}$/.test(signer)) return context.json({ error: 'not an address' }, 400)
    const registration = await registrationOf(signer as Hex)
    if (registration === undefined) {
      return context.json({ error: 'the hub does not hold this key valid' }, 404)
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
