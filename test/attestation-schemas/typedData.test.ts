import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { encodeAbiParameters, hashDomain, hashStruct, hashTypedData, recoverAddress } from 'viem'
import { describe, expect, it } from 'vitest'
import { batchDigest, batchStructure } from '#schemas/batch.ts'
import { receiptDigest, receiptStructure } from '#schemas/receipt.ts'
import { encodeReport, reportLeaf, reportStructure } from '#schemas/report.ts'
import { rosterLeaf, rosterStructure } from '#schemas/roster.ts'
import { recoverSigner } from '#schemas/signatures.ts'
import { possessionDigest, statementHash, statementStructure } from '#schemas/statement.ts'
import { type TypedStructure, domainSeparatorHex, signingDomain } from '#schemas/typedData.ts'
import { batchSchema, reportSchema, statementSchema } from '#schemas/workerApi.ts'
import { root } from '#tools/paths.ts'

type Message = Record<string, unknown>

function vectors<Case>(name: string): Case[] {
  const file = join(root, 'attestation-schemas', 'vectors', `${name}.json`)
  return (JSON.parse(readFileSync(file, 'utf8')) as { cases: Case[] }).cases
}

/** viem's answers to the same questions: the second opinion on every golden vector. */
function viemStructHash(structure: TypedStructure, message: Message) {
  return hashStruct({
    primaryType: structure.name,
    types: { [structure.name]: [...structure.fields] },
    data: message,
  })
}

function viemDigest(structure: TypedStructure, message: Message) {
  return hashTypedData({
    domain: signingDomain,
    primaryType: structure.name,
    types: { [structure.name]: [...structure.fields] },
    message,
  })
}

type Hex = `0x${string}`
type Signed = { digest: Hex; signature: Hex; signer: Hex }

describe('golden vectors agree with an independent EIP-712 implementation', () => {
  it('the domain has a name and a version and nothing that ties it to a chain', () => {
    expect(domainSeparatorHex).toBe(
      hashDomain({
        domain: signingDomain,
        types: {
          EIP712Domain: [
            { name: 'name', type: 'string' },
            { name: 'version', type: 'string' },
          ],
        },
      }),
    )
  })

  it('reports: ABI bytes and leaf', () => {
    const cases = vectors<{ report: Message; encoded: Hex; leaf: Hex }>('reports')
    expect(cases.length).toBeGreaterThan(3)
    for (const { report: json, encoded, leaf } of cases) {
      const report = reportSchema.parse(json)
      expect(Buffer.from(encodeReport(report)).toString('hex')).toBe(encoded.slice(2))
      expect(reportLeaf(report)).toBe(leaf)
      expect(viemStructHash(reportStructure, report)).toBe(leaf)
      expect(
        encodeAbiParameters(
          [...reportStructure.fields],
          reportStructure.fields.map(({ name }) => (report as Message)[name]),
        ),
      ).toBe(encoded)
    }
  })

  it('batches: digest, signature and the link from one to the next', async () => {
    const cases = vectors<{ batch: Message } & Signed>('batches')
    const [first, second] = cases
    expect(second?.batch['previous']).toBe(first?.digest)
    for (const { batch: json, digest, signature, signer } of cases) {
      const batch = batchSchema.parse(json)
      expect(batchDigest(batch)).toBe(digest)
      expect(viemDigest(batchStructure, batch)).toBe(digest)
      expect(recoverSigner(digest, signature)).toBe(signer)
      expect((await recoverAddress({ hash: digest, signature })).toLowerCase()).toBe(signer)
    }
  })

  it('statements: structure hash, report data and possession', () => {
    for (const item of vectors<
      { statement: Message; structHash: Hex; blockHash: Hex; reportData: Hex } & Signed
    >('statements')) {
      const statement = statementSchema.parse(item.statement)
      expect(statementHash(statement)).toBe(item.structHash)
      expect(viemStructHash(statementStructure, statement)).toBe(item.structHash)
      expect(item.reportData).toBe(`${item.structHash}${item.blockHash.slice(2)}`)
      expect(possessionDigest(statement)).toBe(item.digest)
      expect(viemDigest(statementStructure, statement)).toBe(item.digest)
      expect(recoverSigner(item.digest, item.signature)).toBe(statement.signer)
    }
  })

  it('receipts and roster entries', () => {
    for (const { receipt, digest } of vectors<{ receipt: Record<string, Hex> } & Signed>(
      'receipts',
    )) {
      const message = {
        device: receipt['device'] as Hex,
        stream: receipt['stream'] as Hex,
        packHash: receipt['packHash'] as Hex,
        packSequence: BigInt(receipt['packSequence'] ?? ''),
        nextBatchSequence: BigInt(receipt['nextBatchSequence'] ?? ''),
      }
      expect(receiptDigest(message)).toBe(digest)
      expect(viemDigest(receiptStructure, message)).toBe(digest)
    }
    for (const { entry, leaf } of vectors<{ entry: Record<string, string | number>; leaf: Hex }>(
      'rosters',
    )) {
      const message = {
        ...(entry as unknown as Parameters<typeof rosterLeaf>[0]),
        firstSequence: BigInt(entry['firstSequence'] ?? ''),
        lastSequence: BigInt(entry['lastSequence'] ?? ''),
      }
      expect(rosterLeaf(message)).toBe(leaf)
      expect(viemStructHash(rosterStructure, message)).toBe(leaf)
    }
  })
})
