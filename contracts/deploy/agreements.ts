import { type Address, type Hex, encodeFunctionData, parseEventLogs } from 'viem'
import { carbonCreditAbi } from '#schemas/abi/carbonCredit.ts'
import { coverPoolAbi } from '#schemas/abi/coverPool.ts'
import { parametricCoverAbi } from '#schemas/abi/parametricCover.ts'
import { performanceEscrowAbi } from '#schemas/abi/performanceEscrow.ts'
import { testTokenAbi } from '#schemas/abi/testToken.ts'
import { type TrustTierName, trustTiers } from '#schemas/trustTier.ts'
import { TransactionFailedError } from './errors.ts'
import { type Call, createSender } from './sender.ts'

/** Who sends, where. */
export type Place = { readonly rpcUrl: string; readonly chainId: number; readonly key: Hex }

/** Which reports an agreement listens to; all 32-byte words. */
export type ReportTerms = {
  readonly stream: Hex
  readonly subject: Hex
  readonly policyId: Hex
  readonly unit: Hex
}

/** What a report must show beside its terms. */
export type Quality = {
  /** Default: all of the period. */
  readonly minCoveragePpm?: number
  /** Default: `hardware`. */
  readonly weakestTier?: Exclude<TrustTierName, 'replay'>
}

/** `flat`, `binary`, `linear` or `stepped`; the worse direction is from attachment to exhaustion. */
export type Curve =
  | { readonly shape: 'flat'; readonly maximumPpm: number }
  | {
      readonly shape: 'binary'
      readonly maximumPpm: number
      readonly attachmentMicro: bigint
      readonly worse: 'lower' | 'higher'
    }
  | {
      readonly shape: 'linear'
      readonly minimumPpm?: number
      readonly maximumPpm: number
      readonly attachmentMicro: bigint
      readonly exhaustionMicro: bigint
    }
  | {
      readonly shape: 'stepped'
      readonly worse: 'lower' | 'higher'
      readonly steps: readonly { readonly valueMicro: bigint; readonly sharePpm: number }[]
    }

const shapes = { flat: 0, binary: 1, linear: 2, stepped: 3 } as const

/** The curve as the contracts take it. */
export function encodeCurve(curve: Curve) {
  const base = {
    shape: shapes[curve.shape],
    minimumPpm: 0,
    maximumPpm: 0,
    attachmentMicro: 0n,
    exhaustionMicro: 0n,
    steps: [] as { valueMicro: bigint; sharePpm: number }[],
  }
  if (curve.shape === 'flat') return { ...base, maximumPpm: curve.maximumPpm }
  if (curve.shape === 'linear') {
    const { attachmentMicro, exhaustionMicro, maximumPpm } = curve
    return {
      ...base,
      minimumPpm: curve.minimumPpm ?? 0,
      maximumPpm,
      attachmentMicro,
      exhaustionMicro,
    }
  }
  // These shapes use the exhaustion point only for the direction it lies in.
  const toward = curve.worse === 'lower' ? -1n : 1n
  if (curve.shape === 'binary') {
    const { attachmentMicro, maximumPpm } = curve
    return { ...base, maximumPpm, attachmentMicro, exhaustionMicro: attachmentMicro + toward }
  }
  const attachmentMicro = curve.steps[0]?.valueMicro ?? 0n
  return {
    ...base,
    maximumPpm: curve.steps.at(-1)?.sharePpm ?? 0,
    attachmentMicro,
    exhaustionMicro: attachmentMicro + toward,
    steps: curve.steps.map((step) => ({ ...step })),
  }
}

const qualityOf = ({ minCoveragePpm = 1_000_000, weakestTier = 'hardware' }: Quality) => ({
  minCoveragePpm,
  weakestTier: trustTiers[weakestTier],
})

const approval = (token: Address, spender: Address, amount: bigint): Call => ({
  label: 'approve',
  to: token,
  data: encodeFunctionData({
    abi: testTokenAbi,
    functionName: 'approve',
    args: [spender, amount],
  }),
})

const printing = (token: Address, to: Address, amount: bigint): Call => ({
  label: 'mint test tokens',
  to: token,
  data: encodeFunctionData({ abi: testTokenAbi, functionName: 'mint', args: [to, amount] }),
})

function only<Value>(values: readonly Value[], what: string): Value {
  const [value] = values
  if (value === undefined) throw new TransactionFailedError(`${what} left no event behind.`)
  return value
}

/**
 * Prints test tokens, pays them into an escrow and answers the agreement's number.
 *
 * @throws {@link TransactionFailedError}
 */
export async function createEscrow(
  place: Place,
  contract: Address,
  terms: Quality & {
    readonly payee: Address
    readonly token: Address
    readonly report: ReportTerms
    readonly graceSeconds: number
    readonly isInOrder?: boolean
    /** Part that goes back to the payer on FAIL. */
    readonly penalty: Curve
    readonly tranches: readonly {
      readonly periodStartMs: bigint
      readonly periodEndMs: bigint
      readonly amount: bigint
    }[]
  },
): Promise<bigint> {
  const sender = await createSender(place)
  const total = terms.tranches.reduce((sum, { amount }) => sum + amount, 0n)
  const receipts = await sender.sendAll([
    printing(terms.token, sender.account.address, total),
    approval(terms.token, contract, total),
    {
      label: 'create escrow',
      to: contract,
      // Three new slots for each tranche.
      extraGas: 100_000n * BigInt(terms.tranches.length),
      data: encodeFunctionData({
        abi: performanceEscrowAbi,
        functionName: 'create',
        args: [
          {
            payee: terms.payee,
            token: terms.token,
            report: terms.report,
            ...qualityOf(terms),
            isInOrder: terms.isInOrder ?? true,
            graceSeconds: terms.graceSeconds,
            penalty: encodeCurve(terms.penalty),
            tranches: terms.tranches.map((tranche) => ({ ...tranche })),
          },
        ],
      }),
    },
  ])
  const logs = receipts.flatMap((receipt) => receipt.logs)
  const events = parseEventLogs({ abi: performanceEscrowAbi, eventName: 'EscrowCreated', logs })
  return only(events, 'create escrow').args.agreementId
}

/**
 * Prints test tokens and provides them as capital of a cover's pool.
 *
 * @throws {@link TransactionFailedError}
 */
export async function fundPool(
  place: Place,
  pool: Address,
  token: Address,
  amount: bigint,
): Promise<void> {
  const sender = await createSender(place)
  const provider = sender.account.address
  await sender.sendAll([
    printing(token, provider, amount),
    approval(token, pool, amount),
    {
      label: 'provide capital',
      to: pool,
      data: encodeFunctionData({
        abi: coverPoolAbi,
        functionName: 'deposit',
        args: [amount, provider],
      }),
    },
  ])
}

/**
 * Puts a product on offer, with an exposure cap for its peril and region. The sender is an underwriter.
 *
 * @throws {@link TransactionFailedError}
 */
export async function offerCover(
  place: Place,
  contract: Address,
  product: Quality & {
    readonly report: Omit<ReportTerms, 'subject'>
    /** 32-byte words, free to choose. */
    readonly peril: Hex
    readonly region: Hex
    readonly exposureCap: bigint
    readonly windowMs: bigint
    readonly maxWindows: number
    readonly waitingSeconds: number
    readonly claimSeconds: number
    /** Premium per unit of sum insured and year. */
    readonly basePpm: number
    readonly loadPpm?: number
    /** Share that a dark window pays, and up to which coverage a window is dark. */
    readonly silence?: { readonly sharePpm: number; readonly coveragePpm: number }
    readonly curve: Curve
  },
): Promise<bigint> {
  const sender = await createSender(place)
  const { peril, region } = product
  const receipts = await sender.sendAll([
    {
      label: 'set exposure cap',
      to: contract,
      data: encodeFunctionData({
        abi: parametricCoverAbi,
        functionName: 'setExposureCap',
        args: [peril, region, product.exposureCap],
      }),
    },
    {
      label: 'offer cover',
      to: contract,
      data: encodeFunctionData({
        abi: parametricCoverAbi,
        functionName: 'offer',
        args: [
          {
            stream: product.report.stream,
            policyId: product.report.policyId,
            unit: product.report.unit,
            peril,
            region,
            windowMs: product.windowMs,
            ...qualityOf(product),
            maxWindows: product.maxWindows,
            waitingSeconds: product.waitingSeconds,
            claimSeconds: product.claimSeconds,
            basePpm: product.basePpm,
            loadPpm: product.loadPpm ?? 0,
            silencePpm: product.silence?.sharePpm ?? 0,
            silenceCoveragePpm: product.silence?.coveragePpm ?? 0,
            curve: encodeCurve(product.curve),
          },
        ],
      }),
    },
  ])
  const logs = receipts.flatMap((receipt) => receipt.logs)
  const events = parseEventLogs({ abi: parametricCoverAbi, eventName: 'ProductOffered', logs })
  return only(events, 'offer cover').args.productId
}

/**
 * Prints test tokens for the premium and buys a policy.
 *
 * @throws {@link TransactionFailedError}
 */
export async function buyCover(
  place: Place,
  contract: Address,
  token: Address,
  purchase: {
    readonly productId: bigint
    readonly subject: Hex
    readonly startMs: bigint
    readonly windowCount: number
    readonly sumInsured: bigint
    readonly windowLimit: bigint
    readonly holder: Address
  },
): Promise<bigint> {
  const sender = await createSender(place)
  const { client } = sender
  const premium = await client.readContract({
    address: contract,
    abi: parametricCoverAbi,
    functionName: 'quotePremium',
    args: [{ ...purchase, maxPremium: 0n }],
  })
  const receipts = await sender.sendAll([
    printing(token, sender.account.address, premium),
    approval(token, contract, premium),
    {
      label: 'buy cover',
      to: contract,
      data: encodeFunctionData({
        abi: parametricCoverAbi,
        functionName: 'buy',
        args: [{ ...purchase, maxPremium: premium }],
      }),
    },
  ])
  const logs = receipts.flatMap((receipt) => receipt.logs)
  const events = parseEventLogs({ abi: parametricCoverAbi, eventName: 'PolicySold', logs })
  return only(events, 'buy cover').args.policyId
}

/**
 * Admits a carbon project. The sender is a registrar.
 *
 * @throws {@link TransactionFailedError}
 */
export async function admitCarbonProject(
  place: Place,
  contract: Address,
  project: Quality & {
    readonly beneficiary: Address
    readonly report: ReportTerms
    readonly bufferPpm: number
    readonly needsConfirmation?: boolean
    /** Smallest units of credit (1e-8 t) for so many millionths of the report's unit. */
    readonly credits: { readonly numerator: bigint; readonly denominator: bigint }
    readonly name: string
    readonly methodology: string
    readonly registryId: string
  },
): Promise<bigint> {
  const sender = await createSender(place)
  const receipts = await sender.sendAll([
    {
      label: 'admit carbon project',
      to: contract,
      data: encodeFunctionData({
        abi: carbonCreditAbi,
        functionName: 'admit',
        args: [
          {
            beneficiary: project.beneficiary,
            report: project.report,
            ...qualityOf(project),
            bufferPpm: project.bufferPpm,
            needsConfirmation: project.needsConfirmation ?? false,
            creditsNumerator: project.credits.numerator,
            creditsDenominator: project.credits.denominator,
            name: project.name,
            methodology: project.methodology,
            registryId: project.registryId,
          },
        ],
      }),
    },
  ])
  const logs = receipts.flatMap((receipt) => receipt.logs)
  const events = parseEventLogs({ abi: carbonCreditAbi, eventName: 'ProjectAdmitted', logs })
  return only(events, 'admit carbon project').args.projectId
}
