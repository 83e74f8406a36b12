import type { Examination, ExaminationEvent } from './verifyThread.ts'

let thread: Worker | undefined
let lastId = 0
const listeners = new Map<number, (event: ExaminationEvent) => void>()

function start(): Worker {
  const started = new Worker('verify.js', { type: 'module' })
  started.addEventListener('message', ({ data }: MessageEvent<ExaminationEvent>) => {
    listeners.get(data.id)?.(data)
    if (data.kind !== 'check') listeners.delete(data.id)
  })
  started.addEventListener('error', () => {
    const all = [...listeners]
    listeners.clear()
    thread = undefined
    for (const [id, tell] of all) {
      tell({ id, kind: 'unreadable', message: 'The verifier ended unexpectedly.' })
    }
  })
  return started
}

/** Examines a bundle in this browser. @returns a way to stop listening. */
export function examine(
  what: Omit<Examination, 'id'>,
  onEvent: (event: ExaminationEvent) => void,
): () => void {
  lastId += 1
  const id = lastId
  listeners.set(id, onEvent)
  thread ??= start()
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a worker's has no such argument
  thread.postMessage({ ...what, id } satisfies Examination)
  return () => listeners.delete(id)
}
