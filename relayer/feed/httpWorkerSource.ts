import { BaseError } from '#schemas/errors.ts'
import {
  attestationSchema,
  batchPageSchema,
  readMessage,
  reportPageSchema,
} from '#schemas/workerApi.ts'
import type { Fetch, WorkerSource } from '../ports.ts'

/** Raised when the worker does not answer, or answers with a failure. */
export class WorkerUnavailableError extends BaseError {
  override readonly name = 'WorkerUnavailableError'
  override readonly retryable = true
}

/** Some two megabytes of JSON. */
const reportsPerPage = 1_000

/** A page of twenty full batches stays far below this. */
const answerLimitCharacters = 64 * 1024 * 1024

/** Reads a worker over HTTP. Everything that comes back is checked against its schema. */
export function createHttpWorkerSource(
  baseUrl: string,
  fetch: Fetch,
  timeoutMs = 15_000,
): WorkerSource {
  const base = baseUrl.replace(/\/+$/, '')

  async function get(path: string): Promise<unknown> {
    let text: string
    try {
      const response = await fetch(`${base}${path}`, {
        method: 'GET',
        headers: { accept: 'application/json' },
        signal: AbortSignal.timeout(timeoutMs),
      })
      text = await response.text()
      if (!response.ok) {
        throw new WorkerUnavailableError(`The worker answered with HTTP ${response.status}.`, {
          field: path,
        })
      }
    } catch (cause) {
      if (cause instanceof WorkerUnavailableError) throw cause
      throw new WorkerUnavailableError('The worker could not be reached.', { field: path, cause })
    }
    if (text.length > answerLimitCharacters) {
      throw new WorkerUnavailableError('The worker’s answer is too large.', { field: path })
    }
    try {
      return JSON.parse(text)
    } catch (cause) {
      throw new WorkerUnavailableError('The worker’s answer is not JSON.', { field: path, cause })
    }
  }

  return {
    async batches(after, limit) {
      const value = await get(`/v1/batches?after=${after}&limit=${limit}`)
      return readMessage(batchPageSchema, value, 'batch page')
    },
    async reports(sequence, from) {
      const query = `from=${from}&limit=${reportsPerPage}`
      const value = await get(`/v1/batches/${sequence}/reports?${query}`)
      return readMessage(reportPageSchema, value, 'report page')
    },
    async attestation(chainId, signer) {
      const value = await get(`/v1/attestation?chain=${chainId}&signer=${signer}`)
      return readMessage(attestationSchema, value, 'attestation')
    },
  }
}
