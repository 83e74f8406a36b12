import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { chownSync, mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Queue, Worker } from 'bullmq'
import { Redis } from 'ioredis'
import { JsonRpcProvider, Network, NonceManager, Wallet } from 'ethers'
import { PgBoss } from 'pg-boss'
import { createNonceManager, createPublicClient, createWalletClient, defineChain, http } from 'viem'
import { privateKeyToAccount } from 'viem/accounts'
import { jsonRpc } from 'viem/nonce'
import type { Hex } from '#schemas/bytes.ts'

/** What a contestant is given: one chain behind a fault proxy, and a key of its own. */
export type Arena = { readonly rpcUrl: string; readonly chainId: number; readonly key: Hex }
export type Call = { readonly to: Hex; readonly data: Hex }

export type Contestant = {
  readonly name: string
  /** How it is built, for the table. */
  readonly how: string
  start(arena: Arena): Promise<{ submit(call: Call): Promise<void>; stop(): Promise<void> }>
}

/** Sends one call and resolves when it is mined with success. */
type Send = (call: Call) => Promise<void>

export const inFlight = 32
const attempts = 5
const receiptTimeoutMs = 20_000

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, milliseconds)
  })
}

function viemSender({ rpcUrl, chainId, key }: Arena): Send {
  const chain = defineChain({
    id: chainId,
    name: `chain ${chainId}`,
    nativeCurrency: { name: 'Ether', symbol: 'ETH', decimals: 18 },
    rpcUrls: { default: { http: [rpcUrl] } },
  })
  // viem's own three retries of a request stay as they are.
  const transport = http(rpcUrl)
  const nonceManager = createNonceManager({ source: jsonRpc() })
  const account = privateKeyToAccount(key, { nonceManager })
  const wallet = createWalletClient({ account, chain, transport })
  const reader = createPublicClient({ chain, transport, pollingInterval: 250 })
  return async (call) => {
    const hash = await wallet.sendTransaction(call)
    const { status } = await reader.waitForTransactionReceipt({ hash, timeout: receiptTimeoutMs })
    if (status !== 'success') throw new Error('reverted')
  }
}

function ethersSender({ rpcUrl, chainId, key }: Arena): { send: Send; stop(): void } {
  const network = Network.from(chainId)
  const provider = new JsonRpcProvider(rpcUrl, network, {
    staticNetwork: network,
    pollingInterval: 250,
  })
  const signer = new NonceManager(new Wallet(key, provider))
  return {
    async send(call) {
      const response = await signer.sendTransaction(call)
      const receipt = await response.wait(1, receiptTimeoutMs)
      if (receipt?.status !== 1) throw new Error('reverted')
    },
    stop() {
      provider.destroy()
    },
  }
}

/** A queue in memory: so many at a time, five attempts each, a second and more apart. */
function inMemory(send: Send): { submit(call: Call): Promise<void>; stop(): Promise<void> } {
  const waiting: Call[] = []
  const over = new AbortController()
  let running = 0
  async function carry(call: Call): Promise<void> {
    for (let attempt = 1; attempt <= attempts && !over.signal.aborted; attempt += 1) {
      try {
        await send(call)
        return
      } catch {
        await pause(1_000 * 2 ** (attempt - 1))
      }
    }
  }
  function pump(): void {
    for (let call = waiting[0]; call !== undefined && running < inFlight; call = waiting[0]) {
      waiting.shift()
      running += 1
      void carry(call).finally(() => {
        running -= 1
        if (!over.signal.aborted) pump()
      })
    }
  }
  return {
    submit(call) {
      waiting.push(call)
      pump()
      return Promise.resolve()
    },
    stop() {
      over.abort()
      return Promise.resolve()
    },
  }
}

/** The user that Debian's package makes. */
function postgresIds(): { readonly uid: number; readonly gid: number } {
  const [uid = 0, gid = 0] = ['-u', '-g'].map((flag) =>
    Number(execFileSync('id', [flag, 'postgres'], { encoding: 'utf8' })),
  )
  return { uid, gid }
}

async function freePort(): Promise<number> {
  const server = createServer()
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => {
        resolve(typeof address === 'object' && address !== null ? address.port : 0)
      })
    })
  })
}

async function endOf(child: ChildProcess): Promise<void> {
  const exited = new Promise<void>((resolve) => {
    child.once('exit', () => {
      resolve()
    })
  })
  child.kill('SIGINT')
  await Promise.race([exited, pause(3_000)])
  child.kill('SIGKILL')
}

async function untilWorks(work: () => Promise<unknown>): Promise<void> {
  const deadline = Date.now() + 30_000
  for (;;) {
    try {
      await work()
      return
    } catch (cause) {
      if (Date.now() > deadline) throw cause
      await pause(200)
    }
  }
}

const bullMq: Contestant = {
  name: 'BullMQ 6.7 + Redis 7 + viem (stand-in)',
  how: 'appendonly Redis; 5 attempts with exponential back-off; viem nonceManager',
  async start(arena) {
    const folder = mkdtempSync(join(tmpdir(), 'redis-'))
    const port = await freePort()
    const redis = spawn(
      'redis-server',
      ['--port', String(port), '--bind', '127.0.0.1', '--dir', folder, '--appendonly', 'yes'],
      { stdio: 'ignore' },
    )
    // One connection that blocks and one that does not, as BullMQ wants it.
    const connect = (): Redis => {
      const client = new Redis({ host: '127.0.0.1', port, maxRetriesPerRequest: null })
      // Redis may not be listening yet; an unheard error would end this process.
      client.on('error', () => undefined)
      return client
    }
    const [connection, blocking] = [connect(), connect()]
    const send = viemSender(arena)
    const queue = new Queue<Call>('settlements', { connection })
    queue.on('error', () => undefined)
    await untilWorks(() => queue.waitUntilReady())
    const worker = new Worker<Call>('settlements', ({ data }) => send(data), {
      connection: blocking,
      concurrency: inFlight,
    })
    worker.on('error', () => undefined)
    return {
      async submit(call) {
        const backoff = { type: 'exponential', delay: 1_000 }
        await queue.add('settle', call, { attempts, backoff })
      },
      async stop() {
        await worker.close(true)
        await queue.close()
        connection.disconnect()
        blocking.disconnect()
        await endOf(redis)
        rmSync(folder, { recursive: true, force: true })
      },
    }
  },
}

const pgBoss: Contestant = {
  name: 'pg-boss 12.38 + Postgres 15 + viem (stand-in)',
  how: '5 attempts with exponential back-off; viem nonceManager',
  async start(arena) {
    const folder = mkdtempSync(join(tmpdir(), 'postgres-'))
    const port = await freePort()
    const bin = '/usr/lib/postgresql/15/bin'
    // Postgres refuses to run as root; Debian's package brings this user.
    const user = process.getuid?.() === 0 ? postgresIds() : undefined
    if (user !== undefined) chownSync(folder, user.uid, user.gid)
    const data = join(folder, 'data')
    await new Promise<void>((resolve, reject) => {
      spawn(join(bin, 'initdb'), ['-D', data, '-A', 'trust', '-U', 'boss'], {
        stdio: 'ignore',
        cwd: folder,
        ...user,
      }).once('exit', (code) => {
        if (code === 0) resolve()
        else reject(new Error(`initdb ended with ${code}`))
      })
    })
    const postgres = spawn(
      join(bin, 'postgres'),
      ['-D', data, '-p', String(port), '-h', '127.0.0.1', '-k', folder],
      { stdio: 'ignore', cwd: folder, ...user },
    )
    const boss = new PgBoss(`postgres://boss@127.0.0.1:${port}/postgres`)
    boss.on('error', () => undefined)
    await untilWorks(() => boss.start())
    await boss.createQueue('settlements', {
      retryLimit: attempts - 1,
      retryDelay: 1,
      retryBackoff: true,
    })
    const send = viemSender(arena)
    const options = { localConcurrency: inFlight, pollingIntervalSeconds: 0.5 }
    await boss.work<Call>('settlements', options, async (jobs) => {
      for (const { data: call } of jobs) await send(call)
    })
    return {
      async submit(call) {
        await boss.send('settlements', call)
      },
      async stop() {
        await boss.stop({ graceful: false })
        await endOf(postgres)
        rmSync(folder, { recursive: true, force: true })
      },
    }
  },
}

/** Everybody but ourselves: libraries as they are documented, and two stand-ins for queue services. */
export const contestants: Readonly<Record<string, Contestant>> = {
  viem: {
    name: 'viem 2.57 nonceManager',
    how: 'queue in memory; 5 attempts',
    start: (arena) => Promise.resolve(inMemory(viemSender(arena))),
  },
  ethers: {
    name: 'ethers 6.17 NonceManager',
    how: 'queue in memory; 5 attempts',
    start(arena) {
      const ethersAccount = ethersSender(arena)
      const queue = inMemory((call) => ethersAccount.send(call))
      return Promise.resolve({
        ...queue,
        async stop() {
          await queue.stop()
          ethersAccount.stop()
        },
      })
    },
  },
  bullmq: bullMq,
  pgboss: pgBoss,
}
