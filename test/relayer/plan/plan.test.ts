import { describe, expect, it } from 'vitest'
import { decodePlan, decodePlanText, feedOf, feedsOf, wantsReport } from '#relayer/plan/plan.ts'
import { zeroHash } from '#schemas/report.ts'

const word = (byte: string) => `0x${byte.repeat(32)}` as const
const address = (byte: string) => `0x${byte.repeat(20)}` as const

const chain = {
  chainId: 1,
  rpcUrls: ['https://rpc.example/key'],
  enclaveRegistry: address('Aa'),
  proofRegistry: address('bb'),
}
const settlement = {
  chainId: 1,
  contract: address('cc'),
  kind: 'parametric-cover',
  agreementId: '115792089237316195423570985008687907853269984665640564039457584007913129639935',
  subject: word('11'),
  policyId: word('22'),
  label: 'cover',
}
const plan = {
  version: 1,
  worker: 'https://worker.example',
  stream: word('33'),
  chains: [chain],
  settlements: [settlement],
}

function messageOf(value: unknown): string {
  try {
    decodePlan(value)
  } catch (error) {
    return (error as Error).message
  }
  return 'accepted'
}

describe('settlement plan', () => {
  it('a plan is read with its numbers exact and its addresses in lower case', () => {
    const decoded = decodePlan(plan)
    expect(decoded.settlements[0]?.agreementId).toBe(2n ** 256n - 1n)
    expect(decoded.chains[0]?.enclaveRegistry).toBe(address('aa'))
    expect(decodePlanText(JSON.stringify(plan))).toEqual(decoded)
  })

  it('every fault names its field', () => {
    expect(messageOf({ ...plan, version: 2 })).toContain('Field: plan.version')
    expect(messageOf({ ...plan, worker: 'ftp://x' })).toContain('Field: plan.worker')
    expect(messageOf({ ...plan, stream: '0x12' })).toContain('Field: plan.stream')
    expect(messageOf({ ...plan, chains: [] })).toContain('Field: plan.chains')
    expect(messageOf({ ...plan, chains: [{ ...chain, rpcUrls: [] }] })).toContain(
      'Field: plan.chains.0.rpcUrls',
    )
    expect(messageOf({ ...plan, surprise: true })).toContain('Problem: Unrecognized key')
    expect(messageOf({ ...plan, chains: [{ ...chain, maxFeePerGasWei: '1.5' }] })).toContain(
      'Field: plan.chains.0.maxFeePerGasWei',
    )
  })

  it('a chain twice, a settlement twice and a settlement on an unknown chain are refused', () => {
    expect(messageOf({ ...plan, chains: [chain, chain] })).toMatchInlineSnapshot(`
      "The plan names a chain twice.
      Field: plan.chains.1
      Twice: 1
      Remedy: Keep one of the two."
    `)
    expect(messageOf({ ...plan, settlements: [settlement, settlement] })).toContain(
      'The plan names a settlement twice.',
    )
    expect(messageOf({ ...plan, settlements: [{ ...settlement, chainId: 2 }] }))
      .toMatchInlineSnapshot(`
      "A settlement is on a chain that the plan does not describe.
      Field: plan.settlements.0.chainId
      Actual: 2
      Described: 1
      Remedy: Add the chain with its RPC addresses and registries, or drop the settlement."
    `)
    expect(() => decodePlanText('{')).toThrow('The settlement plan is not JSON.')
  })

  it('further workers have streams of their own, and a settlement wants one that is served', () => {
    const other = { worker: 'http://other', stream: word('77') }
    const decoded = decodePlan({ ...plan, workers: [other] })
    expect(feedsOf(decoded).map(({ stream }) => stream)).toEqual([decoded.stream, word('77')])
    expect(feedOf(decoded, word('77')).worker).toBe('http://other')
    expect(() => feedOf(decoded, word('78'))).toThrow('The plan names no worker for this stream.')
    expect(messageOf({ ...plan, workers: [{ ...other, stream: plan.stream }] })).toContain(
      'The plan names a stream twice.',
    )
    expect(messageOf({ ...plan, settlements: [{ ...settlement, stream: word('77') }] })).toContain(
      'A settlement wants a stream that no worker of the plan serves.',
    )
  })

  it('a fact is wanted by whoever names its subject and policy, a right only by its one place', () => {
    const report = { subject: word('11'), policyId: word('22'), exclusiveTo: zeroHash }
    expect(wantsReport(settlement, report)).toBe(true)
    expect(wantsReport(settlement, { ...report, subject: word('12') })).toBe(false)
    expect(wantsReport(settlement, { ...report, policyId: word('23') })).toBe(false)
    const right = { ...report, exclusiveTo: word('44') }
    expect(wantsReport(settlement, right)).toBe(false)
    expect(wantsReport({ ...settlement, exclusiveTo: word('44') }, right)).toBe(true)
    expect(wantsReport({ ...settlement, exclusiveTo: word('44') }, report)).toBe(false)
  })
})
