import type { Alarm, Now } from '../../ports.ts'

/** The longest delay that a Node timer takes; beyond it would fire at once. */
const longestTimerMs = 2_147_483_647

export type NodeAlarm = Alarm & {
  /** Starts ringing; before that, alarms are only noted. */
  start(ring: () => Promise<void>): void
  /** No ring begins any more; resolves when the one under way is over. */
  stop(): Promise<void>
}

/**
 * One alarm on a timer. It does not outlive the process: whoever starts the relayer rings every feed
 * and lane once, which is what a stored alarm would do.
 */
export function createNodeAlarm(now: Now): NodeAlarm {
  let timer: NodeJS.Timeout | undefined
  let dueMs: number | undefined
  let ring: (() => Promise<void>) | undefined
  let ringing: Promise<void> = Promise.resolve()
  let isStopped = false

  function arm(): void {
    clearTimeout(timer)
    if (dueMs === undefined || ring === undefined || isStopped) return
    timer = setTimeout(go, Math.min(longestTimerMs, Math.max(0, dueMs - now())))
  }

  function go(): void {
    if (dueMs === undefined || ring === undefined || isStopped) return
    if (dueMs > now()) {
      arm()
      return
    }
    dueMs = undefined
    ringing = ring().catch(() => undefined)
  }

  return {
    set(atMs) {
      dueMs = atMs
      arm()
      return Promise.resolve()
    },
    start(given) {
      ring = given
      arm()
    },
    async stop() {
      isStopped = true
      clearTimeout(timer)
      await ringing
    },
  }
}
