import canonicalize from 'canonicalize'
import { readBundle, writeBundle } from '#schemas/bundle.ts'
import { BaseError } from '#schemas/errors.ts'
import { decodePolicy, policyBytes, templates } from '#schemas/policy/policy.ts'
import { decodeReport, encodeReport } from '#schemas/report.ts'
import {
  attestationSchema,
  batchPageSchema,
  batchSchema,
  readMessage,
  reportSchema,
  signedBatchSchema,
  statementSchema,
  writeMessage,
} from '#schemas/workerApi.ts'
import batches from '#schemas/vectors/batches.json' with { type: 'json' }
import reports from '#schemas/vectors/reports.json' with { type: 'json' }
import statements from '#schemas/vectors/statements.json' with { type: 'json' }
import { makeBundle } from '../support/makeBundle.ts'
import { type Fuzzer, type Random, fuzzMain } from './harness.ts'

/** Values that decoders are known to stumble over. */
const oddities: readonly unknown[] = [
  null,
  true,
  -1,
  0,
  1.5,
  1e308,
  2 ** 53,
  '',
  '0x',
  '0X00',
  '00',
  '-0',
  '1e3',
  ' 1',
  '99999999999999999999999999999999999999999999999999999999999999999999999999999999',
  'ü',
  '\u0000',
  '__proto__',
  [],
  {},
  [[[[]]]],
  { constructor: {} },
]

/** A copy of its own: later rounds change what earlier ones put in. */
function oddity(random: Random): unknown {
  return structuredClone(random.pick(oddities))
}

/** One to three fields of a document replaced, removed, added or nudged. */
function mutate(document: unknown, random: Random): unknown {
  const copy = structuredClone(document)
  for (let round = random.below(3); round >= 0; round -= 1) mutateOnce(copy, random)
  return copy
}

function mutateOnce(value: unknown, random: Random): void {
  let holder = value
  while (typeof holder === 'object' && holder !== null) {
    const fields = holder as Record<string, unknown>
    const keys = Object.keys(fields)
    if (keys.length === 0) {
      fields['surprise'] = oddity(random)
      return
    }
    const key = random.pick(keys)
    const child = fields[key]
    if (typeof child === 'object' && child !== null && random.below(4) > 0) {
      holder = child
      continue
    }
    const kind = random.below(6)
    if (kind === 0) delete fields[key]
    else if (kind === 1) fields[`${key}s`] = child
    else if (kind === 2 && typeof child === 'string' && child.length > 0) {
      const at = random.below(child.length)
      fields[key] =
        child.slice(0, at) + random.pick(['0', 'f', 'x', '.', '-']) + child.slice(at + 1)
    } else if (kind === 3 && typeof child === 'number') fields[key] = child + random.below(5) - 2
    else if (Array.isArray(child) && kind === 4) child.push(...child)
    else fields[key] = oddity(random)
    return
  }
}

/** What a door must do: give a value, or refuse with an error of ours. Nothing else. */
function accepts<Value>(read: () => Value): { readonly value: Value } | undefined {
  try {
    return { value: read() }
  } catch (error) {
    if (error instanceof BaseError) return undefined
    throw error
  }
}

function must(condition: boolean, law: string): void {
  if (!condition) throw new Error(law)
}

/** Where two texts part, with what stands there. */
function difference(left: string, right: string): string {
  let at = 0
  while (at < left.length && left[at] === right[at]) at += 1
  return `${left.slice(Math.max(0, at - 60), at + 40)} / ${right.slice(Math.max(0, at - 60), at + 40)}`
}

const reportBytes: Fuzzer = {
  name: 'report-abi',
  attempt: (random) => {
    const sample = reportSchema.parse(random.pick(reports.cases).report)
    const bytes = encodeReport(sample)
    for (let round = random.below(4); round > 0; round -= 1) {
      bytes[random.below(bytes.length)] = random.below(256)
    }
    const cut = random.below(8) === 0 ? bytes.subarray(0, random.below(bytes.length)) : bytes
    const read = accepts(() => decodeReport(cut))
    if (read === undefined) return false
    must(
      Buffer.from(encodeReport(read.value)).equals(Buffer.from(cut)),
      'What is decoded encodes to the same bytes.',
    )
    return true
  },
}

const signedBatch = {
  batch: batches.cases[0]?.batch,
  digest: batches.cases[0]?.digest,
  signature: batches.cases[0]?.signature,
  signer: batches.cases[0]?.signer,
  reports: reports.cases.map(({ report }, index) => ({
    subjectName: 'a',
    policyName: 'b',
    report,
    index,
    path: [],
    lastReadingMs: '1',
    lastReceivedMs: '2',
  })),
}

const { content: bundle } = makeBundle()

const messageSamples = [
  [reportSchema, reports.cases[0]?.report],
  [batchSchema, batches.cases[0]?.batch],
  [statementSchema, statements.cases[0]?.statement],
  [signedBatchSchema, signedBatch],
  [batchPageSchema, { stream: signedBatch.batch?.stream, batches: [signedBatch], head: '1' }],
  [attestationSchema, bundle['attestation']],
] as const

const messages: Fuzzer = {
  name: 'messages',
  attempt: (random) => {
    const [schema, sample] = random.pick(messageSamples)
    const mutated = mutate(sample, random)
    const read = accepts(() => readMessage<unknown>(schema, mutated, 'message'))
    if (read === undefined) return false
    const again = canonicalize(JSON.parse(writeMessage(read.value))) ?? ''
    const before = canonicalize(mutated) ?? ''
    must(again === before, `What is read is written again as it was: ${difference(again, before)}`)
    return true
  },
}

const bundles: Fuzzer = {
  name: 'bundles',
  attempt: (random) => {
    const mutated = mutate(JSON.parse(writeBundle(bundle)), random)
    return accepts(() => readBundle(mutated)) !== undefined
  },
}

const policyTemplates = Object.values(templates)

const policies: Fuzzer = {
  name: 'policies',
  attempt: (random) => {
    const mutated = mutate(random.pick(policyTemplates), random)
    const read = accepts(() => decodePolicy(mutated))
    if (read === undefined) return false
    must(
      new TextDecoder().decode(policyBytes(read.value)) === canonicalize(mutated),
      'A policy’s canonical bytes are those of the document that was read.',
    )
    return true
  },
}

export const documentFuzzers = [reportBytes, messages, bundles, policies]

if (import.meta.main) fuzzMain(documentFuzzers)
