import { type ChildProcess, spawn } from 'node:child_process'
import { createConnection } from 'node:net'

/** A broker as a process of its own. */
export type BrokerProcess = { start(): Promise<void>; kill9(): Promise<void> }

async function isListening(port: number): Promise<boolean> {
  const open = Promise.withResolvers<boolean>()
  const socket = createConnection({ port, host: '127.0.0.1' })
  socket.once('connect', () => {
    open.resolve(true)
  })
  socket.once('error', () => {
    open.resolve(false)
  })
  const answer = await open.promise
  socket.destroy()
  return answer
}

export function brokerProcess(
  program: string,
  args: readonly string[],
  port: number,
): BrokerProcess {
  let child: ChildProcess | undefined
  return {
    async start() {
      child = spawn(program, args, { stdio: 'ignore' })
      const deadline = Date.now() + 60_000
      while (!(await isListening(port))) {
        if (Date.now() > deadline) throw new Error(`${program} does not listen`)
        await new Promise((resolve) => setTimeout(resolve, 50))
      }
    },
    async kill9() {
      const running = child
      if (running === undefined || running.exitCode !== null) return
      const ended = Promise.withResolvers<void>()
      running.once('exit', () => {
        ended.resolve()
      })
      running.kill('SIGKILL')
      await ended.promise
    },
  }
}
