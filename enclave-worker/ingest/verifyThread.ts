import { createHash } from 'node:crypto'
import { parentPort, workerData } from 'node:worker_threads'
import type { Hex } from '#schemas/bytes.ts'
import { createNodeSignatures } from '#schemas/adapters/nodeSignatures.ts'
import { createSpanRooter, takeSpan } from '../batches/spans.ts'
import { createPackChecker } from './checkPacks.ts'
import { type DeviceTable, readDeviceTable } from './deviceTable.ts'
import { refusalOf } from './refusals.ts'
import { createReceiptSigner } from './signReceipts.ts'
import type { ThreadAnswer, ThreadRequest } from './verifyPool.ts'

/**
 * Entry of a checking thread: bodies in, checked records out; receipts in, signatures out. When a
 * batch is closed it helps to hash.
 */

export type ThreadData = {
  readonly stream: Hex
  readonly devices: DeviceTable
  readonly keyCapacity: number
  readonly receiptKey: Uint8Array
}

const { stream, devices, keyCapacity, receiptKey } = workerData as ThreadData

let doorOf = readDeviceTable(devices)
const checker = createPackChecker(
  stream,
  createNodeSignatures({ capacity: keyCapacity }),
  (bytes) => createHash('sha256').update(bytes).digest(),
  (device) => doorOf(device),
)
const signReceipts = await createReceiptSigner(stream, receiptKey)
const rootSpan = await createSpanRooter()

function answer(request: Exclude<ThreadRequest, { kind: 'enrol' }>): ThreadAnswer {
  const { id } = request
  try {
    if (request.kind === 'sign') {
      return { id, kind: 'signed', signed: signReceipts(request.rows, request.mode) }
    }
    if (request.kind === 'spans') {
      const { work } = request
      for (let span = takeSpan(work); span !== undefined; span = takeSpan(work))
        rootSpan(work, span)
      return { id, kind: 'shared' }
    }
    return { id, kind: 'checked', body: checker.check(request.body, request.maxPacks) }
  } catch (error) {
    return { id, kind: 'refused', refusal: refusalOf(error) }
  }
}

parentPort?.on('message', (request: ThreadRequest) => {
  if (request.kind === 'enrol') {
    doorOf = readDeviceTable(request.devices)
    return
  }
  const reply = answer(request)
  const transfer = reply.kind === 'checked' ? [reply.body.records.buffer as ArrayBuffer] : []
  parentPort?.postMessage(reply, transfer)
})
