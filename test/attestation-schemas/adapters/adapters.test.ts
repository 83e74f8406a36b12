import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { fromBase64Url, toBase64Url } from '#schemas/adapters/base64Url.ts'
import { readCsv } from '#schemas/adapters/csv.ts'
import { readJws } from '#schemas/adapters/jws.ts'
import { createNodeSignatures } from '#schemas/adapters/nodeSignatures.ts'
import { readSenmlJson } from '#schemas/adapters/senmlJson.ts'
import { readSignedJson } from '#schemas/adapters/signedJson.ts'
import { JsonNumber, type JsonValue, parseStrictJson } from '#schemas/adapters/strictJson.ts'
import { fromHex, utf8 } from '#schemas/bytes.ts'
import { FormatRefusedError } from '#schemas/cbor/formatRefusedError.ts'
import { createDeviceSigner, portableSignatures } from '#schemas/pack/portableSignatures.ts'
import { trustTiers } from '#schemas/trustTier.ts'

const device = `0x${'d0'.repeat(32)}` as const

function ruleOf(run: () => unknown): string {
  try {
    run()
    return 'accepted'
  } catch (error) {
    if (error instanceof FormatRefusedError) return error.rule
    throw error
  }
}

describe('readCsv', () => {
  const read = (...lines: readonly string[]) =>
    readCsv(`series,ts_ms,value,unit\n${lines.join('\n')}\n`, { device })

  it('keeps the order of arrival, empty slots and exact decimals, in tier replay', () => {
    const { tier, readings } = read(
      'temp,1700000060000,4.2,Cel',
      'temp,1700000000000,,Cel',
      'temp,1700000000000,41,[degF]',
      'power,1700000000000,-0.000001,kW',
    )
    expect(tier).toBe(trustTiers.replay)
    expect(readings).toEqual([
      {
        device,
        series: 'temp',
        unit: 'Cel',
        timeMs: 1_700_000_060_000,
        valueMicro: 4_200_000,
        tier: 4,
      },
      { device, series: 'temp', unit: 'Cel', timeMs: 1_700_000_000_000, valueMicro: null, tier: 4 },
      {
        device,
        series: 'temp',
        unit: 'Cel',
        timeMs: 1_700_000_000_000,
        valueMicro: 5_000_000,
        tier: 4,
      },
      { device, series: 'power', unit: 'kW', timeMs: 1_700_000_000_000, valueMicro: -1, tier: 4 },
    ])
  })

  it('takes lines that end in CRLF, a last line without an end, and blank lines', () => {
    const text = 'series,ts_ms,value,unit\r\na,1700000000000,1,W\r\n\r\na,1700000001000,2,W'
    expect(readCsv(text, { device }).readings).toHaveLength(2)
    expect(readCsv('series,ts_ms,value,unit', { device }).readings).toEqual([])
  })

  it.each([
    ['shape', 'temp,1700000000000,4.2'],
    ['shape', 'temp,1700000000000,4.2,Cel,'],
    ['shape', '"temp",1700000000000,"4,2",Cel'],
    ['name', '"temp",1700000000000,4.2,Cel'],
    ['name', ',1700000000000,4.2,Cel'],
    ['time', 'temp,,4.2,Cel'],
    ['time', 'temp,1700000000,4.2,Cel'],
    ['time', 'temp,1700000000000.5,4.2,Cel'],
    ['time', 'temp,2023-11-14T22:13:20Z,4.2,Cel'],
    ['time', 'temp,253402300800000,4.2,Cel'],
    ['number', 'temp,1700000000000,###,Cel'],
    ['number', 'temp,1700000000000,NaN,Cel'],
    ['number', 'temp,1700000000000,Infinity,Cel'],
    ['number', 'temp,1700000000000,0x10,Cel'],
    ['number', 'temp,1700000000000, 4,Cel'],
    ['number', 'temp,1700000000000,1e300,Cel'],
    ['number', 'temp,1700000000000,9007199254.740992,Cel'],
    ['unknown-unit', 'temp,1700000000000,4.2,'],
    ['unknown-unit', 'temp,1700000000000,4.2,C°'],
  ])('refuses by rule %s: %s', (rule, line) => {
    expect(ruleOf(() => read(line))).toBe(rule)
  })

  it('names the line', () => {
    expect(() => read('a,1700000000000,1,W', 'a,1700000000000,###,W'))
      .toThrowErrorMatchingInlineSnapshot(`
      [AdapterRefusedError: The reading is refused.
      Field: line 3.value
      Rule: number
      Expected: a decimal number below 9007199254 in magnitude]
    `)
    expect(() => readCsv('', { device })).toThrowErrorMatchingInlineSnapshot(`
      [AdapterRefusedError: The CSV is refused.
      Field: line 1
      Rule: shape
      Expected: the header series,ts_ms,value,unit]
    `)
  })

  it('reads a number of any number of digits as the decimal it says', () => {
    const { readings } = read(
      'a,1700000000000,23.450000762939453,W',
      'a,1700000000000,0.30000000000000004,W',
    )
    expect(readings.map(({ valueMicro }) => valueMicro)).toEqual([23_450_001, 300_000])
  })
})

describe('parseStrictJson', () => {
  const parse = (text: string) => parseStrictJson(utf8(text))

  it('reads what JSON.parse reads, numbers kept as written', () => {
    const revive = (value: JsonValue): unknown => {
      if (value instanceof JsonNumber) return Number(value.text)
      if (value instanceof Map) {
        return Object.fromEntries(
          [...(value as ReadonlyMap<string, JsonValue>)].map(([name, item]) => [
            name,
            revive(item),
          ]),
        )
      }
      return Array.isArray(value) ? (value as readonly JsonValue[]).map(revive) : value
    }
    fc.assert(
      fc.property(fc.json({ maxDepth: 5, noUnicodeString: false }), (text) => {
        fc.pre(text.isWellFormed() && !text.includes('__proto__'))
        expect(revive(parse(text))).toEqual(JSON.parse(text))
      }),
    )
    expect(parse(' [ 1.50e+3 , "\\u00e9\\n" ] ')).toEqual([new JsonNumber('1.50e+3'), 'é\n'])
  })

  it.each([
    ['duplicate-key', '{"a":1,"a":1}'],
    ['duplicate-key', '{"a":1,"\\u0061":1}'],
    ['lone-surrogate', '"\\ud800"'],
    ['too-deep', '[[[[[[[[[1]]]]]]]]]'],
    ['trailing-text', '1 2'],
    ['syntax', ''],
    ['syntax', '[1,]'],
    ['syntax', '{"a":1,}'],
    ['syntax', "{'a':1}"],
    ['syntax', '{"a" 1}'],
    ['syntax', '[1 2]'],
    ['syntax', '"\\x"'],
    ['syntax', '"\\u12g4"'],
    ['syntax', '"a\nb"'],
    ['syntax', '"a'],
    ['syntax', 'nul'],
    ['syntax', 'NaN'],
    ['syntax', '+1'],
    ['syntax', '\ufeff1'],
    ['trailing-text', '01'],
    ['trailing-text', '1.'],
    ['too-large', ' '.repeat(1_048_577)],
  ])('refuses by rule %s: %.30s', (rule, text) => {
    expect(ruleOf(() => parse(text))).toBe(rule)
  })

  it('refuses bytes that are no UTF-8', () => {
    expect(ruleOf(() => parseStrictJson(Uint8Array.of(0x22, 0xff, 0x22)))).toBe('invalid-utf8')
  })
})

describe('readSenmlJson', () => {
  it('books unsigned SenML to the gateway that delivered it', () => {
    const pack = utf8(
      '[{"bn":"a:","bt":1700000000,"bu":"Cel","n":"t","v":4.20,"x":"ignored"},{"n":"t","t":1}]',
    )
    const { tier, readings } = readSenmlJson(pack, { device })
    expect(tier).toBe(trustTiers.gateway)
    expect(readings).toEqual([
      {
        device,
        series: 'a:t',
        unit: 'Cel',
        timeMs: 1_700_000_000_000,
        valueMicro: 4_200_000,
        tier: 3,
      },
      { device, series: 'a:t', unit: 'Cel', timeMs: 1_700_000_001_000, valueMicro: null, tier: 3 },
    ])
  })

  it.each([
    ['unknown-field', '[{"n":"a","u":"W","t":1700000000,"v":1,"must_":1}]'],
    ['not-a-pack', '{"n":"a"}'],
    ['not-a-pack', '[1]'],
    ['field-type', '[{"n":"a","u":"W","t":1700000000,"v":null}]'],
    ['field-type', '[{"n":"a","u":"W","t":"1700000000","v":1}]'],
    ['number-range', '[{"n":"a","u":"W","t":1700000000,"v":1e400}]'],
    ['duplicate-key', '[{"n":"a","n":"a","u":"W","t":1700000000,"v":1}]'],
    ['relative-time', '[{"n":"a","u":"W","v":1}]'],
  ])('refuses by rule %s: %s', (rule, text) => {
    expect(ruleOf(() => readSenmlJson(utf8(text), { device }))).toBe(rule)
  })
})

const signer = createDeviceSigner('ES256', new Uint8Array(32).fill(9))
const context = { key: signer.key, keyTier: trustTiers.hardware, verifier: portableSignatures }
const body = '{"series":"temp","time_ms":1700000000000,"value":4.2,"unit":"Cel"}'

describe('readSignedJson', () => {
  const sign = (text: string) => toBase64Url(signer.sign(utf8(text)))
  const read = (text: string, signature = sign(text)) =>
    readSignedJson(utf8(text), signature, context)

  it('is software tier at best, even under a hardware key', () => {
    expect(read(body)).toEqual({
      tier: trustTiers.software,
      readings: [
        {
          device: signer.key.id,
          series: 'temp',
          unit: 'Cel',
          timeMs: 1_700_000_000_000,
          valueMicro: 4_200_000,
          tier: 2,
        },
      ],
    })
    expect(
      readSignedJson(utf8(body), sign(body), { ...context, keyTier: trustTiers.replay }).tier,
    ).toBe(trustTiers.replay)
  })

  it('takes several readings, empty slots and numbers in texts', () => {
    const text =
      '[{"series":"a","time_ms":1700000000000,"value":null,"unit":"W"},{"unit":"W","value":"0.1","time_ms":1700000000000,"series":"a"}]'
    expect(read(text).readings.map(({ valueMicro }) => valueMicro)).toEqual([null, 100_000])
  })

  it.each([
    ['signature', body.replace('4.2', '4.3'), sign(body)],
    ['signature', `${body} `, sign(body)],
    ['encoding', body, 'AA'],
    ['encoding', body, `${sign(body)}=`],
    ['shape', '[1]', sign('[1]')],
    ['shape', '{}', sign('{}')],
    ['too-many-readings', '[]', sign('[]')],
    ['unknown-member', body.replace('{', '{"note":1,'), sign(body.replace('{', '{"note":1,'))],
    ['number', body.replace('4.2', '"warm"'), sign(body.replace('4.2', '"warm"'))],
    [
      'shape',
      body.replace('1700000000000', '"1700000000000"'),
      sign(body.replace('1700000000000', '"1700000000000"')),
    ],
  ])('refuses by rule %s: %s', (rule, text, signature) => {
    expect(ruleOf(() => read(text, signature))).toBe(rule)
  })
})

describe('readJws', () => {
  const kid = toBase64Url(fromHex(signer.key.id, 'id'))
  const make = (header: string, payload: string) => {
    const signed = `${toBase64Url(utf8(header))}.${toBase64Url(utf8(payload))}`
    return `${signed}.${toBase64Url(signer.sign(utf8(signed)))}`
  }
  const senml = '[{"n":"t","u":"Cel","t":1700000000,"v":4.2}]'

  it('reads SenML-JSON and plain JSON readings by content type, by both adapters', () => {
    for (const verifier of [portableSignatures, createNodeSignatures()]) {
      const packed = make(`{"alg":"ES256","kid":"${kid}","cty":"senml+json"}`, senml)
      expect(readJws(packed, { ...context, verifier })).toEqual({
        tier: trustTiers.software,
        readings: [
          {
            device: signer.key.id,
            series: 't',
            unit: 'Cel',
            timeMs: 1_700_000_000_000,
            valueMicro: 4_200_000,
            tier: 2,
          },
        ],
      })
      expect(
        readJws(make('{"alg":"ES256"}', body), { ...context, verifier }).readings,
      ).toHaveLength(1)
    }
  })

  // RFC 8037 appendix A.4 and A.5: an EdDSA JWS written by others.
  it('verifies the EdDSA example of RFC 8037, whose payload is no reading', () => {
    const key = createDeviceSigner(
      'Ed25519',
      fromBase64Url('nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A') ?? new Uint8Array(),
    ).key
    const jws =
      'eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg'
    expect(ruleOf(() => readJws(jws, { ...context, key }))).toBe('syntax')
    expect(ruleOf(() => readJws(jws.replace('.hgyY', '.hgyZ'), { ...context, key }))).toBe(
      'signature',
    )
  })

  it.each([
    ['algorithm', make('{"alg":"none"}', body)],
    ['algorithm', make('{"alg":"HS256"}', body)],
    ['algorithm', make('{"alg":"EdDSA"}', body)],
    ['algorithm', make('{"alg":"toString"}', body)],
    ['algorithm', make('{}', body)],
    ['key-id', make('{"alg":"ES256","kid":"AA"}', body)],
    ['critical', make('{"alg":"ES256","crit":["b64"],"b64":false}', body)],
    ['unknown-member', make('{"alg":"ES256","jwk":{}}', body)],
    ['duplicate-key', make('{"alg":"none","alg":"ES256"}', body)],
    ['media-type', make('{"alg":"ES256","cty":"text/plain"}', body)],
    ['shape', make('[]', body)],
    ['encoding', 'a.b'],
    ['encoding', `${make('{"alg":"ES256"}', body)}.AA`],
    ['encoding', `${make('{"alg":"ES256"}', body)}=`],
    ['signature', make('{"alg":"ES256"}', body).replace(/.{10}$/, 'AAAAAAAAAA')],
    [
      'relative-time',
      make('{"alg":"ES256","cty":"application/senml+json"}', '[{"n":"t","u":"Cel","v":4}]'),
    ],
  ])('refuses by rule %s: %.40s', (rule, text) => {
    expect(ruleOf(() => readJws(text, context))).toBe(rule)
  })
})

describe('base64url', () => {
  it('has one text for every array of bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array(), (bytes) => {
        const text = toBase64Url(bytes)
        expect(fromBase64Url(text)).toEqual(bytes)
        expect(text).toBe(Buffer.from(bytes).toString('base64url'))
      }),
    )
  })

  it.each(['A', 'AB', 'AAB', 'AA=', 'A+', 'A/', 'AAA A', 'ÄÄ'])('refuses %s', (text) => {
    expect(fromBase64Url(text)).toBeUndefined()
  })
})
