import { parentPort, workerData } from 'node:worker_threads'
import { createBundleMemory } from '#verifier/bundle/bundleMemory.ts'
import { type TrustFiles, readTrust } from '../trust.ts'
import { auditBundle } from './auditBundle.ts'

/** Examines the files it is handed, a few at a time, and answers each lot before the next. */
const options = { ...readTrust(workerData as TrustFiles), memory: createBundleMemory() }
parentPort?.on('message', (files: readonly string[]) => {
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread's has no such argument
  parentPort?.postMessage(files.map((file) => auditBundle(file, options)))
})
