import { setTimeout as sleep } from 'node:timers/promises'
import { concatBytes } from '#schemas/bytes.ts'
import { BaseError } from '#schemas/errors.ts'
import { packSequenceMediaType } from '#schemas/pack/packProfile.ts'

/** Raised when the worker refuses a pack for a reason that sending it again cannot mend. */
export class PackRefusedError extends BaseError {
  override readonly name = 'PackRefusedError'
}

type Answer = { receipt?: unknown; refusal?: { name: string; message: string; retryable: boolean } }

/**
 * A device's way to the worker: sends packs in order and keeps each until its receipt has come, as
 * firmware with a store-and-forward queue does. A worker that is down, busy or has just been killed
 * costs time and nothing else.
 */
export async function sendPacks(
  workerUrl: string,
  packs: readonly Uint8Array[],
  options: { readonly packsPerRequest: number; readonly onAccepted?: (count: number) => void },
): Promise<void> {
  let next = 0
  let delayMs = 50
  while (next < packs.length) {
    const group = packs.slice(next, next + options.packsPerRequest)
    const answers = await post(workerUrl, group)
    let accepted = 0
    for (const answer of answers ?? []) {
      if (answer.receipt !== undefined) accepted += 1
      else if (answer.refusal?.retryable === false) {
        throw new PackRefusedError(`The worker refuses a pack: ${answer.refusal.message}`, {
          field: answer.refusal.name,
          remedy: 'Look at the worker’s log; the device will not get this pack accepted.',
        })
      } else break
    }
    next += accepted
    if (accepted > 0) {
      options.onAccepted?.(accepted)
      delayMs = 50
    } else {
      await sleep(delayMs)
      delayMs = Math.min(delayMs * 2, 1_000)
    }
  }
}

/** One request; `undefined` when no usable answer came, whatever the reason. */
async function post(
  workerUrl: string,
  packs: readonly Uint8Array[],
): Promise<readonly Answer[] | undefined> {
  try {
    const response = await fetch(`${workerUrl}/v1/packs`, {
      method: 'POST',
      headers: { 'content-type': packSequenceMediaType },
      body: new Uint8Array(concatBytes(...packs)),
      signal: AbortSignal.timeout(10_000),
    })
    const answers: unknown = await response.json()
    return Array.isArray(answers) ? (answers as Answer[]) : undefined
  } catch {
    return undefined
  }
}
