/**
 * `node test/fuzz/quoteDifferential.ts [--seconds N] [--seed N]`: mutates genuine and minted quotes
 * and collateral, asks this verifier and both published npm verifiers, and demands that every
 * disagreement is one of those explained in `disagreements.ts`. Ends with 1 on the first that is not,
 * and prints how to come back to it. One line of JSON at the end.
 */
import { existsSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { parseArgs } from 'node:util'
import { initSync, js_verify } from '@phala/dcap-qvl-web'
import type { Blueprint } from '#localnet/tdx/blueprint.ts'
import { honest } from '#localnet/tdx/distortion.ts'
import { tcbStatuses } from '#localnet/tdx/documents.ts'
import { mintNegative, negativeNames } from '#localnet/tdx/negatives.ts'
import { createPlatform } from '#localnet/tdx/platform.ts'
import { root } from '#tools/paths.ts'
import { QuoteRefusedError } from '#verifier/appraisal/errors.ts'
import { createQuotePolicy, tdAttributeBits } from '#verifier/appraisal/policy.ts'
import { refusalCodes } from '#verifier/appraisal/rules.ts'
import type { Collateral } from '#verifier/collateral/collateral.ts'
import { intelRootCertificate } from '#verifier/collateral/intelRootCertificate.ts'
import { nodeCrypto } from '#verifier/crypto/adapters/nodeCrypto.ts'
import { decodeQuoteFile } from '#verifier/quote/decodeQuoteFile.ts'
import { verifyQuoteWithCollateral } from '#verifier/quote/verifyQuote.ts'
import { permissivePolicyDocument } from '#test/verifier/vectors.ts'
import { agree, explain, type Answer, type Comparison, type Library } from './disagreements.ts'

export type FuzzCase = {
  readonly label: string
  readonly quote: Uint8Array
  readonly collateral: Collateral
  readonly now: number
  readonly rootCertificate: Uint8Array
}

/** xorshift32: the same seed walks the same cases on every machine. */
export function createRandom(seed: number) {
  let state = seed >>> 0 || 1
  const next = () => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    state >>>= 0
    return state
  }
  const below = (limit: number) => next() % limit
  const pick = <Item>(items: readonly Item[]): Item => items[below(items.length)] as Item
  return { below, pick }
}

type Random = ReturnType<typeof createRandom>

const policy = createQuotePolicy({
  ...permissivePolicyDocument,
  allowedTdAttributes: Object.keys(tdAttributeBits) as (keyof typeof tdAttributeBits)[],
})

// Both packages ship loaders without types for this use.
const require = createRequire(import.meta.url)
const published = require('@phala/dcap-qvl') as {
  QuoteVerifier: {
    newWithRootCa(root: Uint8Array): {
      verify(
        quote: Uint8Array,
        collateral: object,
        now: number,
      ): { status: string; advisory_ids: string[] }
    }
  }
}
initSync({
  module: readFileSync(
    join(dirname(require.resolve('@phala/dcap-qvl-web/package.json')), 'dcap-qvl-web_bg.wasm'),
  ),
})

export function ourAnswer({ quote, collateral, now, rootCertificate }: FuzzCase): Answer {
  try {
    const options = { rootCertificate, now, policy, crypto: nodeCrypto }
    const { tcb } = verifyQuoteWithCollateral(quote, collateral, options)
    return { isAccepted: true, status: tcb.status, advisoryIds: tcb.advisoryIds }
  } catch (error) {
    // Anything but a typed refusal is a defect of ours, and goes through.
    if (!(error instanceof QuoteRefusedError)) throw error
    return { isAccepted: false, reason: error.code, field: error.field }
  }
}

export function theirAnswer(
  library: Library,
  { quote, collateral, now, rootCertificate }: FuzzCase,
): Answer {
  // Both would take a chain in the collateral in place of the quote's own.
  const bare = { ...collateral, pck_certificate_chain: null }
  try {
    const { status, advisory_ids: advisoryIds } =
      library === 'js'
        ? published.QuoteVerifier.newWithRootCa(Buffer.from(rootCertificate)).verify(
            quote,
            bare,
            now,
          )
        : (js_verify(quote, bare, BigInt(now)) as { status: string; advisory_ids: string[] })
    return { isAccepted: true, status, advisoryIds }
  } catch (error) {
    return { isAccepted: false, reason: error instanceof Error ? error.message : String(error) }
  }
}

export function compare(library: Library, fuzzCase: FuzzCase, ours: Answer): Comparison {
  const { quote } = fuzzCase
  const version = (quote[0] ?? 0) | ((quote[1] ?? 0) << 8)
  const bodyStart = version === 5 ? 54 : 48
  return {
    library,
    ours,
    theirs: theirAnswer(library, fuzzCase),
    moduleMajor: version === 3 ? 0 : (quote[bodyStart + 1] ?? 0),
    optionalAttributes:
      version === 3 ? 0 : ((quote[bodyStart + 123] ?? 0) << 8) | (quote[bodyStart + 127] ?? 0),
  }
}

// --- cases ------------------------------------------------------------------------------------

const mintedNow = 1_790_000_000

/** Genuine evidence, when it lies beside the checkout. */
function genuineCases(): FuzzCase[] {
  const folder = join(root, '../shared/vectors/tdx')
  if (!existsSync(folder)) return []
  const { cases } = JSON.parse(readFileSync(join(folder, 'expectations.json'), 'utf8')) as {
    cases: { quote: string; collateral: string; now: number }[]
  }
  return cases.map(({ quote, collateral, now }) => ({
    label: `${quote} with ${collateral}`,
    quote: decodeQuoteFile(readFileSync(join(folder, quote))).quote,
    collateral: JSON.parse(readFileSync(join(folder, collateral), 'utf8')) as Collateral,
    now,
    rootCertificate: intelRootCertificate,
  }))
}

function mintedCase(random: Random): FuzzCase {
  if (random.below(3) === 0) {
    const evidence = mintNegative(random.pick(negativeNames), { now: mintedNow })
    return {
      label: `lie ${evidence.name}`,
      quote: evidence.quote,
      collateral: evidence.collateral,
      now: evidence.now,
      rootCertificate: evidence.rootCertificateDer,
    }
  }
  const platform = createPlatform(
    { now: mintedNow, tcbStatus: random.pick(tcbStatuses) },
    {
      ...honest,
      blueprint: (blueprint) => otherStatements(blueprint, random),
      report: (report) => ({
        ...report,
        teeTcbSvn: Uint8Array.of(
          random.below(8),
          random.pick([0, 1, 1, 1, 2, 3]),
          random.below(5),
          ...new Uint8Array(13),
        ),
        tdAttributes: tdAttributes(random),
        ...(random.below(8) === 0 ? { mrServiceTd: new Uint8Array(48).fill(7) } : {}),
        ...(random.below(8) === 0 ? { mrSignerSeam: new Uint8Array(48).fill(7) } : {}),
        ...(random.below(8) === 0 ? { seamAttributes: Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0) } : {}),
      }),
    },
  )
  return {
    label: 'minted under random statements',
    quote: platform.mintQuote({
      reportData: new Uint8Array(64),
      version: random.pick([4, 5]),
      paddingLength: random.pick([0, 70]),
    }),
    collateral: platform.collateral(),
    now: mintedNow,
    rootCertificate: platform.rootCertificateDer,
  }
}

function tdAttributes(random: Random): Uint8Array {
  const attributes = Uint8Array.of(0, 0, 0, 0x10, 0, 0, 0, 0)
  if (random.below(2) === 0) return attributes
  const bit = random.below(64)
  attributes[bit >> 3] = (attributes[bit >> 3] ?? 0) ^ (1 << (bit & 7))
  return attributes
}

/** Other levels, statuses and identities, properly signed: this compares the judgement itself. */
function otherStatements(blueprint: Blueprint, random: Random): Blueprint {
  const partStatus = () => random.pick(['UpToDate', 'OutOfDate', 'Revoked'] as const)
  const isvLevels = (count: number) =>
    Array.from({ length: count }, (_, index) => ({
      tcb: { isvsvn: 7 - index * 2 - random.below(2) },
      tcbDate: `202${5 - index}-01-01T00:00:00Z`,
      tcbStatus: partStatus(),
      ...(random.below(2) === 0 ? { advisoryIDs: [`PART-SA-0000${index}`] } : {}),
    }))
  const { tcbInfo, qeIdentity, qeReport } = blueprint
  return {
    ...blueprint,
    tcbInfo: {
      ...tcbInfo,
      tdxModuleIdentities: (tcbInfo.tdxModuleIdentities ?? []).map((identity) => ({
        ...identity,
        tcbLevels: isvLevels(1 + random.below(3)),
      })),
      tcbLevels: tcbInfo.tcbLevels.map((level) => ({
        ...level,
        tcbStatus: random.pick(tcbStatuses),
        tcb: {
          ...level.tcb,
          tdxtcbcomponents: level.tcb.tdxtcbcomponents.map((component, index) => ({
            ...component,
            svn: index < 3 ? random.below(7) : component.svn,
          })),
          sgxtcbcomponents: level.tcb.sgxtcbcomponents.map((component) => ({
            ...component,
            svn: Math.max(0, component.svn + (random.below(40) === 0 ? 1 : 0)),
          })),
        },
      })),
    },
    qeIdentity: { ...qeIdentity, tcbLevels: isvLevels(1 + random.below(3)) },
    qeReport: { ...qeReport, isvSvn: random.below(9) },
  }
}

const hexFields = ['root_ca_crl', 'pck_crl', 'tcb_info_signature', 'qe_identity_signature'] as const
const textFields = [
  'pck_crl_issuer_chain',
  'tcb_info_issuer_chain',
  'qe_identity_issuer_chain',
  'tcb_info',
  'qe_identity',
] as const

/** One change somewhere in the evidence, or in the instant at which it is judged. */
function mutate(random: Random, fuzzCase: FuzzCase): FuzzCase {
  const { quote, collateral } = fuzzCase
  const label = (what: string) => `${fuzzCase.label}: ${what}`
  switch (random.below(9)) {
    case 0:
    case 1: {
      const at = random.below(quote.length)
      const changed = Uint8Array.from(quote)
      changed[at] = (changed[at] ?? 0) ^ (1 << random.below(8))
      return { ...fuzzCase, label: label(`quote bit at ${at}`), quote: changed }
    }
    case 2: {
      const length = random.below(quote.length)
      return { ...fuzzCase, label: label(`cut to ${length}`), quote: quote.slice(0, length) }
    }
    case 3: {
      const longer = new Uint8Array(quote.length + 1 + random.below(100))
      longer.set(quote)
      if (random.below(2) === 0) longer[longer.length - 1] = 1
      return { ...fuzzCase, label: label(`grown to ${longer.length}`), quote: longer }
    }
    case 4:
    case 5: {
      const name = random.pick(hexFields)
      // A lie may have left the field out.
      const bytes = Buffer.from(collateral[name] ?? '', 'hex')
      const at = random.below(Math.max(1, bytes.length))
      bytes[at] = (bytes[at] ?? 0) ^ (1 << random.below(8))
      const value = random.below(6) === 0 ? '' : bytes.toString('hex')
      return {
        ...fuzzCase,
        label: label(`${name} ${value === '' ? 'empty' : `byte ${at}`}`),
        collateral: { ...collateral, [name]: value },
      }
    }
    case 6: {
      const name = random.pick(textFields)
      const text = collateral[name] ?? ''
      const at = random.below(Math.max(1, text.length))
      const value = `${text.slice(0, at)}${random.pick(['0', 'A', '', ' ', '}'])}${text.slice(at + 1)}`
      return {
        ...fuzzCase,
        label: label(`${name} character ${at}`),
        collateral: { ...collateral, [name]: value },
      }
    }
    case 7: {
      const [left, right] = [random.pick(textFields), random.pick(textFields)]
      const swapped = { ...collateral, [left]: collateral[right], [right]: collateral[left] }
      return { ...fuzzCase, label: label(`${left} for ${right}`), collateral: swapped }
    }
    default: {
      const days = (random.below(121) - 60) * 86_400
      const now = random.below(12) === 0 ? Number.NaN : fuzzCase.now + days
      return { ...fuzzCase, label: label(`at ${now}`), now }
    }
  }
}

// --- the walk ---------------------------------------------------------------------------------

export type FuzzReport = {
  readonly cases: number
  readonly comparisons: number
  /** Comparisons in which both accepted with the same status and advisories. */
  readonly acceptedAlike: number
  /** How often each explained disagreement was met. */
  readonly disagreements: Readonly<Record<string, number>>
  readonly unexplained: readonly string[]
  readonly codes: number
}

/** Walks cases until the time is over or, with `limit`, until so many were seen. */
export function fuzz(seed: number, milliseconds: number, limit = Infinity): FuzzReport {
  const random = createRandom(seed)
  const genuine = genuineCases()
  const met: Record<string, number> = {}
  const codes = new Set<string>()
  const unexplained: string[] = []
  let cases = 0
  let comparisons = 0
  let acceptedAlike = 0
  const end = performance.now() + milliseconds
  while (performance.now() < end && cases < limit && unexplained.length < 20) {
    const isGenuine = genuine.length > 0 && random.below(3) > 0
    const base = isGenuine ? random.pick(genuine) : mintedCase(random)
    const fuzzCase = isGenuine || random.below(4) === 0 ? mutate(random, base) : base
    const ours = ourAnswer(fuzzCase)
    if (!ours.isAccepted) codes.add(ours.reason)
    cases += 1
    // The other library knows Intel's root only.
    for (const library of isGenuine ? (['js', 'web'] as const) : (['js'] as const)) {
      const comparison = compare(library, fuzzCase, ours)
      comparisons += 1
      if (agree(ours, comparison.theirs)) {
        if (ours.isAccepted) acceptedAlike += 1
        continue
      }
      const known = explain(comparison)
      if (known === undefined) {
        unexplained.push(
          `${library}, case ${cases}, ${fuzzCase.label}\n  ours ${JSON.stringify(ours)}\n  theirs ${JSON.stringify(comparison.theirs)}`,
        )
      } else {
        met[known.id] = (met[known.id] ?? 0) + 1
      }
    }
  }
  return { cases, comparisons, acceptedAlike, disagreements: met, unexplained, codes: codes.size }
}

if (process.argv[1] === import.meta.filename) {
  const { values } = parseArgs({
    options: { seconds: { type: 'string', default: '30' }, seed: { type: 'string', default: '1' } },
  })
  const report = fuzz(Number(values.seed), Number(values.seconds) * 1000)
  for (const text of report.unexplained) process.stderr.write(`${text}\n`)
  process.stdout.write(
    `${JSON.stringify({ fuzz: 'quoteDifferential', seed: Number(values.seed), ...report, knownCodes: refusalCodes.length, unexplained: report.unexplained.length })}\n`,
  )
  process.exitCode = report.unexplained.length === 0 ? 0 : 1
}
