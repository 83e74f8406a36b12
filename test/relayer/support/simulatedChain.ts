import { type Hex, decodeFunctionData, encodeFunctionResult, keccak256, toHex } from 'viem'
import { enclaveRegistryAbi, proofRegistryAbi, reportConsumerAbi } from '#relayer/chain/abi.ts'
import {
  ChainUnreachableError,
  type Rpc,
  type RpcAnswer,
  type RpcCall,
} from '#relayer/chain/rpc.ts'
import type { TransactionSigner, UnsignedTransaction } from '#relayer/ports.ts'
import { batchDigest } from '#schemas/batch.ts'
import { type Report, reportLeaf } from '#schemas/report.ts'
import { testStream } from './testStream.ts'

/**
 * A chain in memory with the rules that matter to a sender: nonces in order, one pool slot per nonce,
 * geth's 10 % replacement rule, base fees, receipts, reorganisations. Every fault is a switch.
 */

export const simulatedSender: Hex = `0x${'aa'.repeat(20)}`
export const simulatedContract: Hex = `0x${'cc'.repeat(20)}`

/** Signs nothing: the bytes are the transaction as JSON, which the simulated chain reads. */
export function createSimulatedSigner(): TransactionSigner {
  return {
    address: simulatedSender,
    sign(transaction) {
      const raw = toHex(
        JSON.stringify(transaction, (_, value: unknown) =>
          typeof value === 'bigint' ? `${value}n` : value,
        ),
      )
      return Promise.resolve({ raw, hash: keccak256(raw) })
    },
  }
}

type PoolTransaction = UnsignedTransaction & { readonly hash: Hex }
type SimulatedBlock = {
  readonly number: number
  readonly hash: Hex
  readonly baseFee: bigint
  readonly transactions: readonly { tx: PoolTransaction; isSuccess: boolean }[]
}
type State = {
  nonce: number
  signers: Set<Hex>
  sequence: bigint
  digest: Hex
  settled: Set<string>
}

type SimulateRequest = {
  readonly blockStateCalls: readonly {
    readonly calls: readonly { readonly to: Hex; readonly data: Hex }[]
  }[]
}

/** What may go wrong with one request; asked anew for each. */
export type Fault =
  | 'none'
  | 'dropBefore'
  | 'dropAfter'
  | 'nullReceipts'
  | 'staleHead'
  | 'futureNonce'
  | 'phantomReceipts'

export type SimulatedChain = {
  readonly rpc: Rpc
  mine(): void
  reorg(depth: number): void
  setBaseFee(wei: bigint): void
  /** A transaction of the same key that did not come from the relayer. */
  foreignTransaction(): void
  setFault(next: () => Fault): void
  settled(): ReadonlySet<string>
  /** Transactions in blocks that changed nothing because it was done before. */
  wasted(): number
  sequence(): bigint
  nonce(): number
  poolSize(): number
  highestFeeSeen(): bigint
  fillers(): number
}

const laneAbi = [...enclaveRegistryAbi, ...proofRegistryAbi, ...reportConsumerAbi] as const
/** Agreements from here on refuse every report. */
export const poisonFrom = 1_000_000
const zero: Hex = `0x${'00'.repeat(32)}`

export function createSimulatedChain({
  isSequential = true,
}: {
  /** Whether it runs several calls one after the other. */
  readonly isSequential?: boolean
} = {}): SimulatedChain {
  const chainId = 1
  let salt = 0
  let baseFee = 1_000_000_000n
  let nextFault: () => Fault = () => 'none'
  let blocks: SimulatedBlock[] = [{ number: 0, hash: hashOf(0), baseFee, transactions: [] }]
  let state = freshState()
  let wasted = 0
  let fillers = 0
  let highestFee = 0n
  const pool = new Map<number, PoolTransaction>()

  function freshState(): State {
    return { nonce: 0, signers: new Set(), sequence: 0n, digest: zero, settled: new Set() }
  }

  function hashOf(number: number): Hex {
    salt += 1
    return keccak256(toHex(`block ${number} ${salt}`))
  }

  function head(): SimulatedBlock {
    const block = blocks.at(-1)
    if (block === undefined) throw new Error('no block')
    return block
  }

  /** Runs a call; `undefined` means it reverted. */
  function execute(target: State, to: Hex, data: Hex): boolean {
    if (to === simulatedSender) return true
    const call = decodeFunctionData({ abi: laneAbi, data })
    if (call.functionName === 'register') {
      target.signers.add(call.args[0].signer.toLowerCase() as Hex)
      return true
    }
    if (call.functionName === 'commit') {
      const [batch] = call.args
      if (batch.sequence !== target.sequence + 1n) return false
      target.sequence = batch.sequence
      target.digest = batchDigest(batch)
      return true
    }
    const settleOne = (agreementId: bigint, report: Report, sequence: bigint): boolean => {
      if (Number(agreementId) >= poisonFrom || target.sequence < sequence) return false
      const key = `${agreementId}/${reportLeaf(report)}`
      if (target.settled.has(key)) wasted += 1
      target.settled.add(key)
      return true
    }
    if (call.functionName === 'settle') {
      const [agreementId, report, { sequence }] = call.args
      return settleOne(agreementId, report as Report, sequence)
    }
    if (call.functionName !== 'settleMany') return false
    const [agreementIds, reports, { sequence }] = call.args
    if (target.sequence < sequence) return false
    for (const [index, report] of reports.entries()) {
      settleOne(agreementIds[index] ?? 0n, report as Report, sequence)
    }
    return true
  }

  function copyOf({ nonce, signers, sequence, digest, settled }: State): State {
    return { nonce, signers: new Set(signers), sequence, digest, settled: new Set(settled) }
  }

  function view(data: Hex): RpcAnswer {
    const call = decodeFunctionData({ abi: laneAbi, data })
    if (call.functionName === 'signerStatus') {
      const isKnown = state.signers.has(call.args[0].toLowerCase() as Hex)
      const result = encodeFunctionResult({
        abi: enclaveRegistryAbi,
        functionName: 'signerStatus',
        result: [testStream, zero, isKnown ? 10n ** 15n : 0n],
      })
      return { ok: true, result }
    }
    if (call.functionName === 'head') {
      const result = encodeFunctionResult({
        abi: proofRegistryAbi,
        functionName: 'head',
        result: [state.sequence, state.digest],
      })
      return { ok: true, result }
    }
    if (call.functionName === 'isSettled') {
      const result = encodeFunctionResult({
        abi: reportConsumerAbi,
        functionName: 'isSettled',
        result: state.settled.has(`${call.args[0]}/${call.args[1]}`),
      })
      return { ok: true, result }
    }
    if (call.functionName === 'settleMany') {
      const [agreementIds, , { sequence }] = call.args
      const good = agreementIds.filter(
        (id) => Number(id) < poisonFrom && state.sequence >= sequence,
      )
      return { ok: true, result: `0x${good.length.toString(16).padStart(64, '0')}` }
    }
    return { ok: false, code: -32_000, message: 'unknown call' }
  }

  function simulateV1({ blockStateCalls: [block] }: SimulateRequest): RpcAnswer {
    const target = copyOf(state)
    const before = wasted
    const calls = (block?.calls ?? []).map(({ to, data }) => {
      const isSuccess = execute(target, to, data)
      const count = decodeFunctionData({ abi: laneAbi, data }).args?.[0]
      const good = Array.isArray(count)
        ? (count as readonly bigint[]).filter((id) => Number(id) < poisonFrom).length
        : 0
      return {
        status: isSuccess ? '0x1' : '0x0',
        ...(Array.isArray(count)
          ? { gasUsed: toHex(30_000 + 20_000 * count.length) }
          : { gasUsed: toHex(50_000), maxUsedGas: toHex(50_000) }),
        returnData: `0x${good.toString(16).padStart(64, '0')}`,
      }
    })
    wasted = before
    return { ok: true, result: [{ calls }] }
  }

  function accept(raw: Hex): RpcAnswer {
    const tx = {
      ...(JSON.parse(Buffer.from(raw.slice(2), 'hex').toString(), (_, value: unknown) =>
        typeof value === 'string' && /^\d+n$/.test(value) ? BigInt(value.slice(0, -1)) : value,
      ) as UnsignedTransaction),
      hash: keccak256(raw),
    }
    if (tx.nonce < state.nonce) return { ok: false, code: -32_000, message: 'nonce too low' }
    const known = pool.get(tx.nonce)
    if (known?.hash === tx.hash) return { ok: false, code: -32_000, message: 'already known' }
    const isCheap =
      known !== undefined &&
      (tx.maxFeePerGasWei * 10n < known.maxFeePerGasWei * 11n ||
        tx.maxPriorityFeePerGasWei * 10n < known.maxPriorityFeePerGasWei * 11n)
    if (isCheap) {
      return { ok: false, code: -32_000, message: 'replacement transaction underpriced' }
    }
    if (tx.maxFeePerGasWei > highestFee) highestFee = tx.maxFeePerGasWei
    pool.set(tx.nonce, tx)
    return { ok: true, result: tx.hash }
  }

  function blockJson(block: SimulatedBlock): Readonly<Record<string, unknown>> {
    return {
      number: toHex(block.number),
      hash: block.hash,
      timestamp: toHex(1_700_000_000 + block.number),
      baseFeePerGas: toHex(block.baseFee),
    }
  }

  function receipt(hash: Hex, fault: Fault): unknown {
    if (fault === 'nullReceipts') return null
    for (const block of blocks) {
      const found = block.transactions.find(({ tx }) => tx.hash === hash)
      if (found !== undefined) {
        return {
          transactionHash: hash,
          blockNumber: toHex(block.number),
          blockHash: block.hash,
          status: found.isSuccess ? '0x1' : '0x0',
          gasUsed: toHex(50_000),
          effectiveGasPrice: toHex(block.baseFee),
        }
      }
    }
    if (fault !== 'phantomReceipts') return null
    const block = head()
    return {
      transactionHash: hash,
      blockNumber: toHex(block.number),
      blockHash: block.hash,
      status: '0x1',
      gasUsed: toHex(50_000),
      effectiveGasPrice: toHex(block.baseFee),
    }
  }

  function answer({ method, params }: RpcCall, fault: Fault): RpcAnswer {
    const [first] = params
    const at = fault === 'staleHead' ? (blocks[Math.max(0, blocks.length - 4)] ?? head()) : head()
    switch (method) {
      case 'eth_getBlockByNumber': {
        if (first === 'latest') return { ok: true, result: blockJson(at) }
        const block = blocks[Number(first)]
        return { ok: true, result: block === undefined ? null : blockJson(block) }
      }
      case 'eth_maxPriorityFeePerGas':
        return { ok: true, result: toHex(1_000_000n) }
      case 'eth_getTransactionCount':
        return { ok: true, result: toHex(state.nonce + (fault === 'futureNonce' ? 7 : 0)) }
      case 'eth_getBalance':
        return { ok: true, result: toHex(10n ** 24n) }
      case 'eth_getTransactionReceipt':
        return { ok: true, result: receipt(first as Hex, fault) }
      case 'eth_call':
        // A program without a contract is not run here: the relayer asks one by one.
        if (!('to' in (first as object)))
          return { ok: false, code: -32_000, message: 'no contract' }
        return view((first as { data: Hex }).data)
      case 'eth_simulateV1':
        if (!isSequential) return { ok: false, code: -32_601, message: 'Method not found' }
        return simulateV1(first as SimulateRequest)
      case 'eth_estimateGas': {
        const { to, data } = first as { to: Hex; data: Hex }
        const before = wasted
        const isGood = execute(copyOf(state), to, data)
        wasted = before
        if (isGood) return { ok: true, result: toHex(50_000) }
        return { ok: false, code: 3, message: 'execution reverted' }
      }
      case 'eth_sendRawTransaction':
        return accept(first as Hex)
      default:
        return { ok: false, code: -32_601, message: `no ${method}` }
    }
  }

  async function ask(calls: readonly RpcCall[]): Promise<readonly RpcAnswer[]> {
    // A place for the process to die at.
    await Promise.resolve()
    const fault = nextFault()
    if (fault === 'dropBefore') throw new ChainUnreachableError('dropped before')
    const answers = calls.map((call) => answer(call, fault))
    if (fault === 'dropAfter') throw new ChainUnreachableError('dropped after')
    return answers
  }

  return {
    rpc: {
      ask,
      each: () => [{ ask, accuse: () => undefined }],
      distrust: () => undefined,
      health: () => [],
    },
    mine() {
      const transactions: { tx: PoolTransaction; isSuccess: boolean }[] = []
      for (let tx = pool.get(state.nonce); tx !== undefined; tx = pool.get(state.nonce)) {
        if (tx.maxFeePerGasWei < baseFee) break
        pool.delete(tx.nonce)
        state.nonce += 1
        if (tx.to === simulatedSender) fillers += 1
        transactions.push({ tx, isSuccess: execute(state, tx.to, tx.data) })
      }
      const number = blocks.length
      blocks.push({ number, hash: hashOf(number), baseFee, transactions })
    },
    reorg(depth) {
      const height = blocks.length
      const kept = Math.max(1, height - depth)
      const remaining = blocks.slice(0, kept)
      state = freshState()
      const before = wasted
      for (const block of remaining) {
        for (const { tx } of block.transactions) {
          state.nonce += 1
          execute(state, tx.to, tx.data)
        }
      }
      wasted = before
      // As anvil does: what was dropped does not return to the pool; the height stays.
      pool.clear()
      blocks = remaining
      while (blocks.length < height) {
        const number = blocks.length
        blocks.push({ number, hash: hashOf(number), baseFee, transactions: [] })
      }
    },
    setBaseFee(wei) {
      baseFee = wei
    },
    foreignTransaction() {
      const tx: PoolTransaction = {
        chainId,
        nonce: state.nonce,
        to: `0x${'ee'.repeat(20)}`,
        data: '0x',
        gasLimit: 21_000n,
        maxFeePerGasWei: baseFee * 2n,
        maxPriorityFeePerGasWei: 1n,
        hash: hashOf(-1),
      }
      pool.delete(state.nonce)
      state.nonce += 1
      const number = blocks.length
      blocks.push({
        number,
        hash: hashOf(number),
        baseFee,
        transactions: [{ tx: { ...tx, to: simulatedSender }, isSuccess: true }],
      })
    },
    setFault(next) {
      nextFault = next
    },
    settled: () => state.settled,
    wasted: () => wasted,
    sequence: () => state.sequence,
    nonce: () => state.nonce,
    poolSize: () => pool.size,
    highestFeeSeen: () => highestFee,
    fillers: () => fillers,
  }
}
