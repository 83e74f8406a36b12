import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { dump } from '#cli/pack.ts'
import { readMote } from '#localnet/recordings/shipmentMotes.ts'
import { adapterRules } from '#schemas/adapters/adapterError.ts'
import { fromBase64Url } from '#schemas/adapters/base64Url.ts'
import { readCsv } from '#schemas/adapters/csv.ts'
import { jsonRules } from '#schemas/adapters/jsonError.ts'
import { streamId } from '#schemas/batch.ts'
import { concatBytes, fromHex, toHex } from '#schemas/bytes.ts'
import { cborRules } from '#schemas/cbor/invalidCborError.ts'
import { sign1Rules } from '#schemas/cose/invalidSign1Error.ts'
import { decodePack } from '#schemas/pack/decodePack.ts'
import { type PublicJwk, deviceKeyFromJwk } from '#schemas/pack/deviceKey.ts'
import { encodePack } from '#schemas/pack/encodePack.ts'
import { packRules, packVerificationRules } from '#schemas/pack/packErrors.ts'
import { claimKey, noPrevious } from '#schemas/pack/packProfile.ts'
import { createDeviceSigner, portableSignatures } from '#schemas/pack/portableSignatures.ts'
import { verifyPack } from '#schemas/pack/verifyPack.ts'
import { senmlRules } from '#schemas/senml/invalidSenmlError.ts'
import { ucumAliases } from '#schemas/units/unitTables.ts'
import { root } from '#tools/paths.ts'

const page = readFileSync(join(root, 'docs', 'packs.md'), 'utf8')

/** The content of the first block that is opened by these words. */
function block(opening: string): string {
  const start = page.indexOf(`\`\`\`${opening}\n`)
  if (start < 0) throw new Error(`the page has no block of ${opening}`)
  return page.slice(start + opening.length + 4, page.indexOf('\n```', start))
}

/** The cells of the tables in a section, code marks taken off. */
function table(heading: string): string[][] {
  const start = page.indexOf(`\n${heading}\n`)
  if (start < 0) throw new Error(`the page has no section ${heading}`)
  const next = page.indexOf('\n#', start + heading.length)
  return page
    .slice(start, next < 0 ? undefined : next)
    .split('\n')
    .filter((line) => line.startsWith('|'))
    .map((line) =>
      line
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim().replaceAll('`', '')),
    )
    .slice(2)
}

const jwk = JSON.parse(block('json')) as PublicJwk & { readonly d: string }
const { d, ...publicMembers } = jwk
const key = deviceKeyFromJwk(publicMembers)
const signer = createDeviceSigner('ES256', fromBase64Url(d) ?? new Uint8Array())
const { readings } = readCsv(`${block('csv')}\n`, { device: key.id })
const stream = streamId('coldstore-7')
const { bytes, packHash } = encodePack({
  kid: key.id,
  algorithm: key.algorithm,
  sign: signer.sign,
  claims: {
    stream,
    sequence: 1n,
    previous: noPrevious,
    bootCount: 12n,
    firmware: toHex(createHash('sha256').update('test').digest()),
  },
  records: readings.map(({ series, ...reading }) => ({ name: series, ...reading })),
})

describe('docs/packs.md', () => {
  it('shows the bytes that its key, readings and command give', () => {
    expect(signer.key.id).toBe(key.id)
    expect(block('text dump').split('\n')).toEqual([...dump(bytes)])
    const pack = decodePack(bytes)
    expect(() => verifyPack(pack, { key, stream, verifier: portableSignatures })).not.toThrow()
    expect(page).toContain(`--firmware ${pack.claims.firmware}`)
    expect(page).toContain(`--boot ${pack.claims.bootCount}`)
  })

  it('starts from what the recording really holds', () => {
    const values = readings.map(({ valueMicro }) => valueMicro)
    const [first, second] = readMote(1)
    expect(values).toEqual([
      first?.temperatureMicroCel,
      first?.humidityMicroPercent,
      second?.temperatureMicroCel,
      null,
    ])
  })

  it('says which bytes are signed, and what their hash is', () => {
    const parts = block('text signed')
      .split('\n')
      .map((line) => {
        const [token = ''] = line.split(' ')
        const range = /^([0-9a-f]{4})\.\.([0-9a-f]{4})$/.exec(token)
        if (range === null) return fromHex(token, 'signed')
        const [, from = '', to = ''] = range
        return bytes.subarray(Number.parseInt(from, 16), Number.parseInt(to, 16) + 1)
      })
    const signedBytes = concatBytes(...parts)
    expect(toHex(signedBytes)).toBe(toHex(decodePack(bytes).signedBytes))
    expect(toHex(createHash('sha256').update(signedBytes).digest())).toBe(packHash)
    expect(page).toContain(packHash)
  })

  it('lists every rule that refuses a pack, and no other', () => {
    const names = (heading: string) => table(heading).map(([name]) => name)
    expect(names('### Envelope and header')).toEqual(packRules)
    expect(names('### COSE')).toEqual(sign1Rules)
    expect(names('### Authenticity')).toEqual(packVerificationRules)
    expect(
      table('### CBOR').map(([name, meaning]) => [name, meaning?.replace(/ \(.*\)$/, '')]),
    ).toEqual(Object.entries(cborRules))
    expect(table('### SenML')).toEqual(
      Object.entries(senmlRules).map(([name, [what, remedy]]) => [name, what, remedy]),
    )
  })

  it('lists the claims by their keys', () => {
    const keys = table('## The profile').map(([, text = '']) => Number(text.replace('−', '-')))
    expect(keys).toEqual(Object.values(claimKey))
  })

  it('lists every alias with the unit it is read in', () => {
    const listed = table('## Numbers and units').flatMap(([unit, codes = '']) =>
      codes.split(' ').map((code) => `${code} in ${unit}`),
    )
    expect(listed.toSorted()).toEqual(
      ucumAliases.map(([code, unit]) => `${code} in ${unit}`).toSorted(),
    )
  })

  it('lists the rules of the adapters', () => {
    const from = page.indexOf('Rules of the adapters:')
    const text = page.slice(from, page.indexOf('\n## ', from))
    const [ofAdapters = '', ofJson = ''] = text.split('Of JSON:')
    const names = (part: string) => [...part.matchAll(/`([a-z0-9-]+)`/g)].map(([, name]) => name)
    expect(names(ofAdapters)).toEqual(adapterRules)
    expect(names(ofJson)).toEqual(jsonRules)
  })

  const examples = [
    ...page.matchAll(/```ts\n([^`]+(?:`[^`]+`[^`]*)*?)\n```\s+```text\n([^`]+)\n```/g),
  ]

  it('has three examples that can be run', () => {
    expect(examples).toHaveLength(3)
  })

  it.each(examples.map(([, code = '', output = '']) => ({ code, output })))(
    'prints what the page says: $output',
    ({ code, output }) => {
      const run = spawnSync(process.execPath, ['--input-type=module-typescript', '--eval', code], {
        cwd: root,
        encoding: 'utf8',
      })
      expect(run.stderr).toBe('')
      expect(run.stdout.trimEnd()).toBe(output)
    },
  )
})
