import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { sha384 } from '@noble/hashes/sha2'
import { describe, expect, it } from 'vitest'
import { toHex, utf8, type Hex } from '#schemas/bytes.ts'
import { describeShared } from '#test/shared.ts'
import { runtimeEvent, stripEvents } from '#localnet/agent/eventLog.ts'
import { localBootEvents, replayLog, type MeasuredEvent } from '#localnet/tdx/image.ts'
import { createPlatform } from '#localnet/tdx/platform.ts'
import { verifyCollateral } from '#verifier/collateral/verifyCollateral.ts'
import { intelRootCertificate } from '#verifier/collateral/intelRootCertificate.ts'
import { nodeCrypto } from '#verifier/crypto/adapters/nodeCrypto.ts'
import { composeHash } from '#verifier/dstack/composeHash.ts'
import { parseEventLog, replayRtmrs, runtimeEventType } from '#verifier/dstack/eventLog.ts'
import { mrConfigIdV1, mrConfigIdV2, mrConfigIdV3 } from '#verifier/dstack/mrConfigId.ts'
import {
  verifyDstackEvidence,
  type DstackExpectations,
} from '#verifier/dstack/verifyDstackEvidence.ts'
import { parseQuote } from '#verifier/quote/parseQuote.ts'
import { verifyQuote, verifyQuoteWithCollateral } from '#verifier/quote/verifyQuote.ts'
import {
  permissivePolicy,
  readCollateralFile,
  readQuote,
  refusalOf,
  refusedBy,
} from '../vectors.ts'

const now = 1_790_000_000
const platform = createPlatform({ now })
const collateral = verifyCollateral(platform.collateral(), {
  rootCertificate: platform.rootCertificateDer,
  now,
  crypto: nodeCrypto,
})

const appCompose = '{"name":"scales", "runner":"docker-compose"}'
const hash = composeHash(utf8(appCompose))
const appId = hash.slice(0, 42) as Hex
const instanceId: Hex = `0x${'ab'.repeat(20)}`
const provider = { name: 'kms', id: 'c0ffee' }
const bytes = (hex: Hex) => Buffer.from(hex.slice(2), 'hex')
const nothing = new Uint8Array()

const boot: readonly MeasuredEvent[] = [
  runtimeEvent('system-preparing', nothing),
  runtimeEvent('app-id', bytes(appId)),
  runtimeEvent('compose-hash', bytes(hash)),
  runtimeEvent('instance-id', bytes(instanceId)),
  runtimeEvent('boot-mr-done', nothing),
  runtimeEvent('os-image-hash', new Uint8Array(32).fill(9)),
  runtimeEvent('key-provider', utf8(JSON.stringify(provider))),
  runtimeEvent('storage-fs', utf8('zfs')),
  runtimeEvent('system-ready', nothing),
]

const expectations: DstackExpectations = {
  appId,
  keyProviders: [provider],
  zeroMrConfigId: 'refuse',
}

type Story = {
  events?: readonly MeasuredEvent[]
  mrConfigId?: Hex
  /** What the verifier is told, when it is not what was measured. */
  told?: { eventLog?: unknown; appCompose?: string; mrConfigDocument?: string }
  expected?: Partial<DstackExpectations>
}

/** Boots a guest that extends its registers with these events, and verifies what it tells. */
function tell({ events = boot, mrConfigId = mrConfigIdV1(hash), told, expected }: Story = {}) {
  const quote = platform.mintQuote({
    reportData: new Uint8Array(64),
    measurements: { mrConfigId: bytes(mrConfigId), rtmr3: replayLog(events, 3) },
  })
  const appraisal = verifyQuote(quote, collateral, {
    now,
    policy: permissivePolicy,
    crypto: nodeCrypto,
  })
  const eventLog = JSON.stringify([...localBootEvents, ...events])
  return verifyDstackEvidence(
    appraisal,
    { eventLog, appCompose, ...told },
    { ...expectations, ...expected },
  )
}

const without = (name: string) => boot.filter((event) => event.event !== name)
const before = (name: string, ...added: MeasuredEvent[]) =>
  boot.flatMap((event) => (event.event === name ? [...added, event] : [event]))

describe('evidence of a dstack guest', () => {
  it('proves app, compose file, instance, image and key provider', () => {
    const own = runtimeEvent('my-event', utf8('hello'))
    expect(tell({ events: [...boot, own] })).toEqual({
      appId,
      composeHash: hash,
      instanceId,
      osImageHash: `0x${'09'.repeat(32)}`,
      keyProvider: provider,
      mrConfigVersion: 1,
      applicationEvents: [{ name: 'my-event', payload: toHex(utf8('hello')) }],
    })
  })

  it('needs no digests of the guest’s own events, and refuses wrong ones', () => {
    const stripped = stripEvents([...localBootEvents, ...boot])
    expect(tell({ told: { eventLog: stripped } }).appId).toBe(appId)
    const wrong = [...localBootEvents, ...boot].map((event) =>
      event.event === 'app-id' ? { ...event, digest: '00'.repeat(48) } : event,
    )
    expect(refusalOf(() => tell({ told: { eventLog: wrong } }))).toBe('EventDigestMismatch')
  })

  it.each(['event', 'name'] as const)('replays digests of version 2 in the form by %s', (form) => {
    const events = boot.map((event) => {
      const { event: name, event_payload: payload } = event
      const content =
        form === 'event'
          ? `{"event":"${name}","event_type":134217729,"payload":"${payload}","version":2}`
          : `{"name":"${name}","payload":"${payload}","type":134217729}`
      return { ...event, version: 2, digest: Buffer.from(sha384(utf8(content))).toString('hex') }
    })
    expect(tell({ events }).mrConfigVersion).toBe(1)
    expect(
      tell({ events, told: { eventLog: stripEvents([...localBootEvents, ...events]) } }).appId,
    ).toBe(appId)
  })

  it.each<[string, Story, string]>([
    ['no JSON', { told: { eventLog: '[' } }, 'EventLogMalformed'],
    ['no list', { told: { eventLog: {} } }, 'EventLogMalformed'],
    [
      'a runtime event in another register',
      { told: { eventLog: [{ ...boot[0], imr: 2 }] } },
      'EventLogMalformed',
    ],
    [
      'a firmware event in RTMR3',
      { told: { eventLog: [{ ...localBootEvents[0], imr: 3 }] } },
      'EventLogMalformed',
    ],
    [
      'a firmware event without digest',
      { told: { eventLog: [{ ...localBootEvents[0], digest: '' }] } },
      'EventLogMalformed',
    ],
    ['an event too few', { told: { eventLog: localBootEvents } }, 'RtmrMismatch'],
    ['firmware events left out', { told: { eventLog: boot } }, 'RtmrMismatch'],
    [
      'events in another order',
      { told: { eventLog: [...localBootEvents, ...[...boot].reverse()] } },
      'RtmrMismatch',
    ],
    [
      'a second compose hash in the boot',
      { events: before('boot-mr-done', runtimeEvent('compose-hash', new Uint8Array(32))) },
      'EventRepeated',
    ],
    [
      'a key provider written by the application',
      {
        events: [
          ...without('key-provider'),
          runtimeEvent('key-provider', utf8(JSON.stringify(provider))),
        ],
      },
      'EventTooLate',
    ],
    [
      'an app id behind boot-mr-done',
      { events: [...without('app-id').slice(0, -1), boot[1], boot[8]] as MeasuredEvent[] },
      'EventTooLate',
    ],
    [
      'a second boot',
      { events: [...boot, runtimeEvent('system-ready', nothing)] },
      'EventRepeated',
    ],
    ['no end of the boot', { events: without('system-ready') }, 'EventMissing'],
    ['no boot-mr-done', { events: without('boot-mr-done') }, 'EventMissing'],
    ['no compose hash', { events: without('compose-hash') }, 'EventMissing'],
    ['no app id', { events: without('app-id') }, 'EventMissing'],
    [
      'a compose hash of 31 bytes',
      {
        events: boot.map((event) =>
          event.event === 'compose-hash' ? runtimeEvent('compose-hash', new Uint8Array(31)) : event,
        ),
      },
      'EventMissing',
    ],
    ['another compose file', { told: { appCompose: '{}' } }, 'ComposeHashMismatch'],
    [
      'the compose file written anew',
      { told: { appCompose: JSON.stringify(JSON.parse(appCompose)) } },
      'ComposeHashMismatch',
    ],
    ['another app', { expected: { appId: `0x${'11'.repeat(20)}` } }, 'AppIdMismatch'],
    [
      'a development key provider',
      { events: without('key-provider'), expected: {} },
      'KeyProviderNotAllowed',
    ],
    [
      'a KMS of one’s own',
      { expected: { keyProviders: [{ name: 'kms', id: '00' }] } },
      'KeyProviderNotAllowed',
    ],
    [
      'a key provider that is no JSON',
      {
        events: boot.map((event) =>
          event.event === 'key-provider' ? runtimeEvent('key-provider', utf8('kms')) : event,
        ),
      },
      'EventLogMalformed',
    ],
    ['MRCONFIGID zero', { mrConfigId: `0x${'00'.repeat(48)}` }, 'MrConfigIdZero'],
    [
      'MRCONFIGID of another compose file',
      { mrConfigId: mrConfigIdV1(`0x${'22'.repeat(32)}`) },
      'MrConfigIdMismatch',
    ],
    ['MRCONFIGID of version 4', { mrConfigId: `0x04${'22'.repeat(47)}` }, 'MrConfigIdMismatch'],
    [
      'MRCONFIGID of another key provider',
      { mrConfigId: mrConfigIdV2(hash, appId, 'kms', '0xc0') },
      'MrConfigIdMismatch',
    ],
    ['no document for version 3', { mrConfigId: mrConfigIdV3('{}') }, 'MrConfigDocumentInvalid'],
    [
      'a document that is no JSON',
      { mrConfigId: mrConfigIdV3('{'), told: { mrConfigDocument: '{' } },
      'MrConfigDocumentInvalid',
    ],
  ])('with %s it is refused: %s', (_, story, code) => {
    expect(refusalOf(() => tell(story))).toBe(code)
  })

  it('may leave MRCONFIGID zero where that is asked for in so many words', () => {
    const zero: Hex = `0x${'00'.repeat(48)}`
    expect(tell({ mrConfigId: zero, expected: { zeroMrConfigId: 'accept' } }).mrConfigVersion).toBe(
      0,
    )
  })

  it('binds the key provider by MRCONFIGID of version 2', () => {
    expect(tell({ mrConfigId: mrConfigIdV2(hash, appId, 'kms', '0xc0ffee') }).mrConfigVersion).toBe(
      2,
    )
  })

  const document = {
    app_id: appId.slice(2),
    compose_hash: hash.slice(2),
    instance_id: instanceId.slice(2),
    key_provider: 'kms',
    key_provider_id: provider.id,
    version: 3,
  }

  it('binds a whole document by MRCONFIGID of version 3', () => {
    const mrConfigDocument = JSON.stringify(document)
    const mrConfigId = mrConfigIdV3(mrConfigDocument)
    expect(tell({ mrConfigId, told: { mrConfigDocument } }).mrConfigVersion).toBe(3)
    const rewritten = JSON.stringify(document, undefined, 1)
    expect(refusalOf(() => tell({ mrConfigId, told: { mrConfigDocument: rewritten } }))).toBe(
      'MrConfigIdMismatch',
    )
  })

  it.each([
    ['app_id', '11'.repeat(20)],
    ['compose_hash', '11'.repeat(32)],
    ['instance_id', '11'.repeat(20)],
    ['key_provider', 'none'],
    ['key_provider_id', '11'],
    ['version', 2],
  ])('refuses a document whose %s is not the guest’s', (name, value) => {
    const mrConfigDocument = JSON.stringify({ ...document, [name]: value })
    const mrConfigId = mrConfigIdV3(mrConfigDocument)
    expect(refusalOf(() => tell({ mrConfigId, told: { mrConfigDocument } }))).toBe(
      'MrConfigDocumentInvalid',
    )
  })

  it('explains a name that came too late', () => {
    const events = [...without('compose-hash'), runtimeEvent('compose-hash', bytes(hash))]
    expect(refusedBy(() => tell({ events })).message).toMatchInlineSnapshot(`
      "The log holds compose-hash behind boot-mr-done.
      Field: eventLog
      Rule: EventTooLate (404)
      Remedy: Only the boot may write this name; the guest may be compromised."
    `)
  })
})

describe('MRCONFIGID', () => {
  it('has the forms of dstack’s own source', () => {
    const zero32: Hex = `0x${'22'.repeat(32)}`
    expect(mrConfigIdV1(zero32)).toBe(`0x01${'22'.repeat(32)}${'00'.repeat(15)}`)
    expect(mrConfigIdV2(zero32, `0x${'11'.repeat(20)}`, 'none', '0x').slice(0, 4)).toBe('0x02')
    expect(mrConfigIdV3('{}').slice(-30)).toBe('00'.repeat(15))
  })
})

describeShared('real dstack guests', 'vectors/tdx', (folder) => {
  const json = (name: string) => JSON.parse(readFileSync(join(folder, name), 'utf8')) as unknown

  it.each([
    ['dstack/getquote_full_digests.json', undefined],
    ['dstack/getquote_stripped_digests.json', undefined],
    ['dstack/simulator_quote.bin', 'dstack/simulator_event_log.json'],
    ['near-mpc/quote.json', 'near-mpc/tcb_info.json'],
  ])('the log of %s replays to all four registers', (quoteName, logName) => {
    const source = json(logName ?? quoteName) as { event_log?: unknown }
    const events = parseEventLog(source.event_log ?? source)
    const { body } = parseQuote(readQuote(folder, quoteName))
    const td = body.kind === 'SGX' ? undefined : body
    expect(replayRtmrs(events)).toEqual(
      [td?.rtmr0, td?.rtmr1, td?.rtmr2, td?.rtmr3].map((rtmr) => rtmr && toHex(rtmr)),
    )
    expect(events.some((event) => event.type === runtimeEventType)).toBe(true)
  })

  it('a real deployment is proved from its quote to its compose file', () => {
    const info = json('near-mpc/tcb_info.json') as { event_log: unknown; app_compose: string }
    const appraisal = verifyQuoteWithCollateral(
      readQuote(folder, 'near-mpc/quote.json'),
      readCollateralFile(folder, 'near-mpc/collateral_eval20.json'),
      {
        rootCertificate: intelRootCertificate,
        now: 1_787_184_000,
        policy: permissivePolicy,
        crypto: nodeCrypto,
      },
    )
    const evidence = { eventLog: info.event_log, appCompose: info.app_compose }
    const application = verifyDstackEvidence(appraisal, evidence, {
      appId: '0x2911e1f733466216dedb862d6d669e11256ee7a3',
      keyProviders: 'any',
      zeroMrConfigId: 'refuse',
    })
    expect(application).toMatchObject({
      composeHash: '0x2911e1f733466216dedb862d6d669e11256ee7a34ce4dbc66c4b807ba7a9c895',
      keyProvider: { name: 'local-sgx' },
      mrConfigVersion: 1,
      applicationEvents: [{ name: 'mpc-image-digest' }],
    })
    const rewritten = JSON.stringify(JSON.parse(info.app_compose))
    expect(
      refusalOf(() =>
        verifyDstackEvidence(
          appraisal,
          { ...evidence, appCompose: rewritten },
          { appId: 'any', keyProviders: 'any', zeroMrConfigId: 'refuse' },
        ),
      ),
    ).toBe('ComposeHashMismatch')
  })
})
