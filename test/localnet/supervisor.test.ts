import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { PortTakenError, assertPortFree } from '#localnet/processes/ports.ts'
import { ServiceFailedError, createSupervisor } from '#localnet/processes/supervisor.ts'
import { root } from '#tools/paths.ts'

let folder: string

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'plumbline-supervisor-'))
})

afterEach(() => {
  rmSync(folder, { recursive: true, force: true })
})

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

async function until(condition: () => boolean): Promise<void> {
  const deadline = performance.now() + 10_000
  while (!condition()) {
    if (performance.now() > deadline) throw new Error('The condition did not come true in 10 s.')
    await sleep(20)
  }
}

const forever = { command: process.execPath, args: ['-e', 'setInterval(() => {}, 1000)'] }

describe('supervisor', () => {
  it('starts a killed service again and says so', async () => {
    const restarted: string[] = []
    const supervisor = createSupervisor(folder, (name, how) => restarted.push(`${name}: ${how}`))
    const service = await supervisor.start({
      ...forever,
      name: 'worker',
      isReady: async () => true,
      readyTimeoutMs: 5_000,
      isRestarted: true,
    })
    const first = service.pid() ?? 0
    process.kill(first, 'SIGKILL')
    await until(() => service.restarts() === 1 && service.pid() !== first)
    expect(restarted).toStrictEqual(['worker: SIGKILL'])
    expect(isRunning(service.pid() ?? 0)).toBe(true)
    const second = service.pid() ?? 0
    await supervisor.stopAll()
    expect(isRunning(second)).toBe(false)
  })

  it('names the service, its log and its last words when it ends before it is ready', async () => {
    const supervisor = createSupervisor(folder, () => {})
    await expect(
      supervisor.start({
        name: 'broken',
        command: process.execPath,
        args: ['-e', 'console.error("the disk is full"); process.exit(3)'],
        isReady: async () => false,
        readyTimeoutMs: 5_000,
        isRestarted: false,
      }),
    ).rejects.toSatisfy(
      (error) => error instanceof ServiceFailedError && /the disk is full/.test(error.message),
    )
    await supervisor.stopAll()
  })

  it('leaves nothing behind even when it is killed itself', async () => {
    const pidFile = join(folder, 'child.pid')
    const script = join(folder, 'parent.ts')
    writeFileSync(
      script,
      `import { writeFileSync } from 'node:fs'
       import { createSupervisor } from '${join(root, 'localnet/processes/supervisor.ts')}'
       const supervisor = createSupervisor('${folder}', () => {})
       const service = await supervisor.start({
         name: 'child', command: process.execPath, args: ['-e', 'setInterval(() => {}, 1000)'],
         isReady: async () => true, readyTimeoutMs: 5000, isRestarted: true })
       writeFileSync('${pidFile}', String(service.pid()))
       setInterval(() => {}, 1000)`,
    )
    const parent = spawn(process.execPath, [script], { stdio: 'ignore', cwd: root })
    const childPid = (): number => {
      try {
        return Number(readFileSync(pidFile, 'utf8'))
      } catch {
        return 0
      }
    }
    await until(() => childPid() > 0)
    expect(isRunning(childPid())).toBe(true)
    parent.kill('SIGKILL')
    await until(() => !isRunning(childPid()))
    expect(isRunning(childPid())).toBe(false)
  })
})

describe('ports', () => {
  it('a taken port is named, with what needs it and what to do', async () => {
    const server = createServer()
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as AddressInfo
    const refusal = await assertPortFree(port, 'the relayer').catch((error: unknown) => error)
    server.close()
    expect(refusal).toBeInstanceOf(PortTakenError)
    expect((refusal as Error).message.replaceAll(String(port), 'PORT')).toMatchInlineSnapshot(`
      "Port PORT on 127.0.0.1 is taken; the relayer needs it.
      Field: port PORT
      Remedy: Stop what listens there (another \`npm start\`?), or choose other ports: \`npm start -- --port-base 9540\`."
    `)
    await expect(assertPortFree(0, 'anything')).resolves.toBeUndefined()
  })
})
