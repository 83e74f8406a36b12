import { secp256k1 } from '@noble/curves/secp256k1'
import fc from 'fast-check'
import { encodeFunctionData, keccak256, toFunctionSelector } from 'viem'
import { privateKeyToAccount } from 'viem/accounts'
import { describe, expect, it } from 'vitest'
import { reportConsumerAbi } from '#relayer/chain/abi.ts'
import { fastKeccak, fastKeccakPairs } from '#relayer/chain/fastKeccak.ts'
import { createLocalSigner } from '#relayer/chain/localSigner.ts'
import {
  SettleDataError,
  readSettleData,
  settleData,
  settleManyData,
  settleManySelector,
  settleSelector,
} from '#relayer/chain/settleData.ts'
import { prepareTransaction } from '#relayer/chain/transactionBytes.ts'
import { type Hex, concatBytes, toHex } from '#schemas/bytes.ts'
import { keccak } from '#schemas/keccak.ts'
import { keccakPairs } from '#schemas/merkle/pairHashers.ts'
import { encodeReport } from '#schemas/report.ts'
import { testReport, testStream } from '../support/testStream.ts'

const hash = fc.uint8Array({ minLength: 32, maxLength: 32 }).map(toHex)
const uint256 = fc.bigInt({ min: 0n, max: 2n ** 256n - 1n })
const uint64 = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n })
const uint32 = fc.integer({ min: 0, max: 2 ** 32 - 1 })
const report = fc.record({ subject: fc.nat(9999), period: fc.nat(9999) })

describe('call data of settlements', () => {
  it('one settlement is the bytes that the contract’s ABI gives, and reads back', () => {
    fc.assert(
      fc.property(
        uint256,
        report,
        uint64,
        uint32,
        fc.array(hash, { maxLength: 32 }),
        (agreementId, { subject, period }, sequence, index, path) => {
          const given = testReport(subject, period)
          const inclusion = { stream: testStream, sequence, index, path }
          const data = settleData(agreementId, encodeReport(given), inclusion)
          const args = [agreementId, given, inclusion] as const
          expect(data).toBe(
            encodeFunctionData({ abi: reportConsumerAbi, functionName: 'settle', args }),
          )
          const parts = readSettleData(data)
          expect(BigInt(`0x${parts.agreementId}`)).toBe(agreementId)
          expect(`0x${parts.report}`).toBe(toHex(encodeReport(given)))
          expect(`0x${parts.stream}`).toBe(testStream)
          expect(BigInt(`0x${parts.sequence}`)).toBe(sequence)
          expect([parts.index, parts.path]).toEqual([index, path])
        },
      ),
    )
  })

  it('many settlements are the bytes that the contract’s ABI gives', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(uint256, report), { minLength: 1, maxLength: 20 }),
        uint64,
        fc.array(hash, { maxLength: 40 }),
        (entries, sequence, proof) => {
          const reports = entries.map(([, { subject, period }]) => testReport(subject, period))
          const parts = entries.map(([agreementId], index) =>
            readSettleData(
              settleData(agreementId, encodeReport(reports[index] ?? testReport(0, 0)), {
                stream: testStream,
                sequence,
                index,
                path: [],
              }),
            ),
          )
          const indices = entries.map((_, index) => index)
          const args = [
            entries.map(([agreementId]) => agreementId),
            reports,
            { stream: testStream, sequence, indices, proof },
          ] as const
          expect(settleManyData(parts, proof)).toBe(
            encodeFunctionData({ abi: reportConsumerAbi, functionName: 'settleMany', args }),
          )
        },
      ),
      { numRuns: 30 },
    )
  })

  it('the selectors are those of the ABI', () => {
    const selectorOf = (name: string): Hex | undefined =>
      reportConsumerAbi.flatMap((entry) =>
        entry.type === 'function' && entry.name === name ? [toFunctionSelector(entry)] : [],
      )[0]
    expect(settleSelector).toBe(selectorOf('settle'))
    expect(settleManySelector).toBe(selectorOf('settleMany'))
  })

  it('call data of another shape is no settlement of one report', () => {
    const inclusion = { stream: testStream, sequence: 1n, index: 3, path: [testStream] }
    const good = settleData(7n, encodeReport(testReport(0, 1)), inclusion)
    for (const bad of [
      `${settleManySelector}${good.slice(10)}`,
      good.slice(0, -2),
      `${good}00`,
      good.slice(0, 400),
      '0x',
    ] as Hex[]) {
      expect(() => readSettleData(bad)).toThrow(SettleDataError)
    }
    expect(() => settleManyData([], [])).toThrow(SettleDataError)
  })
})

describe('hashes of the relayer', () => {
  it('agree with the implementation that everything else uses', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 700 }), (bytes) => {
        expect(fastKeccak(bytes)).toEqual(keccak(bytes))
      }),
    )
    const pairs = new Uint8Array(64 * 9).map((_, at) => (at * 31) % 256)
    expect(fastKeccakPairs(pairs)).toEqual(keccakPairs(pairs))
    expect(fastKeccakPairs(new Uint8Array())).toEqual(new Uint8Array())
  })

  it('of a message that is part of a larger array, that part is hashed', () => {
    const whole = concatBytes(new Uint8Array(3).fill(9), new Uint8Array(40).fill(1))
    expect(fastKeccak(whole.subarray(3))).toEqual(keccak(new Uint8Array(40).fill(1)))
  })
})

describe('signed transactions', () => {
  const key: Hex = `0x${'17'.repeat(32)}`

  it('are the bytes that viem’s serializer and signer give', async () => {
    const account = privateKeyToAccount(key)
    const signer = createLocalSigner(key, 'SENDER_KEY')
    await fc.assert(
      fc.asyncProperty(
        fc.record({
          chainId: fc.integer({ min: 1, max: 2 ** 40 }),
          nonce: fc.oneof(fc.nat(200), fc.nat(2 ** 31 - 1)),
          to: fc.uint8Array({ minLength: 20, maxLength: 20 }).map(toHex),
          data: fc.oneof(
            fc.uint8Array({ maxLength: 70 }).map(toHex),
            fc
              .constantFrom(56, 255, 256, 65_535, 65_536, 70_000)
              .map((length): Hex => `0x${'7f'.repeat(length)}`),
          ),
          valueWei: fc.bigInt({ min: 0n, max: 2n ** 100n }),
          gasLimit: fc.bigInt({ min: 21_000n, max: 30_000_000n }),
          fees: fc.tuple(
            fc.bigInt({ min: 0n, max: 2n ** 60n }),
            fc.bigInt({ min: 0n, max: 2n ** 60n }),
          ),
        }),
        async ({ fees: [one, other], ...transaction }) => {
          const [tip, most] = one < other ? [one, other] : [other, one]
          const ours = await signer.sign({
            ...transaction,
            maxFeePerGasWei: most,
            maxPriorityFeePerGasWei: tip,
          })
          const theirs = await account.signTransaction({
            type: 'eip1559',
            chainId: transaction.chainId,
            nonce: transaction.nonce,
            to: transaction.to,
            data: transaction.data,
            value: transaction.valueWei,
            gas: transaction.gasLimit,
            maxFeePerGas: most,
            maxPriorityFeePerGas: tip,
          })
          expect(ours).toEqual({ raw: theirs, hash: keccak256(theirs) })
        },
      ),
      { numRuns: 60 },
    )
  })

  it('carry the signature over exactly what was prepared', () => {
    const { digest, finish } = prepareTransaction({
      chainId: 1,
      nonce: 0,
      to: `0x${'cc'.repeat(20)}`,
      data: '0x',
      gasLimit: 21_000n,
      maxFeePerGasWei: 2n,
      maxPriorityFeePerGasWei: 1n,
    })
    const { r, s, recovery } = secp256k1.sign(digest, key.slice(2))
    const { raw, hash: name } = finish({ r, s, yParity: recovery === 0 ? 0 : 1 })
    expect(keccak256(raw)).toBe(name)
  })
})
