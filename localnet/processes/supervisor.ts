import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, mkdirSync, openSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { BaseError } from '#schemas/errors.ts'

/** Raised when a local service cannot be started or does not become ready. */
export class ServiceFailedError extends BaseError {
  override readonly name = 'ServiceFailedError'
}

export type ServiceOptions = {
  readonly name: string
  readonly command: string
  readonly args: readonly string[]
  readonly environment?: Readonly<Record<string, string>>
  /** Working folder; default this process's own. */
  readonly folder?: string
  /** Answers once the service can be used; asked every few milliseconds. */
  readonly isReady: () => Promise<boolean>
  readonly readyTimeoutMs: number
  /** Whether the service is started again when it ends without having been told to. */
  readonly isRestarted: boolean
}

export type Service = {
  readonly name: string
  readonly pid: () => number | undefined
  readonly restarts: () => number
  readonly stop: () => Promise<void>
}

export type Supervisor = {
  readonly start: (options: ServiceOptions) => Promise<Service>
  readonly stopAll: () => Promise<void>
}

/** How long a service may take to end by itself before it is killed. */
const graceMs = 3_000

function isAlive(child: ChildProcess): boolean {
  return child.exitCode === null && child.signalCode === null
}

function tail(file: string, lines: number): string[] {
  return readFileSync(file, 'utf8').trim().split('\n').slice(-lines)
}

/**
 * Starts services in process groups of their own, restarts those that crash, and leaves none behind:
 * not on Ctrl-C, and, through the reaper, not even when this process is killed.
 *
 * @param logFolder - One log file per service.
 * @param onRestart - Told each time a service has to be started again.
 */
export function createSupervisor(
  logFolder: string,
  onRestart: (name: string, how: string) => void,
): Supervisor {
  mkdirSync(logFolder, { recursive: true })
  const reaper = spawn(
    process.execPath,
    [
      '--disable-warning=ExperimentalWarning',
      join(dirname(fileURLToPath(import.meta.url)), 'reaper.ts'),
    ],
    { stdio: ['pipe', 'ignore', 'ignore'], detached: true },
  )
  reaper.unref()
  const services: Service[] = []
  let isStopping = false

  async function start(options: ServiceOptions): Promise<Service> {
    const logFile = join(logFolder, `${options.name}.log`)
    let child: ChildProcess | undefined
    let restarts = 0
    let isWanted = true

    function launch(): ChildProcess {
      const log = openSync(logFile, 'a')
      const launched = spawn(options.command, options.args, {
        detached: true,
        stdio: ['ignore', log, log],
        env: { ...process.env, ...options.environment },
        ...(options.folder === undefined ? {} : { cwd: options.folder }),
      })
      closeSync(log)
      const { pid } = launched
      if (pid !== undefined) reaper.stdin.write(`+${pid}\n`)
      launched.on('exit', (code, signal) => {
        if (pid !== undefined) {
          endGroup(pid, 'SIGKILL')
          reaper.stdin.write(`-${pid}\n`)
        }
        if (!isWanted || isStopping || !options.isRestarted) return
        restarts += 1
        onRestart(options.name, signal ?? `exit code ${code}`)
        child = launch()
      })
      launched.on('error', () => {})
      return launched
    }

    child = launch()
    const deadline = performance.now() + options.readyTimeoutMs
    while (!(await options.isReady().catch(() => false))) {
      const hasEnded = !isAlive(child) && !options.isRestarted
      if (hasEnded || performance.now() > deadline || restarts > 3) {
        isWanted = false
        if (child.pid !== undefined) endGroup(child.pid, 'SIGKILL')
        throw new ServiceFailedError(
          hasEnded || restarts > 3
            ? `${options.name} ended before it was ready.`
            : `${options.name} was not ready within ${options.readyTimeoutMs} ms.`,
          {
            field: options.name,
            metaMessages: [`Log: ${logFile}`, ...tail(logFile, 12)],
            remedy: 'Read the log above; the last line usually says what is missing.',
          },
        )
      }
      await sleep(25)
    }
    const service: Service = {
      name: options.name,
      pid: () => child?.pid,
      restarts: () => restarts,
      stop: async () => {
        isWanted = false
        if (child?.pid === undefined || !isAlive(child)) return
        const ended = new Promise((resolve) => child?.once('exit', resolve))
        endGroup(child.pid, 'SIGTERM')
        await Promise.race([ended, sleep(graceMs, undefined, { ref: false })])
        if (isAlive(child)) {
          endGroup(child.pid, 'SIGKILL')
          await ended
        }
      },
    }
    services.push(service)
    return service
  }

  return {
    start,
    stopAll: async () => {
      isStopping = true
      // The last started lean on the first: they go first.
      for (const service of services.reverse()) await service.stop()
      reaper.stdin.end()
    },
  }
}

function endGroup(group: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-group, signal)
  } catch {
    // No process of the group is left.
  }
}
