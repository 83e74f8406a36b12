import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { ed25519 } from '@noble/curves/ed25519'
import { secp256k1 } from '@noble/curves/secp256k1'
import { DstackClient } from '@phala/dstack-sdk'
import { describe, expect, it } from 'vitest'
import { readFixture } from '#localnet/agent/fixture.ts'
import { deriveAppKey } from '#localnet/agent/keys.ts'
import { encodeAttestationV0 } from '#localnet/agent/scale.ts'
import { startGuestAgent } from '#localnet/agent/server.ts'
import { createPlatform } from '#localnet/tdx/platform.ts'
import { replayLog } from '#localnet/tdx/image.ts'
import { runtimeEvent } from '#localnet/agent/eventLog.ts'
import { describeShared } from '#test/shared.ts'

const now = Date.UTC(2026, 8, 1, 12) / 1000
const reportData = new Uint8Array(64).fill(7)
const quote = createPlatform({ now }).mintQuote({ reportData })
const text = (content: string) => new TextEncoder().encode(content)

describe('localnet/agent/fixture', () => {
  it.each([
    ['raw bytes', quote],
    ['hex', text(`${Buffer.from(quote).toString('hex')}\n`)],
    ['hex with a prefix', text(`0x${Buffer.from(quote).toString('hex')}`)],
    ['a JSON array of bytes', text(JSON.stringify([...quote]))],
    [
      'the JSON of a GetQuote answer',
      text(JSON.stringify({ quote: Buffer.from(quote).toString('hex'), event_log: '[]' })),
    ],
    [
      'an attestation.bin',
      encodeAttestationV0({ quote, events: [], reportData, config: '{"vm_config":"{}"}' }),
    ],
  ])('reads a quote from %s', (_, content) => {
    expect(readFixture(content).quote).toEqual(quote)
  })

  it('keeps every event of an attestation.bin', () => {
    const events = [runtimeEvent('app-id', Uint8Array.of(1)), runtimeEvent('system-ready', quote)]
    const bytes = encodeAttestationV0({ quote, events, reportData, config: '{"vm_config":"{}"}' })
    expect(readFixture(bytes)).toMatchObject({ events, vmConfig: '{}' })
    expect(() => readFixture(bytes.subarray(0, bytes.length - 40))).toThrow(
      'The fixture holds no TDX quote of version 4 or 5.',
    )
  })

  it.each([
    ['nothing', new Uint8Array(0)],
    ['text', text('quote')],
    ['other JSON', text('{"a":1}')],
    ['an SGX quote', Uint8Array.of(4, ...new Uint8Array(700))],
    ['a short quote', quote.subarray(0, 600)],
  ])('refuses %s with a remedy', (_, content) => {
    expect(() => readFixture(content)).toThrow('The fixture holds no TDX quote of version 4 or 5.')
  })

  it('fixture mode hands out the quote as it is, patched mode writes report data into it', async () => {
    const fixture = readFixture(quote)
    const asked = Uint8Array.of(1, 2, 3)
    const answerIn = async (mode: 'fixture' | 'patched') => {
      const agent = await startGuestAgent({ composeFile: '{}', mode, fixture })
      const answer = await new DstackClient(agent.endpoint).getQuote(asked)
      await expect(new DstackClient(agent.endpoint).getQuote('x')).resolves.toBeDefined()
      await agent.close()
      return answer
    }
    const genuine = await answerIn('fixture')
    expect(genuine.quote).toBe(Buffer.from(quote).toString('hex'))
    expect(genuine.report_data).toBe(Buffer.from(reportData).toString('hex'))
    const patched = await answerIn('patched')
    expect(patched.report_data).toBe(`010203${'00'.repeat(61)}`)
    expect(patched.quote).toBe(
      genuine.quote.replace('07'.repeat(64), patched.report_data ?? 'no report data'),
    )
  })

  it('a genuine quote cannot be extended', async () => {
    const agent = await startGuestAgent({
      composeFile: '{}',
      mode: 'fixture',
      fixture: readFixture(quote),
    })
    const response = await fetch(`${agent.endpoint}/EmitEvent?event=a&payload=`)
    expect(await response.json()).toEqual({
      error: 'A genuine quote cannot be extended in fixture mode',
    })
    // Collateral of our own says nothing of somebody else's quote.
    expect((await fetch(`${agent.endpoint}/sgx/certification/v4/rootcacrl`)).status).toBe(404)
    await agent.close()
  })
})

describeShared("localnet/agent beside dstack's own fixtures", 'vectors/tdx/dstack', (folder) => {
  const fixture = readFixture(readFileSync(join(folder, 'simulator_attestation.bin')))
  const appKeys = JSON.parse(readFileSync(join(folder, 'simulator_appkeys.json'), 'utf8')) as {
    k256_key: string
    k256_signature: string
  }
  const keys = {
    k256Key: Uint8Array.from(Buffer.from(appKeys.k256_key, 'hex')),
    k256Signature: Uint8Array.from(Buffer.from(appKeys.k256_signature, 'hex')),
  }

  it("reads upstream's attestation.bin and writes it back to the byte", () => {
    const file = readFileSync(join(folder, 'simulator_attestation.bin'))
    const config = file.subarray(file.indexOf('{"kms_urls"')).toString()
    expect(Buffer.from(fixture.quote)).toEqual(readFileSync(join(folder, 'simulator_quote.bin')))
    const encoded = encodeAttestationV0({
      quote: fixture.quote,
      events: fixture.events,
      reportData: new Uint8Array(64),
      config,
    })
    expect(Buffer.compare(Buffer.from(encoded), file)).toBe(0)
  })

  it('runtime events have the digests that the genuine quote was extended with', () => {
    const own = fixture.events
      .filter(({ imr }) => imr === 3)
      .map(({ event, event_payload }) => runtimeEvent(event, Buffer.from(event_payload, 'hex')))
    expect(own).toEqual(fixture.events.filter(({ imr }) => imr === 3))
    expect(replayLog(own, 3)).toEqual(fixture.registers.rtmr3)
  })

  it.each(['getquote_full_digests.json', 'getquote_stripped_digests.json'])(
    'reads the answer of a real agent: %s',
    (name) => {
      const real = readFixture(readFileSync(join(folder, name)))
      expect(real.events.length).toBeGreaterThan(20)
      expect(replayLog(real.events, 0)).toEqual(real.registers.rtmr0)
    },
  )

  it("derives from upstream's development key what upstream derives", () => {
    const { key } = deriveAppKey(keys, { path: 'vms', purpose: 'signing', algorithm: '' })
    const base64url = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64url')
    // Constants of upstream's tests for the key of path vms.
    expect(base64url(secp256k1.getPublicKey(key, true))).toBe(
      'A2EF8B0f14FWj3wgiwh7HE9SJgFBDtfpx4cNVz3nxG1U',
    )
    expect(base64url(ed25519.getPublicKey(key))).toBe('aY9WvVh9jOPKjbDhw2G6nRkAifmNxNnfgA_5LtBzpl0')
  })

  it('serves a genuine quote to the SDK, whose own replay of firmware registers agrees', async () => {
    const agent = await startGuestAgent({
      composeFile: '{}',
      mode: 'fixture',
      fixture,
      appKeys: keys,
      stripsDigests: false,
    })
    const answer = await new DstackClient(agent.endpoint).getQuote('')
    expect(answer.quote).toBe(Buffer.from(fixture.quote).toString('hex'))
    const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')
    const { rtmr0, rtmr1, rtmr2, rtmr3 } = fixture.registers
    expect(answer.replayRtmrs()).toEqual([rtmr0, rtmr1, rtmr2, rtmr3].map(hex))
    const info = await new DstackClient(agent.endpoint).info()
    expect(info.tcb_info.rtmr3).toBe(hex(rtmr3))
    // From the log of the genuine quote, not from the compose file.
    expect(info).toMatchObject({
      app_id: '5bb4ff9a3837357f19dc176407a5709c62eb6c56',
      compose_hash: 'c143116fef3940e7f776bfc0919c256232ae5338a6e948c96b711e0b2383483a',
      instance_id: '1691ed1b47506cad7d08834668691d88246f5b1f',
    })
    expect(info.key_provider_info).toContain('"name":"kms"')
    await agent.close()
  })
})
