import {
  type Abi,
  type Address,
  type Hex,
  type PublicClient,
  concatHex,
  encodeFunctionData,
  isAddressEqual,
  keccak256,
  padHex,
  toHex,
} from 'viem'
import { appraisalPolicyArtifact } from '../artifacts/AppraisalPolicy.ts'
import { authorityArtifact } from '../artifacts/Authority.ts'
import { carbonCreditArtifact } from '../artifacts/CarbonCredit.ts'
import { collateralStoreArtifact } from '../artifacts/CollateralStore.ts'
import { dcapQuoteVerifierArtifact } from '../artifacts/DcapQuoteVerifier.ts'
import { enclaveRegistryArtifact } from '../artifacts/EnclaveRegistry.ts'
import { parametricCoverArtifact } from '../artifacts/ParametricCover.ts'
import { performanceEscrowArtifact } from '../artifacts/PerformanceEscrow.ts'
import { proofRegistryArtifact } from '../artifacts/ProofRegistry.ts'
import { quorumRegistryArtifact } from '../artifacts/QuorumRegistry.ts'
import { intelRootFingerprint, placeAttestation, quoteVerifierOf } from './attestation.ts'
import { type Placement, create2Proxy, create2ProxyCode, place } from './create2.ts'
import { DeploymentMismatchError, UnsuitableChainError } from './errors.ts'
import { InvalidDeploymentPlanError, type PublicPlan } from './publicPlan.ts'
import { type RestrictedContract, restrictedSelectors, roles } from './roles.ts'
import { type Call, type SenderOptions, createSender } from './sender.ts'

const saltOf = ({ name }: PublicPlan): Hex => keccak256(toHex(`plumbline/1/${name}`))

/** AccessManager's own role, which grants all others. */
const adminRole = 0n

const handedOver = 'the deployer holds no role'

/** Something that must be so on chain, and what makes it so where the deployer can. */
export type Wanted = {
  readonly what: string
  readonly read: {
    readonly address: Address
    readonly abi: Abi
    readonly functionName: string
    readonly args?: readonly unknown[]
  }
  readonly expected: unknown
  readonly repair?: Omit<Call, 'label'>
}

export type Finding = {
  readonly what: string
  readonly isRight: boolean
  readonly expected: string
  readonly actual: string
}

export type PublicState = {
  /** By name, in the order in which they are deployed. */
  readonly addresses: Readonly<Record<string, Address>>
  /** What has to be deployed yet, with the gas that takes. */
  readonly missing: readonly (Call & { readonly gas: bigint })[]
  /** What has to be set up yet; all of it, while there is no authority. */
  readonly repairs: readonly Call[]
  /** Whether signatures of P-256 are verified by the chain itself. */
  readonly hasPrecompile: boolean
}

function placements(deployer: Address, plan: PublicPlan): Record<string, Placement> {
  const salt = saltOf(plan)
  const authority = place(authorityArtifact, [deployer], salt)
  const attestation = placeAttestation(
    {
      rootFingerprint: intelRootFingerprint,
      authority: authority.address,
      appraisal: plan.appraisal,
    },
    salt,
  )
  const enclaveRegistry = place(
    enclaveRegistryArtifact,
    [quoteVerifierOf(attestation), authority.address, BigInt(plan.imageDelaySeconds), plan.images],
    salt,
  )
  const proofRegistry = place(
    proofRegistryArtifact,
    [enclaveRegistry.address, BigInt(plan.maxBatchAgeSeconds)],
    salt,
  )
  const { cover } = plan
  return {
    authority,
    ...attestation,
    enclaveRegistry,
    proofRegistry,
    quorumRegistry: place(
      quorumRegistryArtifact,
      [enclaveRegistry.address, proofRegistry.address],
      salt,
    ),
    performanceEscrow: place(performanceEscrowArtifact, [proofRegistry.address], salt),
    carbonCredit: place(carbonCreditArtifact, [proofRegistry.address, authority.address], salt),
    ...(cover === undefined
      ? {}
      : {
          parametricCover: place(
            parametricCoverArtifact,
            [proofRegistry.address, cover.asset, authority.address, BigInt(cover.noticeSeconds)],
            salt,
          ),
        }),
  }
}

/** Addresses follow from deployer and plan alone; no node is asked. */
export function publicAddresses(deployer: Address, plan: PublicPlan): Record<string, Address> {
  return Object.fromEntries(
    Object.entries(placements(deployer, plan)).map(([name, { address }]) => [name, address]),
  )
}

/**
 * What must be so in the end. Code at an address of the proxy's is the code of the plan; the rest is
 * read back because an auditor will.
 */
function wanted(deployer: Address, plan: PublicPlan): Wanted[] {
  const at = publicAddresses(deployer, plan)
  const artifacts: Record<string, Abi> = {
    appraisalPolicy: appraisalPolicyArtifact.abi,
    collateralStore: collateralStoreArtifact.abi,
    dcapQuoteVerifier: dcapQuoteVerifierArtifact.abi,
    enclaveRegistry: enclaveRegistryArtifact.abi,
    proofRegistry: proofRegistryArtifact.abi,
    quorumRegistry: quorumRegistryArtifact.abi,
    performanceEscrow: performanceEscrowArtifact.abi,
    carbonCredit: carbonCreditArtifact.abi,
    parametricCover: parametricCoverArtifact.abi,
  }
  const wiring = (
    [
      ['collateralStore', 'rootFingerprint', intelRootFingerprint],
      ['dcapQuoteVerifier', 'collateralStore', at['collateralStore']],
      ['appraisalPolicy', 'verifier', at['dcapQuoteVerifier']],
      ['appraisalPolicy', 'authority', at['authority']],
      ['enclaveRegistry', 'QUOTE_VERIFIER', at['appraisalPolicy'] ?? at['dcapQuoteVerifier']],
      ['enclaveRegistry', 'authority', at['authority']],
      ['enclaveRegistry', 'IMAGE_DELAY_SECONDS', BigInt(plan.imageDelaySeconds)],
      ['proofRegistry', 'ENCLAVES', at['enclaveRegistry']],
      ['proofRegistry', 'MAX_BATCH_AGE_MS', BigInt(plan.maxBatchAgeSeconds) * 1000n],
      ['quorumRegistry', 'ENCLAVES', at['enclaveRegistry']],
      ['quorumRegistry', 'PROOFS', at['proofRegistry']],
      ['performanceEscrow', 'PROOFS', at['proofRegistry']],
      ['carbonCredit', 'PROOFS', at['proofRegistry']],
      ['carbonCredit', 'authority', at['authority']],
      ['parametricCover', 'PROOFS', at['proofRegistry']],
      ['parametricCover', 'authority', at['authority']],
      ['parametricCover', 'ASSET', plan.cover?.asset],
    ] as const
  ).flatMap(([contract, functionName, expected]): Wanted[] => {
    const address = at[contract]
    const abi = artifacts[contract]
    if (address === undefined || abi === undefined) return []
    return [{ what: `${contract}.${functionName}`, read: { address, abi, functionName }, expected }]
  })
  return [...wiring, ...wantedRoles(deployer, plan, at)]
}

function wantedRoles(
  deployer: Address,
  plan: PublicPlan,
  at: Readonly<Record<string, Address>>,
): Wanted[] {
  const authority = at['authority'] ?? deployer
  const { abi } = authorityArtifact
  const ask = (functionName: string, ...args: readonly unknown[]) => ({
    address: authority,
    abi,
    functionName,
    args,
  })
  const repair = (functionName: string, ...args: readonly unknown[]) => ({
    to: authority,
    data: encodeFunctionData<Abi>({ abi, functionName, args }),
  })
  const restricted: readonly RestrictedContract[] = [
    'enclaveRegistry',
    'appraisalPolicy',
    'carbonCredit',
    'parametricCover',
  ]
  const functions = restricted.flatMap((contract) => {
    const target = at[contract]
    if (target === undefined) return []
    return restrictedSelectors(contract).flatMap(({ role, selectors }) =>
      selectors.map((selector): Wanted => ({
        what: `role of ${contract} ${selector}`,
        read: ask('getTargetFunctionRole', target, selector),
        expected: role,
        repair: repair('setTargetFunctionRole', target, [selector], role),
      })),
    )
  })
  const members = (
    [
      ['guardian', roles.guardian, plan.guardian, 0],
      ['curator', roles.curator, plan.curator, plan.additionDelaySeconds],
      ['underwriter', roles.underwriter, plan.underwriter, plan.additionDelaySeconds],
      ['registrar', roles.registrar, plan.registrar, plan.additionDelaySeconds],
      ['admin', adminRole, plan.admin, plan.additionDelaySeconds],
    ] as const
  ).map(([name, role, account, delay]): Wanted => ({
    what: `${name} is ${account}`,
    read: ask('hasRole', role, account),
    expected: [true, delay],
    repair: repair('grantRole', role, account, delay),
  }))
  // Whoever takes away may also stop what an adding role has scheduled.
  const guardians = ([roles.curator, roles.underwriter, roles.registrar] as const).map(
    (role): Wanted => ({
      what: `the guardian may cancel what role ${role} schedules`,
      read: ask('getRoleGuardian', role),
      expected: roles.guardian,
      repair: repair('setRoleGuardian', role, roles.guardian),
    }),
  )
  const handover: Wanted = {
    what: handedOver,
    read: ask('hasRole', adminRole, deployer),
    expected: [false, 0],
    repair: repair('renounceRole', adminRole, deployer),
  }
  // Last, because nothing can be repaired after it.
  return [...functions, ...guardians, ...members, handover]
}

function isEqual(actual: unknown, expected: unknown): boolean {
  if (Array.isArray(actual) && Array.isArray(expected)) {
    return expected.every((each, index) => isEqual(actual[index], each))
  }
  if (typeof actual === 'string' && typeof expected === 'string') {
    return actual.toLowerCase() === expected.toLowerCase()
  }
  if (typeof actual === 'bigint' || typeof expected === 'bigint') {
    return String(actual) === String(expected)
  }
  return actual === expected
}

async function look(client: PublicClient, { what, read, expected }: Wanted): Promise<Finding> {
  let actual: unknown
  try {
    actual = await client.readContract({ ...read, args: read.args ?? [] })
  } catch {
    actual = 'nothing'
  }
  return {
    what,
    isRight: isEqual(actual, expected),
    expected: String(expected),
    actual: String(actual),
  }
}

function assertPlan(deployer: Address, plan: PublicPlan): void {
  for (const name of ['admin', 'guardian', 'curator', 'underwriter', 'registrar'] as const) {
    if (!isAddressEqual(plan[name], deployer)) continue
    throw new InvalidDeploymentPlanError('The deployer must hold no role in the end.', {
      field: `plan.${name}`,
      remedy: 'Name a multisig, a timelock or another key.',
    })
  }
  if (isAddressEqual(plan.guardian, plan.curator)) {
    throw new InvalidDeploymentPlanError('Who adds and who takes away must not be the same.', {
      field: 'plan.curator',
      remedy: 'Name different accounts for guardian and curator.',
    })
  }
}

/**
 * What stands of a plan on a chain and what is missing. Every constructor that has yet to run is tried
 * on the chain, so that one which lacks an instruction is found out before anything is spent.
 *
 * @throws {@link UnsuitableChainError} | {@link InvalidDeploymentPlanError}
 * | {@link DeploymentMismatchError} when the authority is out of the deployer's hands already.
 */
export async function inspectPublic(
  client: PublicClient,
  deployer: Address,
  plan: PublicPlan,
): Promise<PublicState> {
  assertPlan(deployer, plan)
  const proxy = await client.getCode({ address: create2Proxy })
  if (proxy !== create2ProxyCode) {
    throw new UnsuitableChainError('The chain has no deterministic deployment proxy.', {
      metaMessages: [`Expected code at: ${create2Proxy}`],
      remedy:
        'See https://github.com/Arachnid/deterministic-deployment-proxy on how to put it there.',
    })
  }
  const placed = placements(deployer, plan)
  const missing: (Call & { gas: bigint })[] = []
  for (const [label, { address, data }] of Object.entries(placed)) {
    const code = await client.getCode({ address })
    if (code !== undefined) continue
    try {
      const gas = await client.estimateGas({ account: deployer, to: create2Proxy, data })
      missing.push({ label, to: create2Proxy, data, gas })
    } catch {
      // Its message holds all of the creation code.
      throw new UnsuitableChainError(`The chain does not take the ${label}.`, {
        field: label,
        remedy: 'It may lack an instruction of the Osaka fork, or limit the gas of a transaction.',
      })
    }
  }
  const repairs: Call[] = []
  for (const each of wanted(deployer, plan)) {
    if (each.repair === undefined) continue
    const { isRight } = await look(client, each)
    if (!isRight) repairs.push({ label: each.what, ...each.repair })
  }
  const isHandedOver = !repairs.some(({ label }) => label === handedOver)
  if (isHandedOver && repairs.length > 0) {
    throw new DeploymentMismatchError('The authority is handed over, and not as the plan says.', {
      metaMessages: repairs.map(({ label }) => `Not so: ${label}`),
      remedy: 'Give the plan another name for a deployment beside it, or have its admin set these.',
    })
  }
  const hasPrecompile = await callsPrecompile(client)
  return { addresses: publicAddresses(deployer, plan), missing, repairs, hasPrecompile }
}

/** The signature with which the contracts find it out too; see `P256Signatures.sol`. */
const probe: Hex = concatHex([
  '0xbb5a52f42f9c9261ed4361f59422a1e30036e7c32b270c8807a419feca605023',
  padHex('0x05'),
  padHex('0x01'),
  '0xa71af64de5126a4a4e02b7922d66ce9415ce88a4c9d25514d91082c8725ac957',
  '0x5d47723c8fbe580bb369fec9c2665d8e30a435b9932645482e7c9f11e872296b',
])

async function callsPrecompile(client: PublicClient): Promise<boolean> {
  const to: Address = '0x0000000000000000000000000000000000000100'
  const { data } = await client.call({ to, data: probe })
  return data !== undefined && BigInt(data) === 1n
}

/** Reads everything back that a plan wants, deployer's handover included. */
export async function verifyPublic(
  client: PublicClient,
  deployer: Address,
  plan: PublicPlan,
): Promise<Finding[]> {
  const findings: Finding[] = []
  for (const [name, address] of Object.entries(publicAddresses(deployer, plan))) {
    const isRight = (await client.getCode({ address })) !== undefined
    const actual = isRight ? 'code' : 'nothing'
    findings.push({ what: `${name} at ${address}`, isRight, expected: 'code', actual })
  }
  for (const each of wanted(deployer, plan)) findings.push(await look(client, each))
  return findings
}

/**
 * Puts a plan on a chain: deploys what is missing, sets up roles, verifies, and only then lets the
 * deployer go. Running it again goes on where it stopped.
 *
 * @returns What was read back in the end; all of it right.
 * @throws {@link UnsuitableChainError} | {@link InvalidDeploymentPlanError} | {@link TransactionFailedError}
 * | {@link DeploymentMismatchError}
 */
export async function deployPublic(
  options: SenderOptions & { readonly plan: PublicPlan },
): Promise<{ addresses: Readonly<Record<string, Address>>; findings: Finding[] }> {
  const { plan } = options
  const sender = await createSender(options)
  const { client } = sender
  const deployer = sender.account.address
  const { addresses, missing, repairs } = await inspectPublic(client, deployer, plan)
  await sender.sendAll(missing)
  const handover = repairs.filter(({ label }) => label === handedOver)
  await sender.sendAll(inOne(repairs.filter(({ label }) => label !== handedOver)))
  const before = await verifyPublic(client, deployer, plan)
  assertRight(before.slice(0, -1))
  await sender.sendAll(handover)
  const findings = await verifyPublic(client, deployer, plan)
  assertRight(findings)
  return { addresses, findings }
}

/** Gas of one setting of the authority, at most. */
export const gasPerSetting = 60_000n

/** All settings in one transaction of the authority's own: all of them, or none. */
function inOne(settings: readonly Call[]): Call[] {
  const [first] = settings
  if (first === undefined) return []
  return [
    {
      label: 'roles',
      to: first.to,
      data: encodeFunctionData({
        abi: authorityArtifact.abi,
        functionName: 'multicall',
        args: [settings.map(({ data }) => data)],
      }),
      extraGas: gasPerSetting * BigInt(settings.length),
    },
  ]
}

function assertRight(findings: readonly Finding[]): void {
  const wrong = findings.filter(({ isRight }) => !isRight)
  if (wrong.length === 0) return
  throw new DeploymentMismatchError('What stands on the chain is not what the plan says.', {
    metaMessages: wrong.map(
      ({ what, expected, actual }) => `${what}: expected ${expected}, actual ${actual}`,
    ),
    remedy: 'The deployer can mend nothing after the handover; the admin can.',
  })
}
