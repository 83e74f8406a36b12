import { type ChildProcess, spawn } from 'node:child_process'
import { join } from 'node:path'
import { Command } from 'commander'
import { encodeAbiParameters } from 'viem'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { registerCrosschain } from '#cli/crosschain.ts'
import { createRpc } from '#relayer/chain/rpc.ts'
import { createEndorser } from '#relayer/transports/layerzero/endorser.ts'
import {
  type Crosschain,
  type CrosschainSpoke,
  createCrosschain,
} from '#localnet/layerzero/crosschain.ts'
import { packetsIn } from '#localnet/layerzero/workers.ts'
import { batchReceiverAbi } from '#schemas/abi/batchReceiver.ts'
import { enclaveRegistryAbi } from '#schemas/abi/enclaveRegistry.ts'
import { streamId } from '#schemas/batch.ts'
import type { Hex } from '#schemas/bytes.ts'
import { orderEndorsements } from '#schemas/crosschain.ts'
import { zeroHash } from '#schemas/report.ts'
import { anvilKey } from '#tools/anvil.ts'
import { root } from '#tools/paths.ts'

const endorserKey: Hex = `0x${'e7'.repeat(32)}`

describe('plumbline crosschain', () => {
  let world: Crosschain
  let spoke: CrosschainSpoke
  const children = new Set<ChildProcess>()

  const hub = () => world.hub.layerZero
  const registry = () => world.hub.contracts.enclaveRegistry

  async function run(...args: string[]): Promise<string> {
    const written: string[] = []
    const spy = vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
      written.push(String(text))
      return true
    })
    try {
      const program = new Command().exitOverride().configureOutput({ writeErr: () => undefined })
      registerCrosschain(program)
      for (const command of program.commands[0]?.commands ?? []) {
        command.exitOverride().configureOutput({ writeErr: () => undefined })
      }
      await program.parseAsync(['crosschain', ...args], { from: 'user' })
      return written.join('')
    } finally {
      spy.mockRestore()
    }
  }

  const revoke = (signer: string, ...more: string[]): Promise<string> =>
    run(
      'revoke',
      signer,
      '--chain',
      String(hub().chainId),
      '--rpc',
      hub().rpcUrl,
      '--broadcaster',
      world.hub.revocationBroadcaster,
      '--to',
      String(spoke.layerZero.eid),
      ...more,
    )

  const validStreamOf = (signer: Hex) =>
    spoke.hand.client.readContract({
      address: spoke.batchReceiver,
      abi: batchReceiverAbi,
      functionName: 'validStreamOf',
      args: [signer],
    })

  beforeAll(async () => {
    vi.stubEnv('PLUMBLINE_SENDER_KEY', anvilKey)
    world = await createCrosschain({
      key: anvilKey,
      stream: streamId('crosschain-command'),
      genesisSeconds: Date.UTC(2026, 0, 5) / 1000,
      spokes: 1,
    })
    const [only] = world.spokes
    if (only === undefined) throw new Error('no spoke')
    spoke = only
  })
  afterEach(() => {
    for (const child of children) child.kill('SIGKILL')
    children.clear()
  })
  afterAll(async () => {
    vi.unstubAllEnvs()
    await world.stop()
  })

  it('sends a revocation once the hub has revoked, and not before; without --broadcast only asks', async () => {
    const enclave = await world.registerEnclave('to be revoked')
    await expect(revoke(enclave.signer, '--broadcast')).rejects.toMatchObject({
      name: 'BroadcastRefusedError',
      field: 'RevocationBroadcasterSignerNotRevoked',
    })
    await world.hub.hand.call(registry(), enclaveRegistryAbi, 'revoke', [enclave.signer])
    const before = await world.hub.hand.client.getBlockNumber()
    const asked = await revoke(enclave.signer)
    expect(asked).toContain('Nothing was sent.')
    expect(await world.hub.hand.client.getBlockNumber()).toBe(before)

    const sent = await revoke(enclave.signer, '--broadcast')
    const hash = /tx {7}(0x[0-9a-f]{64})/.exec(sent)?.[1] as Hex
    const receipt = await world.hub.hand.client.getTransactionReceipt({ hash })
    const [packet] = packetsIn(receipt, hub().endpoint)
    if (packet === undefined) throw new Error('nothing was sent')
    expect(await spoke.workers.deliver(packet)).toMatchObject({ state: 'delivered' })
    expect(await validStreamOf(enclave.signer)).toBe(zeroHash)
    const [, , , , isRevoked] = await spoke.hand.client.readContract({
      address: spoke.batchReceiver,
      abi: batchReceiverAbi,
      functionName: 'signerRecord',
      args: [enclave.signer],
    })
    expect(isRevoked).toBe(true)
  })

  it.each([
    [
      'an address',
      'signer',
      `revoke 0x12 --chain 1 --rpc http://127.0.0.1:1 --broadcaster 0x${'34'.repeat(20)} --to 30101`,
    ],
    [
      'an endpoint id',
      '--to',
      `revoke 0x${'12'.repeat(20)} --chain 1 --rpc http://127.0.0.1:1 --broadcaster 0x${'34'.repeat(20)} --to base`,
    ],
    [
      'a block tag',
      '--block',
      `endorse --chain 1 --rpc http://127.0.0.1:1 --registry 0x${'12'.repeat(20)} --block pending`,
    ],
  ])('refuses what is not %s before it asks anybody', async (_, name, line) => {
    await expect(run(...line.split(' '))).rejects.toMatchObject({
      code: 'commander.invalidArgument',
      message: expect.stringContaining(name) as unknown,
    })
  })

  it('serves what an endorser signs, says why it does not, and ends when it is told to', async () => {
    const enclave = await world.registerEnclave('endorsed')
    const child = spawn(
      process.execPath,
      [
        join(root, 'cli', 'main.ts'),
        'crosschain',
        'endorse',
        '--chain',
        String(hub().chainId),
        '--registry',
        registry(),
        '--rpc',
        hub().rpcUrl,
        hub().rpcUrl,
        '--block',
        'latest',
      ],
      {
        env: { ...process.env, PLUMBLINE_SENDER_KEY: endorserKey },
        stdio: ['ignore', 'pipe', 'pipe'],
      },
    )
    children.add(child)
    let output = ''
    child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()))
    child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()))
    await expect.poll(() => output, { timeout: 50_000 }).toContain('/v1/endorsements/')
    const url = /http:\S+\/v1\/endorsements\//.exec(output)?.[0] ?? ''
    const endorser = /endorser (0x\S+)/.exec(output)?.[1]?.toLowerCase()

    const registration = await world.registrationOf(enclave.signer)
    const answer = (await (await fetch(`${url}${enclave.signer}`)).json()) as { endorsement: Hex }
    const [signed] = orderEndorsements(world.hub.identity, registration, [answer.endorsement])
    expect(signed?.endorser.toLowerCase()).toBe(endorser)
    expect(output).not.toContain(endorserKey.slice(2))

    const stranger = await fetch(`${url}0x${'99'.repeat(20)}`)
    expect(stranger.status).toBe(404)
    expect(await stranger.json()).toMatchObject({ error: { name: 'SignerNotValidError' } })
    const nonsense = await fetch(`${url}somebody`)
    expect(nonsense.status).toBe(400)
    expect(await nonsense.json()).toMatchObject({ error: { field: 'signer' } })

    const ended = new Promise((resolve) => child.once('close', resolve))
    child.kill('SIGTERM')
    expect(await ended).toBe(0)
  })

  it('signs nothing that one of its nodes says alone', async () => {
    const enclave = await world.registerEnclave('quarrelled about')
    const rpc = createRpc({
      chainId: hub().chainId,
      urls: [hub().rpcUrl],
      fetch: (url, init) => fetch(url, init),
      now: Date.now,
    })
    const forged = encodeAbiParameters(
      [{ type: 'bytes32' }, { type: 'bytes32' }, { type: 'uint64' }],
      [streamId('another'), zeroHash, 4_000_000_000n],
    )
    const liar = {
      async ask(calls: Parameters<typeof rpc.ask>[0]) {
        const [block, , record] = await rpc.ask(calls)
        return [block, { ok: true, result: forged }, record].flatMap((entry) => entry ?? [])
      },
    } as Pick<typeof rpc, 'ask'>
    const signed: Hex[] = []
    const app = createEndorser({
      hub: world.hub.identity,
      rpc: { each: () => [rpc, liar] },
      sign: (digest) => {
        signed.push(digest)
        return digest
      },
      blockTag: 'latest',
    })
    for (const signer of [enclave.signer, `0x${'99'.repeat(20)}`]) {
      const response = await app.request(`/v1/endorsements/${signer}`)
      expect(response.status).toBe(503)
      expect(await response.json()).toMatchObject({ error: { name: 'NodesDisagreeError' } })
    }
    expect(signed).toStrictEqual([])
  })
})
