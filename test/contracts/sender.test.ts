import { createTestClient, http } from 'viem'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { TransactionFailedError, UnsuitableChainError } from '#contracts/deploy/errors.ts'
import { type Call, createSender } from '#contracts/deploy/sender.ts'
import { create2Proxy } from '#contracts/deploy/create2.ts'
import { type Anvil, anvilKey, startAnvil } from './anvil.ts'

const chainId = 31_360

let anvil: Anvil

beforeAll(async () => {
  anvil = await startAnvil(chainId, Date.UTC(2025, 0, 20) / 1000)
})

afterAll(async () => {
  await anvil.stop()
})

const senderOf = () => createSender({ rpcUrl: anvil.rpcUrl, chainId, key: anvilKey })

const payments = (count: number): Call[] =>
  Array.from({ length: count }, (_, position) => ({
    label: `payment ${position + 1}`,
    to: '0x00000000000000000000000000000000000000a1',
    data: '0x',
  }))

describe('createSender', () => {
  it('sends again what the node has forgotten, and has every call mined once, in order', async () => {
    const chain = createTestClient({ mode: 'anvil', transport: http(anvil.rpcUrl) })
    await chain.setAutomine(false)
    const sender = await senderOf()
    const address = sender.account.address
    const before = await sender.client.getTransactionCount({ address })
    const mined = sender.sendAll(payments(4))
    await expect
      .poll(() => sender.client.getTransactionCount({ address, blockTag: 'pending' }))
      .toBe(before + 4)
    // What anvil does on its own when calls come while it makes a block.
    const { pending } = await chain.getTxpoolContent()
    for (const { hash } of Object.values(Object.values(pending)[0] ?? {})) {
      await chain.dropTransaction({ hash })
    }
    expect(await sender.client.getTransactionCount({ address, blockTag: 'pending' })).toBe(before)
    await chain.setIntervalMining({ interval: 1 })
    const receipts = await mined
    expect(receipts.map(({ status }) => status)).toEqual(Array(4).fill('success'))
    expect(await sender.client.getTransactionCount({ address })).toBe(before + 4)
    await chain.setIntervalMining({ interval: 0 })
    await chain.setAutomine(true)
  })

  it('names the call that failed, its chain and its transaction', async () => {
    const sender = await senderOf()
    // The proxy creates nothing from init code that reverts, and says so by failing.
    const failing: Call = {
      label: 'a contract that refuses to be born',
      to: create2Proxy,
      data: `0x${'00'.repeat(32)}5f5ffd`,
    }
    const mined = sender.sendAll([...payments(1), failing])
    await expect(mined).rejects.toThrowError(TransactionFailedError)
    await expect(mined).rejects.toThrowError(
      /a contract that refuses to be born failed on chain 31360\.[^]*Transaction: 0x[0-9a-f]{64}/,
    )
  })

  it('refuses a node of another chain', async () => {
    await expect(
      createSender({ rpcUrl: anvil.rpcUrl, chainId: 1, key: anvilKey }),
    ).rejects.toThrowError(UnsuitableChainError)
  })
})
