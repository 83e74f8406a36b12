import { decodeFunctionResult, encodeFunctionData, isHex } from 'viem'
import type { Hex } from '#schemas/bytes.ts'
import type { Observation, WatchedNonce } from '../lane/events.ts'
import type { TransactionInclusion } from '../lane/lane.ts'
import { proofRegistryAbi } from './abi.ts'
import type { Rpc, RpcAnswer, RpcCall } from './rpc.ts'
import { ChainUnreachableError } from './rpc.ts'
import { MalformedAnswerError, readCount, readHash, readObject, readQuantity } from './words.ts'

function resultOf(answer: RpcAnswer | undefined, what: string): unknown {
  if (answer?.ok === true) return answer.result
  throw new MalformedAnswerError(`A node could not tell ${what}.`, {
    metaMessages: answer === undefined ? [] : [`Its answer: ${answer.message}`],
  })
}

/** The sender's nonces that are looked after, and the head that was seen before. */
export type Watch = {
  readonly watched: readonly WatchedNonce[]
  readonly knownHead?: Hex | undefined
}

/**
 * One look at a chain from the eyes of a sender: head, fees, nonce and balance, asked of one node in
 * one request; then the whereabouts of those of its transactions that may be in a block.
 *
 * @throws {@link ChainUnreachableError} | {@link MalformedAnswerError}
 */
export async function lookAtChain(
  rpc: Pick<Rpc, 'ask'>,
  sender: Hex,
  watch: Watch,
  lines?: Lines,
): Promise<Observation> {
  const streams = lines?.streams ?? []
  const calls: RpcCall[] = [
    { method: 'eth_getBlockByNumber', params: ['latest', false] },
    { method: 'eth_maxPriorityFeePerGas', params: [] },
    { method: 'eth_getTransactionCount', params: [sender, 'latest'] },
    { method: 'eth_getBalance', params: [sender, 'latest'] },
    ...streams.map((stream) => ({
      method: 'eth_call',
      params: [{ to: lines?.registry, data: headCallData(stream) }, 'latest'],
    })),
  ]
  const [block, tip, nonce, balance, ...heads] = await rpc.ask(calls)
  const head = readObject(resultOf(block, 'the newest block'), 'block')
  const headHash = readHash(head['hash'], 'block.hash')
  const minedNonce = readCount(resultOf(nonce, 'the nonce'), 'transaction count')
  const hashes = watch.watched
    .filter((entry) => entry.nonce < minedNonce)
    .filter(({ isKnown }) => !isKnown || headHash !== watch.knownHead)
    .flatMap((entry) => entry.hashes)
  const receipts =
    hashes.length === 0
      ? []
      : await rpc.ask(
          hashes.map((hash) => ({ method: 'eth_getTransactionReceipt', params: [hash] })),
        )
  const headNumber = readCount(head['number'], 'block.number')
  const found = hashes.flatMap((hash, index) => {
    const answer = receipts[index]
    // A refusal to look a receipt up is not the absence of one: the whole look fails.
    const receipt = resultOf(answer, `the receipt of ${hash}`)
    return receipt === null ? [] : [{ hash, receipt: readObject(receipt, 'receipt') }]
  })
  return {
    head: {
      number: headNumber,
      hash: headHash,
      timestampMs: readCount(head['timestamp'], 'block.timestamp') * 1_000,
    },
    quote: {
      // Absent before London; such a chain takes no EIP-1559 transaction, and the node will say so.
      baseFeePerGasWei: readQuantity(head['baseFeePerGas'] ?? '0x0', 'block.baseFeePerGas'),
      priorityFeePerGasWei:
        tip?.ok === true ? readQuantity(tip.result, 'maxPriorityFeePerGas') : 1_000_000_000n,
    },
    minedNonce,
    balanceWei: readQuantity(resultOf(balance, 'the balance'), 'balance'),
    anchored: new Map(
      streams.flatMap((stream, index) => {
        const sequence = anchoredIn(heads[index])
        return sequence === undefined ? [] : [[stream, sequence] as const]
      }),
    ),
    inclusions: await inclusionsOf(rpc, found),
  }
}

/** The streams whose newest anchored batches are asked for, and where. */
export type Lines = { readonly streams: readonly Hex[]; readonly registry: Hex }

function headCallData(stream: Hex): Hex {
  return encodeFunctionData({ abi: proofRegistryAbi, functionName: 'head', args: [stream] })
}

function anchoredIn(answer: RpcAnswer | undefined): bigint | undefined {
  // 64 bytes and more: sequence and digest. Anything else is not a registry, and the checks say so.
  if (answer?.ok !== true || !isHex(answer.result) || answer.result.length < 130) return undefined
  const [sequence] = decodeFunctionResult({
    abi: proofRegistryAbi,
    functionName: 'head',
    data: answer.result,
  })
  return sequence
}

/** A receipt counts only when the block it names is on the node's chain; that also gives its time. */
async function inclusionsOf(
  rpc: Pick<Rpc, 'ask'>,
  found: readonly { readonly hash: Hex; readonly receipt: Readonly<Record<string, unknown>> }[],
): Promise<ReadonlyMap<Hex, TransactionInclusion>> {
  const inclusions = new Map<Hex, TransactionInclusion>()
  const numbers = [...new Set(found.map(({ receipt }) => String(receipt['blockNumber'])))]
  if (numbers.length === 0) return inclusions
  const answers = await rpc.ask(
    numbers.map((number) => ({ method: 'eth_getBlockByNumber', params: [number, false] })),
  )
  const blocks = new Map<string, Readonly<Record<string, unknown>>>()
  for (const [index, number] of numbers.entries()) {
    const block = resultOf(answers[index], `block ${number}`)
    if (block !== null) blocks.set(number, readObject(block, 'block'))
  }
  for (const { hash, receipt } of found) {
    const block = blocks.get(String(receipt['blockNumber']))
    if (block === undefined) continue
    const blockHash = readHash(receipt['blockHash'], 'receipt.blockHash')
    if (readHash(receipt['transactionHash'], 'receipt.transactionHash') !== hash) continue
    if (readHash(block['hash'], 'block.hash') !== blockHash) continue
    inclusions.set(hash, {
      hash,
      blockNumber: readCount(receipt['blockNumber'], 'receipt.blockNumber'),
      blockHash,
      isSuccess: readQuantity(receipt['status'], 'receipt.status') === 1n,
      gasUsed: readQuantity(receipt['gasUsed'], 'receipt.gasUsed'),
      effectiveGasPriceWei: readQuantity(receipt['effectiveGasPrice'], 'receipt.effectiveGasPrice'),
      minedAtMs: readCount(block['timestamp'], 'block.timestamp') * 1_000,
    })
  }
  return inclusions
}

/** Endpoints that a careful question goes to. */
const carefulCount = 3

/**
 * The same look through the eyes of several nodes, believing what is less convenient: a nonce counts
 * as used only when all say so, and a receipt that any of them can place on its chain counts. Nodes
 * that do not answer have no say, but somebody must.
 *
 * @throws {@link ChainUnreachableError} | {@link MalformedAnswerError}
 */
export async function lookCarefully(
  rpc: Rpc,
  sender: Hex,
  watch: Watch,
  lines?: Lines,
): Promise<Observation> {
  const doors = rpc.each().slice(0, carefulCount)
  const looks = await Promise.allSettled(
    doors.map(async (door) => ({ door, look: await lookAtChain(door, sender, watch, lines) })),
  )
  const seen = looks.flatMap((entry) => (entry.status === 'fulfilled' ? [entry.value] : []))
  const first = seen[0]
  if (first === undefined) {
    // What the preferred one said is what a person can act on.
    const [refusal] = looks.flatMap((entry) =>
      entry.status === 'rejected' ? [entry.reason as unknown] : [],
    )
    if (refusal instanceof ChainUnreachableError) throw refusal
    if (refusal instanceof MalformedAnswerError) throw refusal
    throw new ChainUnreachableError('No endpoint of this chain can be reached.')
  }
  const inclusions = new Map<Hex, TransactionInclusion>()
  for (const { look } of seen.toReversed()) {
    for (const [hash, inclusion] of look.inclusions) inclusions.set(hash, inclusion)
  }
  const minedNonce = Math.min(...seen.map(({ look }) => look.minedNonce))
  const newest = Math.max(...seen.map(({ look }) => look.head.number))
  for (const { door, look } of seen) {
    // One that is behind may not know yet; one that is not cannot lack a receipt that others place on
    // the chain, and one that is not ahead cannot know of a nonce that is used.
    const isBehind = look.head.number < newest
    const lacksReceipt =
      !isBehind && [...inclusions.keys()].some((hash) => !look.inclusions.has(hash))
    const knowsTooMuch = seen.some(
      (other) =>
        other.look.minedNonce < look.minedNonce && other.look.head.number >= look.head.number,
    )
    if (lacksReceipt || knowsTooMuch) door.accuse()
  }
  return { ...first.look, minedNonce, inclusions }
}
