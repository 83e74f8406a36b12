import { type Hex, stringToHex } from 'viem'
import {
  admitCarbonProject,
  buyCover,
  createEscrow,
  fundPool,
  offerCover,
} from '#contracts/deploy/agreements.ts'
import type { LocalnetAddresses } from '#contracts/deploy/deployLocalnet.ts'
import { policyExclusiveTo, policyId, type Policy } from '#schemas/policy/policy.ts'
import { subjectId, unitCode, zeroHash } from '#schemas/report.ts'
import { accounts } from './accounts.ts'
import type { Chain } from './chains/startChain.ts'
import { energyMarks, plant, shipment } from './scenario.ts'

/** One agreement of the story that a report will settle. */
export type LocalAgreement = {
  readonly label: string
  readonly kind: 'parametric-cover' | 'carbon-credit' | 'performance-escrow'
  readonly chain: Chain
  readonly contract: Hex
  readonly agreementId: bigint
  readonly subject: Hex
  readonly subjectName: string
  readonly policy: Policy
  readonly policyId: Hex
  readonly exclusiveTo: Hex | undefined
  /** How amounts of `ReportSettled` are to be read. */
  readonly amount: { readonly unit: string; readonly decimals: number }
}

export type StoryPolicies = {
  readonly shortfall: Policy
  readonly operation: Policy
  readonly carbon: Policy
  readonly shipment: Policy
}

export type StoryPeriods = {
  readonly plant: { readonly startMs: number; readonly endMs: number }
  readonly shipment: { readonly startMs: number; readonly endMs: number }
}

const day = 86_400
const million = 1_000_000n
/** Test tokens have eighteen decimals. */
const token = 10n ** 18n
/** Credits have eight decimals, as the draft ERC-8393 has them. */
const creditDecimals = 8

/**
 * Concludes the story's four agreements, each on its chain: before anything is measured, as
 * agreements are.
 */
export async function concludeAgreements(world: {
  readonly chains: readonly [harbour: Chain, meadow: Chain, quay: Chain]
  readonly addresses: LocalnetAddresses
  readonly stream: Hex
  readonly policies: StoryPolicies
  readonly periods: StoryPeriods
}): Promise<LocalAgreement[]> {
  const { addresses, stream, policies, periods } = world
  const [harbour, meadow, quay] = world.chains
  const key = accounts.founder.privateKey
  const placeOf = ({ rpcUrl, chainId }: Chain) => ({ rpcUrl, chainId, key })
  const termsOf = (subject: string, policy: Policy) => ({
    stream,
    subject: subjectId(subject),
    policyId: policyId(policy),
    unit: unitCode(policy.settlement.unit),
  })
  const agreement = (
    subjectName: string,
    policy: Policy,
    rest: Pick<LocalAgreement, 'label' | 'kind' | 'chain' | 'contract' | 'agreementId' | 'amount'>,
  ): LocalAgreement => {
    const place = policyExclusiveTo(policy)
    return {
      ...rest,
      subject: subjectId(subjectName),
      subjectName,
      policy,
      policyId: policyId(policy),
      exclusiveTo: place === zeroHash ? undefined : place,
    }
  }

  const cover = async (): Promise<LocalAgreement> => {
    const place = placeOf(harbour)
    await fundPool(place, addresses.coverPool, addresses.token, 1_000_000n * token)
    const productId = await offerCover(place, addresses.parametricCover, {
      report: termsOf(plant.subject, policies.shortfall),
      minCoveragePpm: 950_000,
      peril: stringToHex('solar shortfall', { size: 32 }),
      region: stringToHex('recorded site', { size: 32 }),
      exposureCap: 500_000n * token,
      windowMs: BigInt(periods.plant.endMs - periods.plant.startMs),
      maxWindows: 1,
      waitingSeconds: day,
      claimSeconds: 30 * day,
      basePpm: 80_000,
      curve: {
        shape: 'linear',
        maximumPpm: 1_000_000,
        attachmentMicro: energyMarks.attachmentWh * million,
        exhaustionMicro: energyMarks.exhaustionWh * million,
      },
    })
    const agreementId = await buyCover(place, addresses.parametricCover, addresses.token, {
      productId,
      subject: subjectId(plant.subject),
      startMs: BigInt(periods.plant.startMs),
      windowCount: 1,
      sumInsured: 50_000n * token,
      windowLimit: 50_000n * token,
      holder: accounts.plantOwner.address,
    })
    return agreement(plant.subject, policies.shortfall, {
      label: 'Cover pays for the shortfall',
      kind: 'parametric-cover',
      chain: harbour,
      contract: addresses.parametricCover,
      agreementId,
      amount: { unit: 'TEST', decimals: 18 },
    })
  }

  const credit = async (): Promise<LocalAgreement> => {
    const agreementId = await admitCarbonProject(placeOf(meadow), addresses.carbonCredit, {
      beneficiary: accounts.plantOwner.address,
      report: termsOf(plant.subject, policies.carbon),
      minCoveragePpm: 950_000,
      bufferPpm: 100_000,
      // Millionths of a kilogram to 1e-8 tonnes: 1e-9 t each, so ten of them are one unit.
      credits: { numerator: 1n, denominator: 10n },
      name: 'Solar plant 1',
      methodology: 'ACM0002-shaped, declared factor 0.367 kgCO2e/kWh',
      registryId: 'LOCAL-0001',
    })
    return agreement(plant.subject, policies.carbon, {
      label: 'Carbon credit is minted',
      kind: 'carbon-credit',
      chain: meadow,
      contract: addresses.carbonCredit,
      agreementId,
      amount: { unit: 'tCO2e', decimals: creditDecimals },
    })
  }

  const fee = async (): Promise<LocalAgreement> => {
    const agreementId = await createEscrow(placeOf(quay), addresses.performanceEscrow, {
      payee: accounts.plantOperator.address,
      token: addresses.token,
      report: termsOf(plant.subject, policies.operation),
      minCoveragePpm: 950_000,
      graceSeconds: 7 * day,
      penalty: {
        shape: 'linear',
        maximumPpm: 1_000_000,
        attachmentMicro: energyMarks.contractMinimumWh * million,
        exhaustionMicro: 0n,
      },
      tranches: [
        {
          periodStartMs: BigInt(periods.plant.startMs),
          periodEndMs: BigInt(periods.plant.endMs),
          amount: 12_000n * token,
        },
      ],
    })
    return agreement(plant.subject, policies.operation, {
      label: 'Operation fee is released',
      kind: 'performance-escrow',
      chain: quay,
      contract: addresses.performanceEscrow,
      agreementId,
      amount: { unit: 'TEST', decimals: 18 },
    })
  }

  const freight = async (): Promise<LocalAgreement> => {
    const agreementId = await createEscrow(placeOf(quay), addresses.performanceEscrow, {
      payee: accounts.carrier.address,
      token: addresses.token,
      report: termsOf(shipment.subject, policies.shipment),
      graceSeconds: 7 * day,
      // Twenty percent at the first minute of breach, everything at five.
      penalty: {
        shape: 'linear',
        minimumPpm: 200_000,
        maximumPpm: 1_000_000,
        attachmentMicro: 60n * million,
        exhaustionMicro: 300n * million,
      },
      tranches: [
        {
          periodStartMs: BigInt(periods.shipment.startMs),
          periodEndMs: BigInt(periods.shipment.endMs),
          amount: 3_000n * token,
        },
      ],
    })
    return agreement(shipment.subject, policies.shipment, {
      label: 'Freight is paid less the penalty',
      kind: 'performance-escrow',
      chain: quay,
      contract: addresses.performanceEscrow,
      agreementId,
      amount: { unit: 'TEST', decimals: 18 },
    })
  }

  // One sender per chain: what shares a chain goes one after the other.
  const [onHarbour, onMeadow, onQuay] = await Promise.all([
    cover(),
    credit(),
    fee().then(async (first) => [first, await freight()]),
  ])
  return [onHarbour, onMeadow, ...onQuay]
}
