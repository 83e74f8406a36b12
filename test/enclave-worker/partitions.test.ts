import { type ChildProcess, spawn } from 'node:child_process'
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { jetstream } from '@nats-io/jetstream'
import { type NatsConnection, connect } from '@nats-io/transport-node'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { describeProgram } from '#test/shared.ts'
import { streamId } from '#schemas/batch.ts'
import { toHex } from '#schemas/bytes.ts'
import { decodePack } from '#schemas/pack/decodePack.ts'
import { coseKeyBytes } from '#schemas/pack/deviceKey.ts'
import { subjectId, zeroHash } from '#schemas/report.ts'
import { createWorkerClient } from '#schemas/workerClient.ts'
import { connectNats } from '#worker/adapters/nats/natsBroker.ts'
import { natsPackSubject, natsReceiptSubject } from '#worker/adapters/nats/natsDoor.ts'
import { EpochError, listEpochs, openEpoch } from '#worker/partitions/epochs.ts'
import { LeaseLostError } from '#worker/partitions/fence.ts'
import { partitionStream, readFleet, readPartition } from '#worker/partitions/fleetConfig.ts'
import { takeLease } from '#worker/partitions/lease.ts'
import { partitionOf } from '#worker/partitions/partitionOf.ts'
import { type DoorDevice, createDoorDevice } from './doorDevice.ts'
import { type NatsServer, createNatsServer } from './natsServer.ts'
import { type Rig, eventually, postPacks, startRig, testConfig } from './rig.ts'

const count = 2
/** Long enough for a busy machine to keep what it holds. */
const leaseMs = 4000

/** A subject that belongs to a partition. */
function subjectIn(index: number): string {
  for (let number = 0; ; number += 1) {
    const name = `plant ${number}`
    if (partitionOf(subjectId(name), count) === index) return name
  }
}

describe('which partition a subject belongs to', () => {
  it('is told by its id alone, and spreads subjects evenly', () => {
    const counts = [0, 0, 0, 0]
    for (let number = 0; number < 4000; number += 1) {
      const index = partitionOf(subjectId(`subject ${number}`), 4)
      counts[index] = (counts[index] ?? 0) + 1
    }
    for (const found of counts) expect(found).toBeGreaterThan(900)
    // Pinned: a fleet whose devices were told their streams cannot move them.
    expect(partitionOf(subjectId('plant'), 7)).toMatchInlineSnapshot(`2`)
  })
})

describe('the folder of a holding', () => {
  let rig: Rig
  beforeAll(async () => {
    rig = await startRig()
  })
  afterAll(() => rig.stop())

  it('is a copy of the one before; what a frozen holder still writes is not in it', async () => {
    const folder = rig.folder()
    const first = await openEpoch(folder, 3n)
    mkdirSync(join(first, 'ledger'))
    writeFileSync(join(first, 'ledger', 'a'), 'one')
    const second = await openEpoch(folder, 9n)
    writeFileSync(join(first, 'ledger', 'a'), 'two')
    expect(readFileSync(join(second, 'ledger', 'a'), 'utf8')).toBe('one')
    await openEpoch(folder, 12n)
    expect(await listEpochs(folder)).toStrictEqual([9n, 12n])
  })

  it('is refused to a lease that is older than what is there', async () => {
    const folder = rig.folder()
    await openEpoch(folder, 9n)
    await expect(openEpoch(folder, 9n)).rejects.toThrow(EpochError)
    await expect(openEpoch(folder, 8n)).rejects.toThrow(EpochError)
  })

  it('is begun anew where a copy was cut short', async () => {
    const folder = rig.folder()
    mkdirSync(join(folder, 'partial-5', 'ledger'), { recursive: true })
    writeFileSync(join(folder, 'partial-5', 'torn'), '')
    expect(readdirSync(await openEpoch(folder, 5n))).toStrictEqual([])
  })
})

describeProgram('a fleet over NATS JetStream', 'nats-server', (program) => {
  let rig: Rig
  let nats: NatsServer
  let connection: NatsConnection
  let shared: string
  const hosts: Host[] = []
  const devices: DoorDevice[] = []
  const receipted = new Set<string>()

  type Host = {
    readonly child: ChildProcess
    readonly lines: Record<string, unknown>[]
    readonly exited: Promise<void>
  }

  function fleetOf(host: string, maxPartitions: number): Record<string, unknown> {
    const worker = testConfig(rig, '', [], {
      stream: 'fleet',
      maxBatchIntervalMs: 300,
      publishesReadings: true,
      devices: devices.map(({ signer }, index) => ({
        publicKey: toHex(coseKeyBytes(signer.key)),
        algorithm: 'ES256',
        subject: subjectIn(index),
        tier: 'hardware',
        intervalMs: 1000,
      })),
    })
    return {
      version: 1,
      host,
      broker: { servers: [nats.url], leaseMs },
      count,
      maxPartitions,
      folder: shared,
      worker: { ...worker, dataFolder: undefined },
    }
  }

  async function startHost(host: string, maxPartitions: number): Promise<Host> {
    const path = join(rig.folder(), `${host}.json`)
    writeFileSync(path, JSON.stringify(fleetOf(host, maxPartitions)))
    const child = spawn(process.execPath, ['enclave-worker/partitions/main.ts', path], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const lines: Record<string, unknown>[] = []
    let rest = ''
    child.stdout.on('data', (chunk: Buffer) => {
      const parts = (rest + chunk.toString()).split('\n')
      rest = parts.pop() ?? ''
      for (const part of parts) lines.push(JSON.parse(part) as Record<string, unknown>)
    })
    const exited = Promise.withResolvers<void>()
    child.once('exit', () => {
      exited.resolve()
    })
    const started = { child, lines, exited: exited.promise }
    hosts.push(started)
    await takenBy(started, 1)
    return started
  }

  /** The partitions that a host has taken in its life, with where they are served. */
  async function takenBy(host: Host, least: number): Promise<{ partition: string; url: string }[]> {
    const lines = await eventually(
      () => Promise.resolve(host.lines.filter(({ event }) => event === 'partition taken')),
      ({ length }) => length >= least,
      90_000,
    )
    return lines.map((line) => ({ partition: String(line['partition']), url: String(line['url']) }))
  }

  const streamOf = (index: number) => streamId(partitionStream('fleet', index))
  const deviceOf = (index: number): DoorDevice => {
    const device = devices[index]
    if (device === undefined) throw new Error('unreachable')
    return device
  }
  async function publish(index: number, packs: number): Promise<string[]> {
    const hashes: string[] = []
    for (let number = 0; number < packs; number += 1) {
      const bytes = deviceOf(index).cose(Date.now())
      const { packHash } = decodePack(bytes)
      hashes.push(packHash)
      // Until the broker has it; the name of the message keeps it from being there twice.
      await eventually(
        () =>
          jetstream(connection)
            .publish(natsPackSubject(streamOf(index), 'gateway'), bytes, { msgID: packHash })
            .catch(() => undefined),
        (ack) => ack !== undefined,
        60_000,
      )
    }
    return hashes
  }
  const allReceipted = (hashes: readonly string[]): Promise<unknown> =>
    eventually(
      () => Promise.resolve(receipted),
      (known) => hashes.every((hash) => known.has(hash)),
      90_000,
    )

  /** Reads a stream from its first batch on: the chain, and which packs each batch holds. */
  async function readChain(url: string, index: number) {
    const client = createWorkerClient({ url, fetch: (address, init) => fetch(address, init) })
    const device = deviceOf(index)
    const { batches } = await client.batches(0n, 100)
    const ranges: [bigint, bigint][] = []
    for (const { batch } of batches) {
      const { entry } = await client.rosterPlace(batch.sequence, device.id)
      if (entry.packsRoot !== zeroHash) ranges.push([entry.firstSequence, entry.lastSequence])
    }
    return { batches, ranges, packs: await client.packs(device.id) }
  }

  function assertWhole(chain: Awaited<ReturnType<typeof readChain>>, last: bigint): void {
    expect(chain.batches.map(({ batch }) => [batch.sequence, batch.previous])).toStrictEqual(
      chain.batches.map((_, at) => [BigInt(at + 1), chain.batches[at - 1]?.digest ?? zeroHash]),
    )
    // One range begins where the one before ended: nothing is lost, nothing doubled.
    expect(chain.ranges.map(([first]) => first)).toStrictEqual([
      1n,
      ...chain.ranges.slice(0, -1).map(([, end]) => end + 1n),
    ])
    expect(chain.ranges.at(-1)?.[1]).toBe(last)
    expect(chain.packs.map((bytes) => decodePack(bytes).claims.sequence)).toStrictEqual(
      Array.from({ length: Number(last) }, (_, at) => BigInt(at + 1)),
    )
  }

  /** The chain as soon as its batches hold every pack up to the last. */
  async function waitForChain(url: string, index: number, last: bigint) {
    await eventually(
      async () => (await readChain(url, index)).ranges.at(-1)?.[1],
      (end) => end === last,
      90_000,
    )
    return readChain(url, index)
  }

  beforeAll(async () => {
    rig = await startRig()
    shared = rig.folder()
    nats = await createNatsServer(program, rig.folder())
    await nats.start()
    for (let index = 0; index < count; index += 1) {
      devices.push(createDoorDevice(`fleet ${index}`, streamOf(index)))
    }
    connection = await connect({ servers: nats.url, maxReconnectAttempts: -1 })
    const answers = connection.subscribe('plumbline.v1.receipts.>')
    void (async () => {
      for await (const message of answers) {
        const json = message.json<{ receipt?: { packHash: string } }[]>()
        for (const { receipt } of json) {
          if (receipt !== undefined) receipted.add(receipt.packHash)
        }
      }
    })()
  }, 120_000)
  afterAll(async () => {
    for (const { child, exited } of hosts) {
      child.kill('SIGCONT')
      child.kill('SIGKILL')
      await exited
    }
    await connection.close()
    await nats.kill9()
    await rig.stop()
  })

  it('a lease is one host’s at a time, until it is given back or not renewed', async () => {
    const fleet = readFleet({ ...fleetOf('x', 2), broker: { servers: [nats.url], leaseMs } })
    const one = await connectNats(fleet, () => undefined)
    const two = await connectNats(fleet, () => undefined)
    const lease = await takeLease(one, 'probe', 'one', leaseMs)
    expect(await takeLease(two, 'probe', 'two', leaseMs)).toBe(undefined)
    await lease?.confirm()
    // Renewed meanwhile by its holder: an answer that was lost on the way is no loss of the lease.
    await one.renew('probe', 'one', lease?.epoch ?? 0n)
    await Promise.all([lease?.confirm(), lease?.confirm(), lease?.confirm()])
    await lease?.release()
    await expect(lease?.confirm()).rejects.toThrow(LeaseLostError)

    // Not renewed: taken by hand, without the heart that a lease has.
    const revision = await one.take('probe', 'one')
    expect(revision).toBeGreaterThan(lease?.epoch ?? 0n)
    const taken = await eventually(
      () => takeLease(two, 'probe', 'two', leaseMs),
      (found) => found !== undefined,
      60_000,
    )
    expect(await one.renew('probe', 'one', revision ?? 0n)).toBe(undefined)
    expect(taken?.epoch).toBeGreaterThan(revision ?? 0n)
    await taken?.release()
    await one.close()
    await two.close()
  }, 90_000)

  it('two hosts, one killed: its partition is taken over, nothing lost, nothing doubled, one chain', async () => {
    const a = await startHost('a', 1)
    const b = await startHost('b', 2)
    const [ofA] = await takenBy(a, 1)
    const [ofB] = await takenBy(b, 1)
    if (ofA === undefined || ofB === undefined) throw new Error('unreachable')
    const taken = ofA.partition === 'fleet/0' ? 0 : 1
    const kept = 1 - taken
    expect(ofB.partition).toBe(`fleet/${kept}`)

    const early = [...(await publish(taken, 20)), ...(await publish(kept, 20))]
    await allReceipted(early)
    const before = await waitForChain(ofA.url, taken, 20n)
    // Killed in the middle of a stream of packs, right after an answer.
    const answers = connection.subscribe(natsReceiptSubject(streamOf(taken), 'gateway'), { max: 1 })
    const publishing = publish(taken, 60)
    for await (const message of answers) {
      expect(message.data.length).toBeGreaterThan(0)
      a.child.kill('SIGKILL')
    }
    const late = [...(await publishing), ...(await publish(kept, 20))]
    // Nobody sends anything again.
    await allReceipted(late)

    const [, takenOver] = await takenBy(b, 2)
    expect(takenOver?.partition).toBe(ofA.partition)
    const url = takenOver?.url ?? ''
    const after = await waitForChain(url, taken, 80n)
    assertWhole(after, 80n)
    assertWhole(await waitForChain(ofB.url, kept, 40n), 40n)
    // The chain goes on where it stood: what was signed before is served unchanged, under two keys.
    expect(after.batches.slice(0, before.batches.length)).toStrictEqual(before.batches)
    expect(new Set(after.batches.map(({ signer }) => signer)).size).toBe(2)
  }, 240_000)

  it('a host that was frozen and wakes receipts nothing and signs nothing', async () => {
    const b = hosts[1]
    if (b === undefined) throw new Error('unreachable')
    const places = await takenBy(b, 2)
    b.child.kill('SIGSTOP')
    const c = await startHost('c', 2)
    const taken = await takenBy(c, 2)
    // Handed in while it is frozen: the first thing that it sees when it wakes.
    const frozen = places.map(({ partition, url }) => {
      const index = partition === 'fleet/0' ? 0 : 1
      const bytes = deviceOf(index).cose(Date.now())
      return { index, bytes, answer: postPacks(url, [bytes]).catch((error: unknown) => error) }
    })
    const heads = new Map<number, string[]>()
    for (const { index } of frozen) {
      const url = taken.find(({ partition }) => partition === `fleet/${index}`)?.url ?? ''
      heads.set(
        index,
        (await readChain(url, index)).batches.map(({ digest }) => digest),
      )
    }
    b.child.kill('SIGCONT')
    for (const { answer } of frozen) {
      expect(await answer).toBeInstanceOf(Error)
    }
    await eventually(
      () => Promise.resolve(b.lines.filter(({ event }) => event === 'partition lost')),
      ({ length }) => length === 2,
      60_000,
    )
    for (const { index, bytes } of frozen) {
      const url = taken.find(({ partition }) => partition === `fleet/${index}`)?.url ?? ''
      expect(await postPacks(url, [bytes])).toMatchObject([{ receipt: {} }])
      const chain = await waitForChain(url, index, deviceOf(index).sequence())
      assertWhole(chain, deviceOf(index).sequence())
      const known = heads.get(index) ?? []
      expect(chain.batches.map(({ digest }) => digest).slice(0, known.length)).toStrictEqual(known)
    }
  }, 240_000)

  it('a broker that is killed and comes back loses no partition and no pack', async () => {
    const [, b, c] = hosts
    if (b === undefined || c === undefined) throw new Error('unreachable')
    b.child.kill('SIGKILL')
    await b.exited
    await nats.kill9()
    await nats.start()
    const hashes = [...(await publish(0, 10)), ...(await publish(1, 10))]
    await allReceipted(hashes)
    for (const index of [0, 1]) {
      // The lease may have run out meanwhile: then it was taken again, and is served anew.
      const last = deviceOf(index).sequence()
      const url = (): string =>
        String(
          c.lines.findLast(
            (line) => line['event'] === 'partition taken' && line['partition'] === `fleet/${index}`,
          )?.['url'],
        )
      await eventually(
        () =>
          readChain(url(), index).then(
            ({ ranges }) => ({ end: ranges.at(-1)?.[1] }),
            (error: unknown) => ({
              end: undefined,
              error: String(error),
              lines: c.lines.slice(-12),
            }),
          ),
        ({ end }) => end === last,
        90_000,
      )
      const chain = await readChain(url(), index)
      assertWhole(chain, last)
      expect(chain.packs).toHaveLength(Number(last))
    }
  }, 240_000)

  it('a host that is stopped ends, even while the broker is away', async () => {
    const c = hosts[2]
    if (c === undefined) throw new Error('unreachable')
    await nats.kill9()
    c.child.kill('SIGTERM')
    await c.exited
    expect(c.child.exitCode).toBe(0)
    await nats.start()
  }, 120_000)

  it('a partition gets its own devices and stream, and a mistake is found on every host', () => {
    const fleet = readFleet(fleetOf('x', 2))
    for (const index of [0, 1]) {
      const config = readPartition(fleet, index, '/data')
      expect(config.streamId).toBe(streamOf(index))
      expect(config.devices.map(({ key }) => key.id)).toStrictEqual([deviceOf(index).id])
    }
    const broken = fleetOf('x', 2)
    expect(() =>
      readFleet({ ...broken, worker: { ...(broken['worker'] as object), tickMs: 1 } }),
    ).toThrow(expect.objectContaining({ name: 'InvalidConfigError', field: 'config.tickMs' }))
    expect(() => readFleet({ ...broken, count: 0 })).toThrow(
      expect.objectContaining({ name: 'InvalidConfigError', field: 'config.count' }),
    )
  })
})
