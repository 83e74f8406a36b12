import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Ajv2020 } from 'ajv/dist/2020.js'
import { describe, expect, it } from 'vitest'
import batches from '#schemas/vectors/batches.json' with { type: 'json' }
import receipts from '#schemas/vectors/receipts.json' with { type: 'json' }
import reports from '#schemas/vectors/reports.json' with { type: 'json' }
import rosters from '#schemas/vectors/rosters.json' with { type: 'json' }
import statements from '#schemas/vectors/statements.json' with { type: 'json' }
import { receiptDigest } from '#schemas/receipt.ts'
import { placedReceiptDigest, receiptTreeOf, receiptTreeDigest } from '#schemas/receiptTree.ts'
import * as workerAnswers from '#schemas/workerAnswers.ts'
import * as workerApi from '#schemas/workerApi.ts'
import { readMessage, writeMessage } from '#schemas/workerApi.ts'
import { formats, schemaFiles } from '#tools/jsonSchemas.ts'
import { root } from '#tools/paths.ts'

function validator(name: string) {
  const file = join(root, 'attestation-schemas', 'json-schema', `${name}.schema.json`)
  return new Ajv2020({ strict: true, allowUnionTypes: true }).compile(
    JSON.parse(readFileSync(file, 'utf8')) as object,
  )
}

const signedReceipts = receipts.cases.map(({ receipt, signature }) => ({ receipt, signature }))
const [firstReceipt] = signedReceipts
const [firstRosterLine] = rosters.cases
const [batchHead] = batches.cases
const zero = `0x${'00'.repeat(32)}`
const refusal = { name: 'EquivocationError', message: 'Two packs of one number.', retryable: false }
const placed = { ...firstReceipt, place: { count: 2, index: 1, path: [zero] } }
const treeAnswer = {
  tree: { root: zero, count: 2, signature: firstReceipt?.signature },
  answers: [{ refusal }, { receipt: firstReceipt?.receipt, index: 1, path: [zero] }],
}
const rosterPlace = {
  ...batchHead,
  entry: firstRosterLine?.entry,
  index: 0,
  path: [],
  packs: [{ sequence: '1', hash: zero }],
}

/** Schemas that only stand inside others, and makers of schemas. */
const parts = [
  'batchHeadSchema',
  'deviceCalibrationSchema',
  'equivocationSchema',
  'hexSchema',
  'provenReportSchema',
  'refusalSchema',
  'rosterEntrySchema',
  'signedSchema',
  'uint32Schema',
  'unsignedSchema',
]

describe('published JSON Schemas', () => {
  it('are there for everything that a worker says', () => {
    const published = new Set<unknown>(Object.values(formats).map(({ schema }) => schema))
    const unpublished = Object.entries({ ...workerApi, ...workerAnswers })
      .filter(([name, schema]) => name.endsWith('Schema') && !published.has(schema))
      .map(([name]) => name)
    expect(unpublished.toSorted()).toEqual(parts)
  })

  it.each(schemaFiles().map(({ path, text }) => [path.split('/').at(-1), path, text]))(
    '%s is what the decoder says',
    (_name, path, text) => {
      expect(readFileSync(path ?? '', 'utf8')).toBe(text)
    },
  )

  it('accept every golden vector, by a validator that nobody here wrote', () => {
    const samples: [string, unknown[]][] = [
      ['report', reports.cases.map(({ report }) => report)],
      ['batch', batches.cases.map(({ batch }) => batch)],
      ['statement', statements.cases.map(({ statement }) => statement)],
      ['receipt', receipts.cases.map(({ receipt }) => receipt)],
      ['signed-receipt', [...signedReceipts, placed]],
      ['pack-answers', [[...signedReceipts, { refusal }]]],
      ['pack-tree-answer', [{ answers: [{ refusal }] }, treeAnswer]],
      ['roster', [{ ...batchHead, roster: rosters.cases.map(({ entry }) => entry) }]],
      ['roster-place', [rosterPlace]],
      ['problem', [{ error: refusal }]],
    ]
    for (const [name, values] of samples) {
      const validate = validator(name)
      expect(values.length).toBeGreaterThan(0)
      for (const value of values) {
        expect(validate(value), JSON.stringify(validate.errors)).toBe(true)
      }
    }
  })

  it('refuse an unknown version, an unknown field and a number where text is demanded', () => {
    const validate = validator('report')
    const [sample] = reports.cases
    expect(validate({ ...sample?.report, version: 2 })).toBe(false)
    expect(validate({ ...sample?.report, surprise: 1 })).toBe(false)
    expect(validate({ ...sample?.report, valueMicro: 5 })).toBe(false)
  })

  it('refuse a receipt with an unknown field, a sequence as a number, a proof cut short', () => {
    const validate = validator('signed-receipt')
    const { receipt, signature = '' } = firstReceipt ?? {}
    expect(validate({ receipt: { ...receipt, surprise: 1 }, signature })).toBe(false)
    expect(validate({ receipt: { ...receipt, packSequence: 42 }, signature })).toBe(false)
    expect(validate({ receipt, signature: signature.slice(0, -2) })).toBe(false)
    expect(validate({ receipt })).toBe(false)
    expect(validate({ ...placed, place: { index: 0, count: 1 } })).toBe(false)
  })
})

describe('a receipt kept as a file', () => {
  const read = (value: unknown) =>
    readMessage(workerAnswers.signedReceiptSchema, value, 'signed receipt')

  it.each(receipts.cases)('reads back to what the worker signed: $digest', (sample) => {
    const signed = read({ receipt: sample.receipt, signature: sample.signature })
    expect(receiptDigest(signed.receipt)).toBe(sample.digest)
    expect(JSON.parse(writeMessage(signed))).toEqual({
      receipt: sample.receipt,
      signature: sample.signature,
    })
  })

  it('reads back with its place in a tree', () => {
    const { receipt } = read(firstReceipt)
    const tree = receiptTreeOf(receipt.stream, [receipt])
    const signed = read({ ...firstReceipt, place: { count: 1, index: 0, path: [] } })
    if (!('place' in signed)) throw new Error('the place is lost')
    expect(placedReceiptDigest(signed.receipt, signed.place)).toBe(receiptTreeDigest(tree))
  })

  it('is refused by the field that is wrong', () => {
    const { receipt, signature } = firstReceipt ?? {}
    expect(() =>
      readMessage(workerAnswers.receiptSchema, { ...receipt, packSequence: '-1' }, 'receipt'),
    ).toThrowErrorMatchingInlineSnapshot(`
      [InvalidMessageError: The receipt is not well formed.
      Field: receipt.packSequence
      Problem: must be an unsigned decimal integer as text
      Remedy: Compare the message with the published JSON Schema of its format.]
    `)
    expect(() => read({ receipt, signature, surprise: true })).toThrow(
      'The signed receipt is not well formed.',
    )
  })
})
