import { concatHex } from 'viem'
import * as z from 'zod/mini'
import type { Hex } from '#schemas/bytes.ts'
import { type Hub, type Registration, orderEndorsements } from '#schemas/crosschain.ts'
import type { Fetch } from '../../ports.ts'

const answerSchema = z.object({
  endorsement: z.pipe(
    z.string().check(z.regex(/^0x[0-9a-f]{130}$/)),
    z.transform((text: string) => text as Hex),
  ),
})

const timeoutMs = 5_000

async function ask(url: string, signer: Hex, fetch: Fetch): Promise<Hex | undefined> {
  try {
    const address = `${url.replace(/\/$/, '')}/v1/endorsements/${signer}`
    const response = await fetch(address, { signal: AbortSignal.timeout(timeoutMs) })
    if (!response.ok) return undefined
    return answerSchema.safeParse(await response.json()).data?.endorsement
  } catch {
    return undefined
  }
}

/**
 * Endorsements of a registration, from the first endorsers of the list that give one: signatures are
 * deterministic, so that asking again gives the same bytes and a message keeps its name.
 *
 * @returns how many there were, and the first `threshold` of them as the broadcaster takes them
 */
export async function collectEndorsements(
  options: {
    readonly endorsers: readonly string[]
    readonly threshold: number
    readonly fetch: Fetch
  },
  hub: Hub,
  registration: Registration,
): Promise<{ readonly count: number; readonly endorsements?: Hex }> {
  const { endorsers, threshold, fetch } = options
  const answers = await Promise.all(endorsers.map((url) => ask(url, registration.signer, fetch)))
  const given = answers.filter((answer) => answer !== undefined)
  // A signature that leads nowhere makes the whole list useless: each is looked at by itself.
  const good = given.filter((signature) => {
    try {
      return orderEndorsements(hub, registration, [signature]).length === 1
    } catch {
      return false
    }
  })
  const chosen = orderEndorsements(hub, registration, good.slice(0, threshold))
  if (chosen.length < threshold) return { count: chosen.length }
  return {
    count: chosen.length,
    endorsements: concatHex(chosen.map(({ signature }) => signature)),
  }
}
