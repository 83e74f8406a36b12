import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { createConnection } from 'node:net'
import { join } from 'node:path'
import { freePort } from './rig.ts'

/** A real broker that keeps its sessions on disk, in the clear and under TLS. */
export type Broker = {
  readonly url: string
  readonly tlsUrl: string
  /** PEM that a client has to trust for `tlsUrl`. */
  readonly caFile: string
  start(): Promise<void>
  kill9(): Promise<void>
}

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

export async function createBroker(program: string, folder: string): Promise<Broker> {
  const port = await freePort()
  const tlsPort = await freePort()
  const caFile = join(folder, 'broker.pem')
  const keyFile = join(folder, 'broker.key')
  execFileSync(
    'openssl',
    ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2']
      .concat(['-keyout', keyFile, '-out', caFile, '-subj', '/CN=localhost'])
      .concat(['-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1']),
    { stdio: 'ignore' },
  )
  const passwords = join(folder, 'passwords')
  writeFileSync(passwords, '')
  const configFile = join(folder, 'mosquitto.conf')
  writeFileSync(
    configFile,
    `per_listener_settings true
user root
persistence true
persistence_location ${folder}/
autosave_interval 1
autosave_on_changes true
max_queued_messages 100000
listener ${port} 127.0.0.1
allow_anonymous true
listener ${tlsPort} 127.0.0.1
allow_anonymous true
certfile ${caFile}
keyfile ${keyFile}
`,
  )
  let child: ChildProcess | undefined
  return {
    url: `mqtt://127.0.0.1:${port}`,
    tlsUrl: `mqtts://localhost:${tlsPort}`,
    caFile,
    async start() {
      child = spawn(program, ['-c', configFile], { stdio: 'ignore' })
      const deadline = Date.now() + 60_000
      while (!(await isListening(port))) {
        if (Date.now() > deadline) throw new Error('mosquitto does not listen')
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
