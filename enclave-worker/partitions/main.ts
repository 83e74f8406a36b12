import { readFileSync } from 'node:fs'
import { connectNats } from '../adapters/nats/natsBroker.ts'
import { createPorts } from '../createWorker.ts'
import { explain, programLog as log } from '../programLog.ts'
import { readFleet } from './fleetConfig.ts'
import { runFleet } from './runFleet.ts'

/**
 * `node enclave-worker/partitions/main.ts FLEET.json`: works partitions of a fleet together with
 * other hosts. One JSON object per line on standard output. Exit codes: 0 stopped, 1 failed, 2 bad
 * configuration.
 */

function loadFleet(): ReturnType<typeof readFleet> {
  const path = process.argv[2]
  if (path === undefined) {
    log('error', 'no configuration', {
      remedy: 'node enclave-worker/partitions/main.ts FLEET.json',
    })
    return process.exit(2)
  }
  try {
    return readFleet(JSON.parse(readFileSync(path, 'utf8')) as unknown)
  } catch (error) {
    log('error', 'bad configuration', { path, ...explain(error) })
    return process.exit(2)
  }
}

const fleet = loadFleet()
try {
  const broker = await connectNats(fleet, log)
  const running = runFleet(fleet, broker, createPorts, log)
  const stop = (signal: string): void => {
    log('info', 'stopping', { signal })
    running.stop().then(
      () => process.exit(0),
      (error: unknown) => {
        log('error', 'stopped badly', explain(error))
        process.exit(1)
      },
    )
  }
  process.once('SIGTERM', stop)
  process.once('SIGINT', stop)
  log('info', 'looking for partitions', { host: fleet.host, count: fleet.count })
} catch (error) {
  log('error', 'fleet did not start', explain(error))
  process.exit(1)
}
