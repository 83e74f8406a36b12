import { createHash } from 'node:crypto'
import { parentPort, workerData } from 'node:worker_threads'
import type { Hex } from '#schemas/bytes.ts'
import { createNodeSignatures } from '#schemas/adapters/nodeSignatures.ts'
import { BaseError } from '#schemas/errors.ts'
import { type DeviceDoor, createPackChecker } from './checkPacks.ts'
import { refusalOf } from './refusals.ts'
import type { ThreadAnswer, ThreadRequest } from './verifyPool.ts'

/** Entry of a checking thread: bodies in, checked records out. It holds public keys only. */

const { stream, keyCapacity } = workerData as { stream: Hex; keyCapacity: number }

const checker = createPackChecker(
  stream,
  createNodeSignatures({ capacity: keyCapacity }),
  (bytes) => createHash('sha256').update(bytes).digest(),
)

parentPort?.on('message', (request: ThreadRequest) => {
  if (request.kind === 'enrol') {
    checker.enrol(request.devices satisfies readonly DeviceDoor[])
    return
  }
  let answer: ThreadAnswer
  try {
    answer = {
      id: request.id,
      kind: 'checked',
      body: checker.check(request.body, request.maxPacks),
    }
  } catch (error) {
    answer = {
      id: request.id,
      kind: 'refused',
      refusal: refusalOf(error),
      isDeliberate: error instanceof BaseError,
    }
  }
  const transfer = answer.kind === 'checked' ? [answer.body.records.buffer as ArrayBuffer] : []
  parentPort?.postMessage(answer, transfer)
})
