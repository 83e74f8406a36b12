import { spawn } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { decodePlan } from '../plan/plan.ts'
import { bundleRelayer } from './bundle.ts'
import {
  type RunningRelayer,
  collectOutput,
  delay,
  end,
  exitOf,
  notStarted,
  openFolder,
  runningRelayer,
} from './engineProcess.ts'
import { type RelayerOptions, engineEnvironment } from './startRelayer.ts'

const startTimeoutMs = 20_000
const repositoryRoot = dirname(dirname(dirname(fileURLToPath(import.meta.url))))

/**
 * Starts the Node adapter in a process of its own, bundled: from the sources, Node would look for,
 * read and strip several hundred files at each start. What it compiled stays in the data folder.
 *
 * @throws {@link InvalidPlanError} | {@link RelayerBundleError} | {@link RelayerStartError}
 */
export async function startNodeProcess(options: RelayerOptions): Promise<RunningRelayer> {
  decodePlan(options.plan)
  const bundle = await bundleRelayer(repositoryRoot, 'node')
  const folder = openFolder(options.dataFolder)
  const planFile = join(folder, 'plan.json')
  writeFileSync(planFile, JSON.stringify(options.plan), { mode: 0o600 })
  const main = join(bundle.folder, bundle.modules[0]?.name ?? '')
  const child = spawn(process.execPath, [main, planFile, folder, String(options.port)], {
    cwd: folder,
    env: { ...engineEnvironment(options), NODE_COMPILE_CACHE: join(folder, 'compiled') },
    // The channel carries nothing: its end tells the engine that whoever started it is gone.
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  })
  const exited = exitOf(child)
  const output = collectOutput(child, options.onLog)
  try {
    const announced = new Promise<string>((settle) => {
      let text = ''
      child.stdout?.on('data', (chunk: Buffer) => {
        text += chunk.toString()
        const url = /"url":"(http:[^"]+)"/.exec(text)?.[1]
        if (url !== undefined) settle(url)
      })
    })
    const url = await Promise.race([
      announced,
      exited.then(() => undefined),
      delay(startTimeoutMs).then(() => undefined),
    ])
    if (url === undefined) throw notStarted('The Node process does not listen.', output)
    return runningRelayer(url, child, exited, output)
  } catch (cause) {
    await end(child, exited, 'SIGKILL')
    throw cause
  }
}
