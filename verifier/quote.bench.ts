/**
 * `node verifier/quote.bench.ts [--short]`: quote verification against verified and from raw
 * collateral, beside the two published npm verifiers, in one run on one core. One line of JSON.
 *
 * Three genuine quotes of one family take turns, so that nothing remembered of the last one helps.
 * They are read from `../shared/vectors/tdx` beside the checkout.
 */
import { existsSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { initSync, js_verify } from '@phala/dcap-qvl-web'
import { createQuotePolicy } from './appraisal/policy.ts'
import type { Collateral } from './collateral/collateral.ts'
import { intelRootCertificate } from './collateral/intelRootCertificate.ts'
import { verifyCollateral } from './collateral/verifyCollateral.ts'
import { nodeCrypto } from './crypto/adapters/nodeCrypto.ts'
import { portableCrypto } from './crypto/portableCrypto.ts'
import { decodeQuoteFile } from './quote/decodeQuoteFile.ts'
import { parseQuote } from './quote/parseQuote.ts'
import { verifyQuote, verifyQuoteWithCollateral } from './quote/verifyQuote.ts'

const isShort = process.argv.includes('--short')
const secondsEach = isShort ? 0.4 : 3
const rounds = isShort ? 2 : 5

const folder = join(dirname(fileURLToPath(import.meta.url)), '../../shared/vectors/tdx')
if (!existsSync(folder)) {
  console.log(JSON.stringify({ bench: 'quote', skipped: 'needs ../shared/vectors/tdx' }))
  process.exit(0)
}
const read = (name: string) => decodeQuoteFile(readFileSync(join(folder, name))).quote
const quotes = ['dcap-qvl/tdx_quote', 'near-mpc/quote.json', 'dstack/simulator_quote.bin'].map(read)
const collateral = {
  ...(JSON.parse(
    readFileSync(join(folder, 'near-mpc/collateral_eval20.json'), 'utf8'),
  ) as Collateral),
  // Both libraries would take this chain in place of the quote's own.
  pck_certificate_chain: null,
}
const now = 1_787_184_000
const rootCertificate = intelRootCertificate
const accepted = { graceDays: null }
const policy = createQuotePolicy({
  id: 'bench',
  tees: ['TDX'],
  tcb: {
    acceptedStatuses: { UpToDate: accepted, OutOfDate: accepted },
    minimumEvaluationDataNumber: 20,
    minimumQeEvaluationDataNumber: 19,
    deniedAdvisories: [],
    maximumCollateralAgeDays: null,
  },
  platforms: { allowed: 'any', denied: [] },
  allowedTdAttributes: [],
  allowedServiceTds: [],
  images: 'any',
  enclaves: [],
})

// Both packages ship untyped loaders for Node; what is called here is this much.
const require = createRequire(import.meta.url)
const published = require('@phala/dcap-qvl') as {
  verify(quote: Uint8Array, collateral: object, now: number): unknown
}
initSync({
  module: readFileSync(
    join(dirname(require.resolve('@phala/dcap-qvl-web/package.json')), 'dcap-qvl-web_bg.wasm'),
  ),
})

const verifiedNode = verifyCollateral(collateral, { rootCertificate, now, crypto: nodeCrypto })
const verifiedPortable = verifyCollateral(collateral, { rootCertificate, now })
const cold = { rootCertificate, now, policy, crypto: nodeCrypto }

const contenders: Record<string, (quote: Uint8Array) => unknown> = {
  parse: (quote) => parseQuote(quote),
  verifiedCollateral: (quote) => verifyQuote(quote, verifiedNode, cold),
  rawCollateral: (quote) => verifyQuoteWithCollateral(quote, collateral, cold),
  verifiedCollateralPortable: (quote) =>
    verifyQuote(quote, verifiedPortable, { now, policy, crypto: portableCrypto }),
  rawCollateralPortable: (quote) =>
    verifyQuoteWithCollateral(quote, collateral, { ...cold, crypto: portableCrypto }),
  dcapQvl: (quote) => published.verify(quote, collateral, now),
  dcapQvlWeb: (quote) => js_verify(quote, collateral, BigInt(now)),
}

/** Calls a second, over about the given time. */
function rate(call: (quote: Uint8Array) => unknown, seconds: number): number {
  const start = performance.now()
  let calls = 0
  let elapsed = 0
  while (elapsed < seconds * 1000) {
    for (const quote of quotes) call(quote)
    calls += quotes.length
    elapsed = performance.now() - start
  }
  return (calls / elapsed) * 1000
}

// Rounds take turns, so that a busy moment of the machine falls on all of them; the median counts.
const measured: Record<string, number[]> = {}
for (let round = 0; round <= rounds; round += 1) {
  for (const [name, call] of Object.entries(contenders)) {
    const perSecond = rate(call, secondsEach / rounds)
    // The first round only warms up.
    if (round > 0) (measured[name] ??= []).push(perSecond)
  }
}
const perSecond = Object.fromEntries(
  Object.entries(measured).map(([name, rates]) => {
    rates.sort((left, right) => left - right)
    return [name, Math.round(rates[Math.floor(rates.length / 2)] ?? 0)]
  }),
)
console.log(
  JSON.stringify({
    bench: 'quote',
    unit: 'per second, one core',
    node: process.version,
    perSecond,
  }),
)
