import { concatBytes, fromHex, toHex, utf8 } from '#schemas/bytes.ts'
import { encodeCertificate } from '#localnet/tdx/certificate.ts'
import { derBitString, derSequence } from '#localnet/tdx/der.ts'
import { createBlueprint } from '#localnet/tdx/blueprint.ts'
import {
  type P256Key,
  deriveP256Key,
  developmentSeed,
  ecdsaSignatureDer,
  signP256,
} from '#localnet/tdx/keys.ts'
import { pemChain, createPlatform } from '#localnet/tdx/platform.ts'
import { sgxExtension } from '#localnet/tdx/sgxExtension.ts'
import type { Collateral } from '#verifier/collateral/collateral.ts'
import { DerReader, derTag } from '#verifier/x509/der.ts'
import { packLoosely } from './packLoosely.ts'

/** A quote with its collateral at an instant. */
export type Case = {
  readonly quote: Uint8Array
  /** Where the lie is in the evidence itself; it is packed from the quote otherwise. */
  readonly evidence?: Uint8Array
  readonly collateral: Collateral
  readonly now: number
}

/** A whole number below the limit. */
export type Random = (below: number) => number
export type Mutation = (subject: Case, random: Random) => Case

const now = Date.UTC(2026, 8, 1, 12) / 1000
/** The honest one. */
export const platform = createPlatform({ now })
const blueprint = createBlueprint({ now })
const keys = {
  root: deriveP256Key(developmentSeed, 'root'),
  pckCa: deriveP256Key(developmentSeed, 'pck platform ca'),
  tcbSigning: deriveP256Key(developmentSeed, 'tcb signing'),
}

/** A small seeded generator, so that a round can be repeated by its number. */
export function createRandom(seed: number): Random {
  let state = seed >>> 0
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below
  }
}

/** One to three small changes: a bit, a byte, a byte more, a byte less, two bytes exchanged. */
function mutate(bytes: Uint8Array, random: Random, from = 0): Uint8Array {
  let changed: Uint8Array = bytes.slice()
  for (let count = 1 + random(3); count > 0; count -= 1) {
    const at = from + random(Math.max(changed.length - from, 1))
    switch (random(6)) {
      case 0:
        changed[at] = (changed[at] ?? 0) ^ (1 << random(8))
        break
      case 1:
        changed[at] = random(256)
        break
      case 2:
        changed[at] = [0x00, 0x01, 0x7f, 0x80, 0xff, 0x30][random(6)] ?? 0
        break
      case 3:
        changed = concatBytes(
          changed.subarray(0, at),
          Uint8Array.of(random(256)),
          changed.subarray(at),
        )
        break
      case 4:
        changed = concatBytes(changed.subarray(0, at), changed.subarray(at + 1))
        break
      default: {
        const other = from + random(Math.max(changed.length - from, 1))
        const [left = 0, right = 0] = [changed[at], changed[other]]
        changed[at] = right
        changed[other] = left
      }
    }
  }
  return changed
}

/** The first part of a signed structure, under a new signature: its form is what is put to the test. */
function resign(signed: Uint8Array, key: P256Key): Uint8Array {
  const algorithm = fromHex('300a06082a8648ce3d040302', 'algorithm')
  return derSequence(signed, algorithm, derBitString(ecdsaSignatureDer(signP256(key, signed))))
}

function signedPartOf(structure: Uint8Array): Uint8Array {
  return new DerReader(structure, 'structure').enter(derTag.sequence).readWhole(derTag.sequence)
}

/** Where the size of the authentication data stands. */
function authSizeAt(quote: Uint8Array): number {
  if (quote[0] === 4) return 632
  return quote[48] === 2 ? 638 : 702
}

/** signature and key 128 + type and size 6 + QE report 384 + signature 64 + size 2 + 32 + type and size 6 */
const chainAt = (quote: Uint8Array): number =>
  authSizeAt(quote) + 4 + 128 + 6 + 384 + 64 + 2 + 32 + 6

/** The quote with another PCK certificate in its chain, all length fields made to fit. */
function withLeaf(quote: Uint8Array, leaf: Uint8Array): Uint8Array {
  const { pckCa, root } = platform.certificates
  const chain = utf8(pemChain(leaf, pckCa, root))
  const changed = concatBytes(quote.subarray(0, chainAt(quote)), chain)
  const view = new DataView(changed.buffer)
  const sizeAt = authSizeAt(quote)
  view.setUint32(sizeAt, changed.length - sizeAt - 4, true)
  // 134 = signature and key 128 + type 2 + size 4
  view.setUint32(sizeAt + 4 + 130, changed.length - sizeAt - 4 - 134, true)
  view.setUint32(chainAt(quote) - 4, chain.length, true)
  return changed
}

const mintLeaf = () =>
  encodeCertificate({
    ...blueprint.pck,
    extensions: blueprint.sgx === undefined ? [] : [sgxExtension(blueprint.sgx)],
  })

/** A place in a document where a number, a digit, a quote or a brace stands. */
function mutateText(text: string, random: Random): string {
  const at = random(text.length)
  const scraps = [
    '',
    '0',
    '9',
    '"',
    '{',
    '}',
    '[',
    ']',
    ',',
    ':',
    ' ',
    'a',
    'F',
    '-',
    'é',
    '\\',
    '\n',
  ]
  const scrap = scraps[random(scraps.length)] ?? ''
  return random(2) === 0
    ? text.slice(0, at) + scrap + text.slice(at + 1)
    : text.slice(0, at) + scrap + text.slice(at)
}

/** Another value for one field that stays what it is: the document remains well-formed. */
function mutateValue(text: string, random: Random): string {
  const values = [...text.matchAll(/:(\d+|"[^"]*")/g)]
  const value = values[random(values.length)]
  if (value?.index === undefined || value[1] === undefined) return text
  const start = value.index + 1
  const numbers = [
    '0',
    '1',
    '3',
    '17',
    '255',
    '256',
    '65535',
    '65536',
    '01',
    '-1',
    '1.0',
    '1e1',
    'null',
  ]
  const texts = [
    '""',
    '"0"',
    '"TDX"',
    '"UpToDate"',
    '"Revoked"',
    '"2026-02-30T00:00:00Z"',
    '"FFFF"',
  ]
  const choices = value[1].startsWith('"') ? texts : numbers
  const next = choices[random(choices.length)] ?? ''
  return text.slice(0, start) + next + text.slice(start + value[1].length)
}

function withTcbInfo(subject: Case, text: string): Case {
  const signature = toHex(signP256(keys.tcbSigning, utf8(text))).slice(2)
  return {
    ...subject,
    collateral: { ...subject.collateral, tcb_info: text, tcb_info_signature: signature },
  }
}

function withQeIdentity(subject: Case, text: string): Case {
  const signature = toHex(signP256(keys.tcbSigning, utf8(text))).slice(2)
  return {
    ...subject,
    collateral: { ...subject.collateral, qe_identity: text, qe_identity_signature: signature },
  }
}

const { root, pckCa, tcbSigning } = platform.certificates
const bareHex = (bytes: Uint8Array) => toHex(bytes).slice(2)

/** An honest case, whose quote has one of the forms there are. */
export function honestCase(random: Random): Case {
  const form = ([{}, { version: 5, body: 'td10' }, { version: 5, body: 'td15' }] as const)[
    random(3)
  ]
  return {
    quote: platform.mintQuote({ reportData: new Uint8Array(64).fill(0x5a), ...form }),
    collateral: platform.collateral(),
    now,
  }
}

/** Ways to lie, one part at a time. */
export const mutations: Readonly<Record<string, Mutation>> = {
  evidence: (subject, random) => ({
    ...subject,
    evidence: mutate(packLoosely(subject.quote), random),
  }),
  'evidence, cut': (subject, random) => {
    const evidence = packLoosely(subject.quote)
    return { ...subject, evidence: evidence.slice(0, random(evidence.length)) }
  },
  'quote, up to its chain': (subject, random) => ({
    ...subject,
    quote: concatBytes(
      mutate(subject.quote.subarray(0, chainAt(subject.quote)), random),
      subject.quote.subarray(chainAt(subject.quote)),
    ),
  }),
  'quote, cut': (subject, random) => ({
    ...subject,
    quote: subject.quote.slice(0, random(subject.quote.length)),
  }),
  'PCK certificate': (subject, random) => ({
    ...subject,
    quote: withLeaf(subject.quote, mutate(mintLeaf(), random)),
  }),
  'PCK certificate, signed again': (subject, random) => {
    const signed = mutate(signedPartOf(mintLeaf()), random, 4)
    return { ...subject, quote: withLeaf(subject.quote, resign(signed, keys.pckCa)) }
  },
  'PCK CA': (subject, random) => ({
    ...subject,
    collateral: {
      ...subject.collateral,
      pck_crl_issuer_chain: pemChain(mutate(pckCa, random), root),
    },
  }),
  'PCK CA, signed again': (subject, random) => {
    const changed = resign(mutate(signedPartOf(pckCa), random, 4), keys.root)
    return {
      ...subject,
      collateral: { ...subject.collateral, pck_crl_issuer_chain: pemChain(changed, root) },
    }
  },
  'TCB signing, signed again': (subject, random) => {
    const changed = resign(mutate(signedPartOf(tcbSigning), random, 4), keys.root)
    const chain = pemChain(changed, root)
    const collateral = {
      ...subject.collateral,
      tcb_info_issuer_chain: chain,
      qe_identity_issuer_chain: chain,
    }
    return { ...subject, collateral }
  },
  'root list': (subject, random) => {
    const changed = mutate(fromHex(subject.collateral.root_ca_crl, 'crl'), random)
    return { ...subject, collateral: { ...subject.collateral, root_ca_crl: bareHex(changed) } }
  },
  'PCK list': (subject, random) => {
    const changed = mutate(fromHex(subject.collateral.pck_crl, 'crl'), random)
    return { ...subject, collateral: { ...subject.collateral, pck_crl: bareHex(changed) } }
  },
  'PCK list, signed again': (subject, random) => {
    const signed = signedPartOf(fromHex(platform.collateral().pck_crl, 'crl'))
    const changed = resign(mutate(signed, random, 4), keys.pckCa)
    return { ...subject, collateral: { ...subject.collateral, pck_crl: bareHex(changed) } }
  },
  'TCB info, signed again': (subject, random) =>
    withTcbInfo(subject, mutateText(subject.collateral.tcb_info, random)),
  'TCB info, other values': (subject, random) =>
    withTcbInfo(subject, mutateValue(subject.collateral.tcb_info, random)),
  'QE identity, signed again': (subject, random) =>
    withQeIdentity(subject, mutateText(subject.collateral.qe_identity, random)),
  'QE identity, other values': (subject, random) =>
    withQeIdentity(subject, mutateValue(subject.collateral.qe_identity, random)),
  clock: (subject, random) => {
    const instants = [
      -86_400 * 400,
      -7200,
      -3601,
      -3600,
      0,
      86_400 * 29,
      86_400 * 31,
      86_400 * 9000,
    ]
    const drift = (instants[random(instants.length)] ?? 0) + random(3) - 1
    return { ...subject, now: subject.now + drift }
  },
}
