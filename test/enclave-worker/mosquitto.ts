import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type BrokerProcess, brokerProcess } from './broker.ts'
import { freePort } from './rig.ts'

/** A real broker that keeps its sessions on disk, in the clear and under TLS. */
export type Broker = BrokerProcess & {
  readonly url: string
  readonly tlsUrl: string
  /** PEM that a client has to trust for `tlsUrl`. */
  readonly caFile: string
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
  return {
    url: `mqtt://127.0.0.1:${port}`,
    tlsUrl: `mqtts://localhost:${tlsPort}`,
    caFile,
    ...brokerProcess(program, ['-c', configFile], port),
  }
}
