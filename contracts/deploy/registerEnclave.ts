import { keccak_256 } from '@noble/hashes/sha3'
import {
  type Abi,
  type Address,
  ContractFunctionExecutionError,
  BaseError as ViemError,
  type Hex,
  type PublicClient,
  type TransactionReceipt,
  decodeErrorResult,
  encodeFunctionData,
  zeroAddress,
} from 'viem'
import { appraisalPolicyAbi } from '#schemas/abi/appraisalPolicy.ts'
import { collateralStoreAbi } from '#schemas/abi/collateralStore.ts'
import { dcapQuoteVerifierAbi } from '#schemas/abi/dcapQuoteVerifier.ts'
import { enclaveRegistryAbi } from '#schemas/abi/enclaveRegistry.ts'
import { concatBytes, fromHex, toHex } from '#schemas/bytes.ts'
import type { Attestation } from '#schemas/workerApi.ts'
import type { Collateral } from '#verifier/collateral/collateral.ts'
import { packQuoteEvidence, packRenewalEvidence } from '#verifier/quote/packQuoteEvidence.ts'
import { parseQuote } from '#verifier/quote/parseQuote.ts'
import { packPlatformFacts } from '../attestation/dcap/platformFacts.ts'
import { missingUploads } from './collateral.ts'
import { RegistrationRefusedError } from './errors.ts'
import { type Call, type Sender, type SenderOptions, createSender } from './sender.ts'

/** What stands behind a registry. */
export type QuoteVerifierPlace = {
  /** Verifies quotes in full; absent on a registry that believes something else. */
  readonly verifier?: Address
  readonly store?: Address
  /** Between registry and verifier, where the operator has an appraisal policy. */
  readonly policy?: Address
}

export type Registration = {
  readonly signer: Address
  readonly stream: Hex
  readonly imageId: Hex
  readonly expiresAtSeconds: bigint
  readonly isRenewal: boolean
  /** Labels of what was sent before it, collateral first. */
  readonly prepared: readonly string[]
  readonly transactionHash: Hex
  readonly gasUsed: bigint
}

export type EnclaveRegistration = SenderOptions & {
  readonly registry: Address
  /** As the worker serves it, for this chain. */
  readonly attestation: Attestation
  /** What a store that lacks some of it is given. Default: what the attestation carries. */
  readonly collateral?: Collateral
}

/** Every error that a registration can end with, whoever raised it. */
const errors: Abi = [
  ...enclaveRegistryAbi,
  ...appraisalPolicyAbi,
  ...dcapQuoteVerifierAbi,
  ...collateralStoreAbi,
].filter(({ type }) => type === 'error')

/**
 * Registers the key of an attestation, or renews it: uploads the collateral that the store lacks, has
 * the platform remembered before a renewal, and sends the registration once a call has shown that it
 * will pass. Anybody may do this for any enclave; who does pays the gas.
 *
 * @throws {@link RegistrationRefusedError} naming the contract's error, before gas is spent on it.
 * @throws {@link UnsuitableChainError} | {@link TransactionFailedError}
 */
export async function registerEnclave(options: EnclaveRegistration): Promise<Registration> {
  const { registry, attestation } = options
  const sender = await createSender(options)
  const { client } = sender
  const { signer } = attestation.statement
  const { isRenewal, uploads, quote, place } = await prepare(client, options)
  for (const upload of uploads) await sendChecked(sender, upload)
  const { evidence, remembering } = await chooseEvidence(client, place, quote, isRenewal)
  if (remembering !== undefined) await sendChecked(sender, remembering)
  const receipt = await sendChecked(sender, registrationCall(registry, attestation, evidence))
  const [stream, imageId, expiresAt] = await client.readContract({
    address: registry,
    abi: enclaveRegistryAbi,
    functionName: 'signerStatus',
    args: [signer],
  })
  const prepared = remembering === undefined ? uploads : [...uploads, remembering]
  return {
    signer,
    stream,
    imageId,
    expiresAtSeconds: expiresAt,
    isRenewal,
    prepared: prepared.map(({ label }) => label),
    transactionHash: receipt.transactionHash,
    gasUsed: receipt.gasUsed,
  }
}

/**
 * What {@link registerEnclave} would send. With nothing to upload first, the chain is asked whether the
 * registration would pass; otherwise only the first upload can be.
 *
 * @throws {@link RegistrationRefusedError} naming the contract's error.
 */
export async function inspectRegistration(
  client: PublicClient,
  options: Omit<EnclaveRegistration, keyof SenderOptions>,
): Promise<{ isRenewal: boolean; calls: readonly string[] }> {
  const { registry, attestation } = options
  const { isRenewal, uploads, quote, place } = await prepare(client, options)
  const { evidence, remembering } = await chooseEvidence(client, place, quote, isRenewal)
  const registration = registrationCall(registry, attestation, evidence)
  const calls = [...uploads, ...(remembering === undefined ? [] : [remembering]), registration]
  const [first] = calls
  if (first !== undefined) await check(client, first)
  return { isRenewal, calls: calls.map(({ label }) => label) }
}

async function prepare(
  client: PublicClient,
  options: Omit<EnclaveRegistration, keyof SenderOptions>,
) {
  const { registry, attestation } = options
  const [, , , attestedAt] = await client.readContract({
    address: registry,
    abi: enclaveRegistryAbi,
    functionName: 'signerRecord',
    args: [attestation.statement.signer],
  })
  const place = await findQuoteVerifier(client, registry)
  const collateral = options.collateral ?? (attestation.collateral as Collateral | undefined)
  const { store } = place
  return {
    isRenewal: attestedAt !== 0n,
    place,
    quote: fromHex(attestation.quote, 'attestation.quote'),
    uploads:
      store === undefined || collateral === undefined
        ? []
        : await missingUploads({ client, store }, collateral),
  }
}

function registrationCall(registry: Address, attestation: Attestation, evidence: Hex): Call {
  const { statement, blockNumber, possession } = attestation
  return {
    label: 'registration',
    to: registry,
    data: encodeFunctionData({
      abi: enclaveRegistryAbi,
      functionName: 'register',
      args: [statement, blockNumber, possession, evidence],
    }),
  }
}

/** Follows a registry to the verifier and the collateral store behind it. */
export async function findQuoteVerifier(
  client: PublicClient,
  registry: Address,
): Promise<QuoteVerifierPlace> {
  const first = await client.readContract({
    address: registry,
    abi: enclaveRegistryAbi,
    functionName: 'QUOTE_VERIFIER',
  })
  const store = await readAddress(client, first, dcapQuoteVerifierAbi, 'collateralStore')
  if (store !== undefined) return { verifier: first, store }
  const verifier = await readAddress(client, first, appraisalPolicyAbi, 'verifier')
  if (verifier === undefined) return {}
  const behind = await readAddress(client, verifier, dcapQuoteVerifierAbi, 'collateralStore')
  return behind === undefined ? { policy: first } : { policy: first, verifier, store: behind }
}

/** `undefined` where the contract has no such function. */
async function readAddress(
  client: PublicClient,
  address: Address,
  abi: Abi,
  functionName: string,
): Promise<Address | undefined> {
  try {
    return (await client.readContract({ address, abi, functionName })) as Address
  } catch (error) {
    // A contract without the function reverts, or answers with nothing.
    if (error instanceof ContractFunctionExecutionError) return undefined
    throw error
  }
}

/**
 * Facts where the verifier remembers the platform; else proofs. Before a renewal they are sent once to
 * be remembered, which pays for itself with the second renewal from then on.
 */
async function chooseEvidence(
  client: PublicClient,
  { verifier }: QuoteVerifierPlace,
  quote: Uint8Array,
  isRenewal: boolean,
): Promise<{ evidence: Hex; remembering?: Call }> {
  if (verifier === undefined) return { evidence: packQuoteEvidence(quote) }
  const parsed = parseQuote(quote)
  const facts = packPlatformFacts(parsed)
  const former = await client.readContract({
    address: verifier,
    abi: dcapQuoteVerifierAbi,
    functionName: 'rememberedUnder',
    args: [toHex(keccak_256(concatBytes(parsed.auth.attestationKey, facts)))],
  })
  if (former !== zeroAddress) return { evidence: packRenewalEvidence(quote, facts) }
  const proofs = packQuoteEvidence(quote)
  if (!isRenewal) return { evidence: proofs }
  return {
    evidence: packRenewalEvidence(quote, facts),
    remembering: {
      label: 'platform remembered',
      to: verifier,
      data: encodeFunctionData({
        abi: dcapQuoteVerifierAbi,
        functionName: 'rememberPlatform',
        args: [proofs],
      }),
    },
  }
}

/** Asks before it sends, so that a refusal names its rule and costs nothing. */
async function sendChecked(sender: Sender, call: Call): Promise<TransactionReceipt> {
  await check(sender.client, call)
  const [receipt] = await sender.sendAll([call])
  if (receipt === undefined) throw new TypeError('One call, one receipt')
  return receipt
}

async function check(client: PublicClient, { label, to, data }: Call): Promise<void> {
  try {
    // As of the next block: a quote may be over the newest one, whose hash the chain does not know yet.
    await client.call({ to, data, blockTag: 'pending' })
  } catch (error) {
    throw refusedAs(label, error)
  }
}

/** What a call reverted with; `undefined` when it failed for another reason. */
function revertData(error: unknown): Hex | undefined {
  if (!(error instanceof ViemError)) return undefined
  let found: Hex | undefined
  error.walk((cause) => {
    const { data } = cause as { data?: unknown }
    const inner =
      typeof data === 'object' && data !== null ? (data as { data?: unknown }).data : data
    if (typeof inner === 'string' && inner.startsWith('0x')) found = inner as Hex
    return false
  })
  return found
}

/** The contract's own error, if that is what a call ended with; anything else as it is. */
function refusedAs(label: string, error: unknown): unknown {
  const data = revertData(error)
  if (data === undefined || data === '0x') return error
  let decoded: { errorName: string; args?: readonly unknown[] | undefined }
  try {
    decoded = decodeErrorResult({ abi: errors, data })
  } catch {
    decoded = { errorName: data.slice(0, 10) }
  }
  const { errorName, args = [] } = decoded
  // Without the cause: its message holds the whole call, and so the whole quote.
  return new RegistrationRefusedError(`The chain refuses the ${label}: ${errorName}.`, {
    field: errorName,
    metaMessages: args.map((value) => `Value: ${String(value)}`),
    ...remedyOf(errorName),
  })
}

/** What to do about the errors that an operator meets; the rest are explained in the docs. */
const remedies: readonly (readonly [pattern: RegExp, remedy: string])[] = [
  [
    /^CollateralStore.*(?:Missing|Expired)$/,
    'Fetch collateral anew from a certification service and pass it with --collateral.',
  ],
  [
    /^AppraisalPolicy(?:Qe)?EvaluationNumberBelowFloor$|^AppraisalPolicyCollateralTooOld$/,
    'Fetch collateral with update=early and pass it with --collateral.',
  ],
  [
    /^EnclaveRegistryBlock(?:Unknown|Mismatch)$/,
    'The quote is too old for this chain, or made after a block that is gone: ask the worker again.',
  ],
  [
    /^EnclaveRegistryImageNotAllowed$/,
    'The curator allows an image by `allowImage`; it counts once its delay has passed.',
  ],
  [
    /^EnclaveRegistry(?:WrongChain|WrongRegistry)$/,
    'The worker’s configuration names another registry for this chain.',
  ],
  [
    /^EnclaveRegistrySignerRevoked$/,
    'A revoked key stays revoked: restart the worker, which makes a new one.',
  ],
  [
    /TcbStatus|TcbGraceExpired$|TcbRevoked$|LevelNotFound$/,
    'Update firmware, microcode or TDX module of the machine, and provision it again.',
  ],
  [/^DcapQuoteVerifierPckIssuerMismatch$/, 'Upload collateral of the platform’s own authority.'],
]

function remedyOf(errorName: string): { remedy?: string } {
  const remedy = remedies.find(([pattern]) => pattern.test(errorName))?.[1]
  return { remedy: remedy ?? 'See docs/onchain-attestation.md, errors.' }
}
