/**
 * `node test/contracts/dcap/differential.ts [--rounds N] [--seed N] [--kind NAME]`: mutates quotes,
 * evidence, certificates, lists, documents and the clock, asks the TypeScript verifier and the
 * contracts, and demands the same verdict for the same reason, or a difference that `tolerances.ts`
 * explains. Ends with 1 on the first that is not, and prints how to come back to it.
 */
import { parseArgs } from 'node:util'
import { toHex } from '#schemas/bytes.ts'
import { QuoteRefusedError } from '#verifier/appraisal/errors.ts'
import { createQuotePolicy } from '#verifier/appraisal/policy.ts'
import { refusalRules, type RefusalCode } from '#verifier/appraisal/rules.ts'
import { nodeCrypto } from '#verifier/crypto/adapters/nodeCrypto.ts'
import { verifyQuoteWithCollateral } from '#verifier/quote/verifyQuote.ts'
import { anythingGenuine } from './anythingGenuine.ts'
import { type Bench, startBench } from './bench.ts'
import {
  type Case,
  type Random,
  createRandom,
  honestCase,
  mutations,
  platform,
} from './mutations.ts'
import { packLoosely } from './packLoosely.ts'
import { tolerances } from './tolerances.ts'
import { unpackLoosely } from './unpackLoosely.ts'

/** One lie and both answers to it, where they differ without an explanation. */
export type Disagreement = {
  readonly kind: string
  readonly round: number
  readonly offChain: string
  readonly onChain: string
}

export type DifferentialResult = {
  readonly rounds: number
  /** How often each answer was given on chain, by kind. */
  readonly answers: ReadonlyMap<string, number>
  /** How often each tolerance was needed. */
  readonly tolerated: ReadonlyMap<string, number>
  readonly disagreements: readonly Disagreement[]
}

const policy = createQuotePolicy(anythingGenuine)

/** Two lies of different kinds at a time. */
const twoAtOnce = 'two at once'

export const mutationKinds: readonly string[] = [...Object.keys(mutations), twoAtOnce]

/** Rules of the relying party's own policy, less the one that the contracts hold for everybody. */
const isPolicy = (rule: string) =>
  Object.hasOwn(refusalRules, rule) &&
  rule !== 'ServiceTdNotAllowed' &&
  refusalRules[rule as RefusalCode].id >= 300

function answerOffChain({ collateral, now }: Case, quote: Uint8Array): string {
  try {
    verifyQuoteWithCollateral(quote, collateral, {
      rootCertificate: platform.rootCertificateDer,
      now,
      policy,
      crypto: nodeCrypto,
    })
    return 'accepted'
  } catch (error) {
    if (!(error instanceof QuoteRefusedError)) throw error
    return isPolicy(error.code) ? 'accepted' : error.code
  }
}

const evidenceOf = ({ quote, evidence }: Case) => evidence ?? packLoosely(quote)

async function answerOnChain(bench: Bench, subject: Case): Promise<string> {
  try {
    const { rule } = await bench.appraise({
      rootCertificate: platform.rootCertificateDer,
      collateral: subject.collateral,
      evidence: toHex(evidenceOf(subject)),
      now: subject.now,
    })
    return rule
  } catch (error) {
    // Collateral whose outer form is broken cannot even be taken apart for upload.
    if (error instanceof QuoteRefusedError) return error.code
    throw error
  }
}

/** Rules about what a packer leaves out: types, inner lengths, upper certificates, padding. */
const leftOut: readonly string[] = [
  'CertificationDataUnsupported',
  'AuthDataMalformed',
  'QuoteTruncated',
  'TrailingBytesNotZero',
  'PckChainMalformed',
  'PckChainRootMismatch',
  'PckChainCaMismatch',
]

/** What the verifier says of a case; where it is about parts that are left out, of the rest as well. */
function expectedAnswers(subject: Case): string[] {
  const { pckCa, root } = platform.certificates
  const unpacked = () => unpackLoosely(evidenceOf(subject), [pckCa, root])
  if (subject.evidence !== undefined) return [answerOffChain(subject, unpacked())]
  const answer = answerOffChain(subject, subject.quote)
  return leftOut.includes(answer) ? [answer, answerOffChain(subject, unpacked())] : [answer]
}

type Lie = {
  readonly subject: Case
  /** Any of these is the same answer as the verifier's. */
  readonly expected: readonly string[]
}

function tell(kind: string, random: Random): Lie {
  const honest = honestCase(random)
  const mutation = mutations[kind]
  if (mutation !== undefined) {
    const subject = mutation(honest, random)
    return { subject, expected: expectedAnswers(subject) }
  }
  if (kind !== twoAtOnce) throw new TypeError(`There is no mutation ${kind}`)
  return tellTwo(honest, random)
}

/**
 * Two lies, the second of which is not in the quote. The store looks at an item's dates when it is
 * uploaded and the verifier at a certificate before it asks for documents, so which of two lies is found
 * first may differ; that one is found may not.
 */
function tellTwo(honest: Case, random: Random): Lie {
  const all = Object.entries(mutations)
  const beside = all.filter(([kind]) => !/^(?:quote|evidence|PCK certificate)/.test(kind))
  const [, first] = all[random(all.length)] ?? []
  const [, second] = beside[random(beside.length)] ?? []
  if (first === undefined || second === undefined) throw new TypeError('There are no mutations')
  const seeds = [random(2 ** 31), random(2 ** 31)] as const
  const one = first(honest, createRandom(seeds[0]))
  const other = second(honest, createRandom(seeds[1]))
  const subject = second(one, createRandom(seeds[1]))
  const together = expectedAnswers(subject)
  if (together.includes('accepted')) return { subject, expected: together }
  const reasons = [...together, ...expectedAnswers(one), ...expectedAnswers(other)]
  return { subject, expected: reasons.filter((reason) => reason !== 'accepted') }
}

/** Runs so many rounds of every kind from a seed. */
export async function runDifferential(
  roundsPerKind: number,
  seed: number,
  kinds: readonly string[] = mutationKinds,
): Promise<DifferentialResult> {
  const bench = await startBench()
  const answers = new Map<string, number>()
  const tolerated = new Map<string, number>()
  const disagreements: Disagreement[] = []
  const count = (counts: Map<string, number>, name: string) => {
    counts.set(name, (counts.get(name) ?? 0) + 1)
  }
  try {
    for (const kind of kinds) {
      for (let round = 0; round < roundsPerKind; round += 1) {
        const position = mutationKinds.indexOf(kind)
        const random = createRandom(seed * 1_000_003 + round * 7_919 + position * 104_729)
        const { subject, expected } = tell(kind, random)
        const onChain = await answerOnChain(bench, subject)
        count(answers, `${kind}: ${onChain}`)
        if (expected.includes(onChain)) continue
        const tolerance = expected
          .map((offChain) =>
            tolerances.find(({ explains }) =>
              explains({ collateral: subject.collateral, offChain, onChain }),
            ),
          )
          .find((found) => found !== undefined)
        if (tolerance !== undefined) count(tolerated, tolerance.id)
        else disagreements.push({ kind, round, offChain: expected.join(' or '), onChain })
      }
    }
  } finally {
    await bench.stop()
  }
  return { rounds: roundsPerKind * kinds.length, answers, tolerated, disagreements }
}

const print = (line: string) => process.stdout.write(`${line}\n`)

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      rounds: { type: 'string', default: '200' },
      seed: { type: 'string', default: '1' },
      kind: { type: 'string', multiple: true },
    },
  })
  const result = await runDifferential(Number(values.rounds), Number(values.seed), values.kind)
  for (const [answer, times] of result.answers) print(`${String(times).padStart(6)} ${answer}`)
  for (const { kind, round, offChain, onChain } of result.disagreements) {
    print(`${kind}, round ${round}: ${offChain} off chain, ${onChain} on chain`)
  }
  print(
    JSON.stringify({
      rounds: result.rounds,
      seed: values.seed,
      tolerated: Object.fromEntries(result.tolerated),
      disagreements: result.disagreements.length,
    }),
  )
  if (result.disagreements.length > 0) process.exitCode = 1
}
