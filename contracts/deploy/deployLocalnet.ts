import {
  type Abi,
  type Address,
  type Hex,
  encodeFunctionData,
  keccak256,
  sha256,
  toHex,
} from 'viem'
import { authorityArtifact } from '../artifacts/Authority.ts'
import { carbonCreditArtifact } from '../artifacts/CarbonCredit.ts'
import { enclaveRegistryArtifact } from '../artifacts/EnclaveRegistry.ts'
import { localnetQuoteVerifierArtifact } from '../artifacts/LocalnetQuoteVerifier.ts'
import { parametricCoverArtifact } from '../artifacts/ParametricCover.ts'
import { performanceEscrowArtifact } from '../artifacts/PerformanceEscrow.ts'
import { proofRegistryArtifact } from '../artifacts/ProofRegistry.ts'
import { quorumRegistryArtifact } from '../artifacts/QuorumRegistry.ts'
import { testTokenArtifact } from '../artifacts/TestToken.ts'
import { placeAttestation } from './attestation.ts'
import { type Placement, create2Proxy, place } from './create2.ts'
import { DeploymentMissingError, UnsuitableChainError } from './errors.ts'
import { type RestrictedContract, restrictedSelectors, roles } from './roles.ts'
import { type Call, createSender } from './sender.ts'

/**
 * Which quotes count: everything that leads to a local root certificate (DER), by the contracts of
 * production, whose store then needs the platform's collateral (`uploadCollateral`); or what one
 * platform's P-256 attestation key signed, two coordinates of 32 bytes, and nothing to upload.
 */
export type LocalTrust =
  | { readonly rootCertificate: Uint8Array }
  | { readonly platformAttestationKey: { readonly x: Hex; readonly y: Hex } }

export type LocalnetDeployment = LocalTrust & {
  readonly rpcUrl: string
  readonly chainId: number
  /** Pays for everything and holds every role. */
  readonly deployerKey: Hex
  /** Images allowed from the start. */
  readonly imageIds: readonly Hex[]
  /** How old a batch may be when it is anchored. Default thirty days. */
  readonly maxBatchAgeSeconds?: bigint
  /** Seconds from listing a further image to its being allowed. Default two days, as in production. */
  readonly imageDelaySeconds?: bigint
  /** Seconds of notice before pool shares can be redeemed. Default seven days. */
  readonly noticeSeconds?: bigint
}

/** What addresses follow from, beside the deployer. */
export type LocalnetParameters = LocalTrust &
  Omit<
    LocalnetDeployment,
    'rpcUrl' | 'chainId' | 'deployerKey' | 'rootCertificate' | 'platformAttestationKey'
  >

export type LocalnetAddresses = {
  readonly authority: Address
  readonly quoteVerifier: Address
  /** Where collateral goes; absent where a key is believed. */
  readonly collateralStore?: Address
  readonly enclaveRegistry: Address
  readonly proofRegistry: Address
  readonly quorumRegistry: Address
  readonly token: Address
  readonly performanceEscrow: Address
  readonly parametricCover: Address
  readonly coverPool: Address
  readonly carbonCredit: Address
}

const salt = keccak256(toHex('plumbline/localnet/1'))

/**
 * Where {@link deployLocalnet} will put everything: the same on every chain for the same deployer,
 * platform, images and delays. Needs no node.
 */
export function localnetAddresses(
  deployer: Address,
  options: LocalnetParameters,
): Omit<LocalnetAddresses, 'coverPool'> {
  const { authority, quoteVerifier, enclaveRegistry, proofRegistry, token, ...consumers } =
    placements(deployer, options)
  const { collateralStore } = consumers
  return {
    authority: authority.address,
    quoteVerifier: quoteVerifier.address,
    ...(collateralStore === undefined ? {} : { collateralStore: collateralStore.address }),
    enclaveRegistry: enclaveRegistry.address,
    proofRegistry: proofRegistry.address,
    quorumRegistry: consumers.quorumRegistry.address,
    token: token.address,
    performanceEscrow: consumers.performanceEscrow.address,
    parametricCover: consumers.parametricCover.address,
    carbonCredit: consumers.carbonCredit.address,
  }
}

function placeQuoteVerifier(
  authority: Address,
  trust: LocalTrust,
): { collateralStore?: Placement; quoteVerifier: Placement } {
  if ('platformAttestationKey' in trust) {
    const { x, y } = trust.platformAttestationKey
    return { quoteVerifier: place(localnetQuoteVerifierArtifact, [x, y], salt) }
  }
  const rootFingerprint = sha256(trust.rootCertificate)
  const { collateralStore, dcapQuoteVerifier } = placeAttestation(
    { rootFingerprint, authority },
    salt,
  )
  return { collateralStore, quoteVerifier: dcapQuoteVerifier }
}

function placements(deployer: Address, options: LocalnetParameters) {
  const authority = place(authorityArtifact, [deployer], salt)
  const attestation = placeQuoteVerifier(authority.address, options)
  const { quoteVerifier } = attestation
  const enclaveRegistry = place(
    enclaveRegistryArtifact,
    [
      quoteVerifier.address,
      authority.address,
      options.imageDelaySeconds ?? 172_800n,
      options.imageIds,
    ],
    salt,
  )
  const proofRegistry = place(
    proofRegistryArtifact,
    [enclaveRegistry.address, options.maxBatchAgeSeconds ?? 2_592_000n],
    salt,
  )
  const token = place(testTokenArtifact, [], salt)
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
    token,
    performanceEscrow: place(performanceEscrowArtifact, [proofRegistry.address], salt),
    parametricCover: place(
      parametricCoverArtifact,
      [proofRegistry.address, token.address, authority.address, options.noticeSeconds ?? 604_800n],
      salt,
    ),
    carbonCredit: place(carbonCreditArtifact, [proofRegistry.address, authority.address], salt),
  }
}

function roleCalls(authority: Address, target: Address, contract: RestrictedContract): Call[] {
  return restrictedSelectors(contract).map(({ role, selectors }) => ({
    label: `roles of ${contract}`,
    to: authority,
    data: encodeFunctionData({
      abi: authorityArtifact.abi,
      functionName: 'setTargetFunctionRole',
      args: [target, selectors, role],
    }),
  }))
}

/**
 * Deploys everything a local chain needs, through the CREATE2 proxy, so that one set of addresses
 * holds on all of them. What stands already is left alone: running it again changes nothing.
 *
 * Under a local root everything is as in production, root aside; the verifier that believes one key
 * refuses to be born on a public chain. This function alone knows its artifact.
 *
 * @throws {@link UnsuitableChainError} | {@link TransactionFailedError} | {@link DeploymentMissingError}
 */
export async function deployLocalnet(options: LocalnetDeployment): Promise<LocalnetAddresses> {
  const { rpcUrl, chainId, deployerKey } = options
  // A verifier that believes one key sees to this by itself.
  if ('rootCertificate' in options && (chainId < 31_337 || chainId > 31_399)) {
    throw new UnsuitableChainError('A local root is for local chains.', {
      field: 'chainId',
      metaMessages: ['Expected: 31337 to 31399', `Actual: ${chainId}`],
      remedy: '`plumbline deploy` puts the contracts on other chains, under Intel’s root.',
    })
  }
  const sender = await createSender({ rpcUrl, chainId, key: deployerKey })
  const { client, account } = sender
  const hasCode = async (address: Address) => (await client.getCode({ address })) !== undefined
  if (!(await hasCode(create2Proxy))) {
    throw new UnsuitableChainError('The chain has no deterministic deployment proxy.', {
      field: 'rpcUrl',
      metaMessages: [`Expected code at: ${create2Proxy}`],
      remedy: 'Use anvil, which has it from the first block.',
    })
  }
  const placed = placements(account.address, options)
  const wanted = Object.entries(placed) as [keyof typeof placed, Placement][]
  const missing: Call[] = []
  for (const [label, { address, data }] of wanted) {
    if (!(await hasCode(address))) missing.push({ label, to: create2Proxy, data })
  }
  const isNew = missing.some(({ label }) => label === 'authority')
  const authority = placed.authority.address
  const grants: Call[] = Object.entries(roles).map(([name, role]) => ({
    label: `grant ${name}`,
    to: authority,
    data: encodeFunctionData({
      abi: authorityArtifact.abi,
      functionName: 'grantRole',
      args: [role, account.address, 0],
    }),
  }))
  await sender.sendAll([
    ...missing,
    ...(isNew
      ? [
          ...grants,
          ...roleCalls(authority, placed.enclaveRegistry.address, 'enclaveRegistry'),
          ...roleCalls(authority, placed.parametricCover.address, 'parametricCover'),
          ...roleCalls(authority, placed.carbonCredit.address, 'carbonCredit'),
        ]
      : []),
  ])
  for (const [label, { address }] of wanted) {
    if (!(await hasCode(address))) {
      throw new DeploymentMissingError(`${label} is not where it should be.`, {
        metaMessages: [`Chain: ${chainId}`, `Address: ${address}`],
        remedy: 'Its constructor reverted: the quote verifier does outside local chain ids.',
      })
    }
  }
  const coverPool = await client.readContract({
    address: placed.parametricCover.address,
    abi: parametricCoverArtifact.abi satisfies Abi,
    functionName: 'POOL',
  })
  return { ...localnetAddresses(account.address, options), coverPool }
}
