import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Command } from 'commander'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { EvidenceNotBoundError, fetchEvidence } from '#cli/image/fetchEvidence.ts'
import { registerImage } from '#cli/image.ts'
import { createPlatform } from '#localnet/tdx/platform.ts'
import { strictPolicy } from '#localnet/tdx/strictPolicy.ts'
import { fromHex, type Hex } from '#schemas/bytes.ts'
import { createQuotePolicy } from '#verifier/appraisal/policy.ts'
import { decodeQuoteFile } from '#verifier/quote/decodeQuoteFile.ts'
import { verifyDstackEvidence } from '#verifier/dstack/verifyDstackEvidence.ts'
import { verifyQuoteWithCollateral } from '#verifier/quote/verifyQuote.ts'
import { mrConfigIdV1 } from '#verifier/dstack/mrConfigId.ts'
import { composeHash } from '#verifier/dstack/composeHash.ts'
import { readConfig } from '#worker/config.ts'
import { createPorts, type RunningWorker, startWorker } from '#worker/createWorker.ts'
import {
  anchorChainId,
  createTestDevice,
  type Rig,
  startRig,
  testConfig,
  testStream,
} from '#test/enclave-worker/rig.ts'

const nonce: Hex = `0x${'4e'.repeat(32)}`
const chainId = BigInt(anchorChainId)
const folder = mkdtempSync(join(tmpdir(), 'plumbline-fetch-'))
let rig: Rig
let worker: RunningWorker
let liar: Server
let liarUrl: string
/** How the one in the middle changes an answer. */
let change: (answer: Record<string, unknown>, isFresh: boolean) => void

beforeAll(async () => {
  rig = await startRig()
  const devices = [createTestDevice('meter', testStream)]
  // The local agent is a PCCS too, under the same address.
  const config = readConfig(
    testConfig(rig, rig.folder(), devices, { certificationService: rig.guestAgent }),
  )
  worker = await startWorker(
    config,
    createPorts(config, () => {}),
  )
  liar = createServer((request, response) => {
    void fetch(`${worker.url}${request.url}`)
      .then(async (answer) => (await answer.json()) as Record<string, unknown>)
      .then((answer) => {
        change(answer, request.url?.includes('nonce') ?? false)
        response.writeHead(200, { 'content-type': 'application/json' })
        response.end(JSON.stringify(answer))
      })
  })
  const listening = Promise.withResolvers<void>()
  liar.listen(0, '127.0.0.1', listening.resolve)
  await listening.promise
  liarUrl = `http://127.0.0.1:${(liar.address() as AddressInfo).port}`
})
afterAll(async () => {
  liar.close()
  liar.closeAllConnections()
  await worker.stop()
  await rig.stop()
  rmSync(folder, { recursive: true })
})

describe('evidence of a running worker', () => {
  it('is written as the files from which it can be verified', async () => {
    const program = new Command('plumbline').exitOverride()
    registerImage(program)
    const print = vi.spyOn(process.stdout, 'write').mockReturnValue(true)
    await program.parseAsync(
      ['image', 'fetch', '--url', worker.url, '--chain', String(chainId), '--out', folder],
      { from: 'user' },
    )
    const said = print.mock.calls.map(([text]) => String(text)).join('')
    print.mockRestore()
    expect(said).toContain(worker.signer)
    expect(said).not.toContain('Missing')

    const read = (name: string): Uint8Array => readFileSync(join(folder, name))
    const { quote, eventLog } = decodeQuoteFile(read('quote.json'))
    const appCompose = read('app-compose.json')
    const now = Math.floor(Date.now() / 1000)
    const platform = createPlatform({ now })
    const mrConfigId = fromHex(mrConfigIdV1(composeHash(appCompose)), 'mrConfigId')
    const appraisal = verifyQuoteWithCollateral(
      quote,
      JSON.parse(Buffer.from(read('collateral.json')).toString('utf8')),
      {
        now,
        rootCertificate: platform.rootCertificateDer,
        policy: createQuotePolicy(strictPolicy(platform, { mrConfigId })),
      },
    )
    const expectations = { appId: 'any', keyProviders: 'any', zeroMrConfigId: 'refuse' } as const
    const { composeHash: measured } = verifyDstackEvidence(
      appraisal,
      { eventLog, appCompose },
      expectations,
    )
    expect(measured).toBe(composeHash(appCompose))
  })

  it('names what the worker does not give', async () => {
    change = (answer) => {
      for (const name of ['eventLog', 'appCompose', 'collateral', 'collateralAtSeconds']) {
        delete answer[name]
      }
    }
    const { files, missing } = await fetchEvidence({ url: liarUrl, chainId, nonce })
    expect([...files.keys()]).toEqual(['quote.json', 'statement.json'])
    expect(missing).toHaveLength(3)
  })

  it.each<[string, typeof change, string]>([
    [
      'another nonce',
      (answer, isFresh) => {
        if (isFresh) answer['blockHash'] = `0x${'11'.repeat(32)}`
      },
      'The quote was made for something else.',
    ],
    [
      'another registry',
      (answer) => {
        Object.assign(answer['statement'] as object, { registry: `0x${'11'.repeat(20)}` })
      },
      'did not prove that it has the stated key',
    ],
    [
      'another quote for registries',
      (answer, isFresh) => {
        if (!isFresh) answer['blockHash'] = `0x${'11'.repeat(32)}`
      },
      'The quote was made for something else.',
    ],
  ])('for %s is not taken', async (_, lie, message) => {
    change = lie
    const failure = await fetchEvidence({ url: liarUrl, chainId, nonce }).catch(
      (error: unknown) => error,
    )
    expect(failure).toBeInstanceOf(EvidenceNotBoundError)
    expect(String(failure)).toContain(message)
  })
})
