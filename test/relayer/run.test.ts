import { type ChildProcess, spawn } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type Rehearsal, rehearse, senderKey, statusOf, until } from './support/rehearsal.ts'
import { testReport } from './support/testStream.ts'

const main = new URL('../../cli/main.ts', import.meta.url).pathname

let rehearsal: Rehearsal
let child: ChildProcess | undefined

beforeEach(async () => {
  rehearsal = await rehearse({ chainIds: [31_347] })
  writeFileSync(join(rehearsal.dataFolder, 'my-plan.json'), JSON.stringify(rehearsal.plan()))
})

afterEach(async () => {
  child?.kill('SIGKILL')
  await rehearsal.stop()
})

function run(
  engine: string,
  environment: NodeJS.ProcessEnv,
  {
    data = 'state',
    port = String(free()),
  }: { readonly data?: string; readonly port?: string } = {},
): { child: ChildProcess; text: () => string } {
  const plan = join(rehearsal.dataFolder, 'my-plan.json')
  const folder = join(rehearsal.dataFolder, data)
  const args = ['--plan', plan, '--data', folder, '--port', port, '--engine', engine]
  const started = spawn(process.execPath, [main, 'relay', 'run', ...args], {
    env: { PATH: process.env['PATH'], ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let text = ''
  const take = (chunk: Buffer): void => {
    text += chunk.toString()
  }
  started.stdout.on('data', take)
  started.stderr.on('data', take)
  child = started
  return { child: started, text: () => text }
}

// Outside the range that kernels hand out by themselves.
const free = (): number => 20_000 + Math.floor(Math.random() * 10_000)

/** Where it says that it listens. */
function urlOf(running: { readonly text: () => string }): Promise<string> {
  return until(
    () => Promise.resolve(/http:\/\/127\.0\.0\.1:\d+/.exec(running.text())?.[0] ?? ''),
    (found) => found !== '',
  )
}

describe.each(['workerd', 'node'])('plumbline relay run --engine %s', (engine) => {
  it('relays until it is interrupted, and leaves nothing behind', async () => {
    const running = run(engine, { SENDER_KEY: senderKey })
    const url = await urlOf(running)
    rehearsal.worker.close([testReport(0, 1)])
    await until(
      () => statusOf(url),
      ({ lanes }) => lanes[0]?.counts.final === 3,
    )
    const ended = new Promise<number | null>((resolve) => {
      running.child.once('exit', resolve)
    })
    running.child.kill('SIGINT')
    expect(await ended).toBe(0)
    await expect(fetch(`${url}/healthz`)).rejects.toThrow('fetch failed')
  })

  it('on a data folder that is a file, and on a port that is taken, it says what is wrong and what helps', async () => {
    const ended = async (given: Parameters<typeof run>[2]): Promise<string> => {
      const running = run(engine, { SENDER_KEY: senderKey }, given)
      const code = await new Promise<number | null>((resolve) => {
        running.child.once('exit', resolve)
      })
      expect(code).toBe(3)
      return running.text()
    }
    const onFile = await ended({ data: 'my-plan.json' })
    expect(onFile).toContain('The data folder cannot be made.')
    expect(onFile).toContain('Remedy: Name a folder')
    const onPort = await ended({ port: new URL(rehearsal.worker.url).port })
    expect(onPort).toMatch(/address already in use/i)
    expect(onPort).toContain('Remedy: See whether the port is free')
  })

  it('without a key it says which one is missing', async () => {
    const running = run(engine, {})
    const code = await new Promise<number | null>((resolve) => {
      running.child.once('exit', resolve)
    })
    expect(code).toBe(3)
    expect(running.text()).toContain('There is no sender key for chain 31347.')
  })
})

// workerd has no eye for whoever started it; a supervisor ends its whole group.
describe('plumbline relay run --engine node that is killed', () => {
  it('takes its engine with it: with another one started in its place, two would share the nonces', async () => {
    const running = run('node', { SENDER_KEY: senderKey })
    const url = await urlOf(running)
    running.child.kill('SIGKILL')
    const isGone = (): Promise<boolean> =>
      fetch(`${url}/healthz`).then(
        () => false,
        () => true,
      )
    expect(await until(isGone, (gone) => gone)).toBe(true)
  })
})
