import type { ChildProcess } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { BaseError } from '#schemas/errors.ts'

/** What starting and ending an engine's process has in common, whichever it is. */

export type RunningRelayer = {
  readonly url: string
  readonly pid: number
  /** The last lines that the engine printed. */
  log(): readonly string[]
  /** Resolves when the process has ended, for whatever reason. */
  readonly exited: Promise<number | undefined>
  stop(): Promise<void>
  /** SIGKILL, as a crash would. */
  kill9(): Promise<void>
}

/** Raised when the local engine does not come up. */
export class RelayerStartError extends BaseError {
  override readonly name = 'RelayerStartError'
}

const stopTimeoutMs = 5_000

/**
 * The data folder, made where it is not there yet.
 *
 * @param inside - A folder that is wanted in it.
 * @throws {@link RelayerStartError}
 */
export function openFolder(dataFolder: string, inside = ''): string {
  const folder = resolve(dataFolder)
  try {
    mkdirSync(join(folder, inside), { recursive: true })
  } catch (cause) {
    throw new RelayerStartError('The data folder cannot be made.', {
      field: 'dataFolder',
      metaMessages: [`Folder: ${folder}`, `Problem: ${String(cause)}`],
      remedy: 'Name a folder that this user may write to; what lies at its place must be a folder.',
      cause,
    })
  }
  return folder
}

/** Resolves when the process has ended, for whatever reason. */
export function exitOf(child: ChildProcess): Promise<number | undefined> {
  return new Promise((settle) => {
    child.once('exit', (code) => {
      settle(code ?? undefined)
    })
    child.once('error', () => {
      settle(undefined)
    })
  })
}

export function collectOutput(
  child: ChildProcess,
  onLog: ((line: string) => void) | undefined,
): () => readonly string[] {
  const last: string[] = []
  const take = (chunk: Buffer): void => {
    for (const line of chunk.toString().split('\n')) {
      if (line.trim() === '') continue
      last.push(line)
      if (last.length > 20) last.shift()
      onLog?.(line)
    }
  }
  child.stdout?.on('data', take)
  child.stderr?.on('data', take)
  return () => last
}

export function notStarted(message: string, output: () => readonly string[]): RelayerStartError {
  return new RelayerStartError(message, {
    metaMessages: output(),
    remedy: 'See whether the port is free and the data folder can be written.',
  })
}

export function delay(milliseconds: number): Promise<void> {
  return new Promise((settle) => {
    setTimeout(settle, milliseconds).unref()
  })
}

/** An engine that answers, as whoever started it sees it. */
export function runningRelayer(
  url: string,
  child: ChildProcess,
  exited: Promise<number | undefined>,
  log: () => readonly string[],
): RunningRelayer {
  return {
    url,
    pid: child.pid ?? 0,
    log,
    exited,
    stop: () => end(child, exited, 'SIGTERM'),
    kill9: () => end(child, exited, 'SIGKILL'),
  }
}

export async function end(
  child: ChildProcess,
  exited: Promise<unknown>,
  signal: 'SIGTERM' | 'SIGKILL',
): Promise<void> {
  child.kill(signal)
  const isOver = await Promise.race([
    exited.then(() => true),
    delay(stopTimeoutMs).then(() => false),
  ])
  if (isOver) return
  child.kill('SIGKILL')
  await exited
}
