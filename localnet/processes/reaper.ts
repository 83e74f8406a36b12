/**
 * Ends what its parent left behind. The parent writes one process-group id per line; when its end of
 * the pipe closes (it stopped, crashed or was killed with SIGKILL), every group still named is killed.
 */
import { createInterface } from 'node:readline'

const groups = new Set<number>()

// Ctrl-C reaches the whole foreground group; this process must outlive its parent to be of use.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {})

const lines = createInterface({ input: process.stdin })
lines.on('line', (line) => {
  const match = /^([+-])(\d+)$/.exec(line)
  if (match === null) return
  const group = Number(match[2])
  if (match[1] === '+') groups.add(group)
  else groups.delete(group)
})
lines.on('close', () => {
  for (const group of groups) {
    try {
      process.kill(-group, 'SIGKILL')
    } catch {
      // Gone already: what was wanted.
    }
  }
  process.exit(0)
})
