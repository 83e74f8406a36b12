import { readFileSync } from 'node:fs'
import { readConfig } from './config.ts'
import { createPorts, startWorker } from './createWorker.ts'
import { explain, programLog as log } from './programLog.ts'

/**
 * `node enclave-worker/main.ts CONFIG.json`, or the path in `PLUMBLINE_WORKER_CONFIG`. Writes one
 * JSON object per line to standard output. Exit codes: 0 stopped, 1 failed, 2 bad configuration.
 */

function loadConfig(): ReturnType<typeof readConfig> {
  const path = process.argv[2] ?? process.env['PLUMBLINE_WORKER_CONFIG']
  if (path === undefined) {
    log('error', 'no configuration', { remedy: 'node enclave-worker/main.ts CONFIG.json' })
    return process.exit(2)
  }
  try {
    return readConfig(JSON.parse(readFileSync(path, 'utf8')) as unknown)
  } catch (error) {
    log('error', 'bad configuration', { path, ...explain(error) })
    return process.exit(2)
  }
}

const config = loadConfig()
try {
  // Loaded only where it is asked for: a worker that traces nothing carries none of it.
  const tracing =
    config.traces === undefined
      ? undefined
      : (await import('./adapters/openTelemetry.ts')).createOpenTelemetry(
          config.traces,
          config.stream,
        )
  const worker = await startWorker(config, { ...createPorts(config, log), tracer: tracing })
  const stop = (signal: string): void => {
    log('info', 'stopping', { signal })
    const stopped = worker.stop().then(() => tracing?.close())
    stopped.then(
      () => process.exit(0),
      (error: unknown) => {
        log('error', 'stopped badly', explain(error))
        process.exit(1)
      },
    )
  }
  process.once('SIGTERM', stop)
  process.once('SIGINT', stop)
  const failure = await worker.failed
  log('error', 'worker failed', explain(failure))
  process.exit(1)
} catch (error) {
  log('error', 'worker did not start', explain(error))
  process.exit(1)
}
