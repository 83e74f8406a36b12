import { type Fence, LeaseLostError } from './fence.ts'

/** What a broker has to do for leases: one entry per partition that expires unless it is renewed. */
export type LeaseBroker = {
  /** Takes a partition that nobody holds; `undefined` when somebody does. */
  take(partition: string, holder: string): Promise<bigint | undefined>
  /**
   * Renews if the last entry still is `revision`, or one that this holder wrote without hearing back.
   *
   * @returns The new revision; `undefined` when the partition is no longer this holder's.
   * @throws while the broker cannot be asked
   */
  renew(partition: string, holder: string, revision: bigint): Promise<bigint | undefined>
  /** Whether somebody holds it. */
  isHeld(partition: string): Promise<boolean>
  /** Gives it back if the last entry still is `revision`. */
  release(partition: string, revision: bigint): Promise<void>
}

export type Lease = Fence & {
  /** Grows with every taking of a partition, whoever takes it. */
  readonly epoch: bigint
  /** Settles once the lease is lost; stays open while it is held. */
  readonly lost: Promise<LeaseLostError>
  release(): Promise<void>
}

const retryMs = 200

const sleep = (ms: number): Promise<void> =>
  new Promise((resolve) => {
    setTimeout(resolve, ms)
  })

/**
 * Takes a partition and keeps it for as long as the process lives and reaches the broker. Whether it
 * is still held is never a matter of this machine's clock: only a renewal that the broker took says
 * so, since the broker lets nobody else in before the entry is gone.
 */
export async function takeLease(
  broker: LeaseBroker,
  partition: string,
  holder: string,
  leaseMs: number,
): Promise<Lease | undefined> {
  const epoch = await broker.take(partition, holder)
  if (epoch === undefined) return undefined
  let revision = epoch
  let failure: LeaseLostError | undefined
  const lost = Promise.withResolvers<LeaseLostError>()
  let running: Promise<void> | undefined
  let waiting: Promise<void> | undefined

  async function renew(): Promise<void> {
    for (;;) {
      if (failure !== undefined) throw failure
      let renewed: bigint | undefined
      try {
        renewed = await broker.renew(partition, holder, revision)
      } catch {
        await sleep(retryMs)
        continue
      }
      if (renewed !== undefined) {
        revision = renewed
        return
      }
      failure = new LeaseLostError(`Another worker may hold partition ${partition}.`, {
        remedy: 'Send again: whoever holds it now has what was kept.',
      })
      lost.resolve(failure)
    }
  }

  function start(): Promise<void> {
    const renewing = renew().finally(() => {
      if (running === renewing) running = undefined
    })
    running = renewing
    return renewing
  }

  /** A renewal that began before the call says nothing about the time after it: wait for the next. */
  async function confirm(): Promise<void> {
    if (failure !== undefined) throw failure
    const current = running
    if (current === undefined) return start()
    waiting ??= current
      .catch(() => undefined)
      .then(() => {
        waiting = undefined
        return running ?? start()
      })
    return waiting
  }

  const heartbeat = setInterval(() => {
    confirm().catch(() => undefined)
  }, leaseMs / 3)
  void lost.promise.then(() => {
    clearInterval(heartbeat)
  })

  return {
    epoch,
    confirm,
    lost: lost.promise,
    async release() {
      if (failure !== undefined) return
      clearInterval(heartbeat)
      // Before the broker is asked: a renewal that waits for one that is away has to end.
      failure = new LeaseLostError(`Partition ${partition} was given back.`)
      await running?.catch(() => undefined)
      await broker.release(partition, revision)
    },
  }
}
