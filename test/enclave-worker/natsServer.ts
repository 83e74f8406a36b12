import { type BrokerProcess, brokerProcess } from './broker.ts'
import { freePort } from './rig.ts'

/** A real NATS server with JetStream on disk. */
export type NatsServer = BrokerProcess & { readonly url: string }

export async function createNatsServer(program: string, folder: string): Promise<NatsServer> {
  const port = await freePort()
  const args = ['-a', '127.0.0.1', '-p', String(port), '-js', '-sd', folder]
  return { url: `nats://127.0.0.1:${port}`, ...brokerProcess(program, args, port) }
}
