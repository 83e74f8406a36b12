import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { sha256 } from '@noble/hashes/sha2'
import {
  type Abi,
  type Address,
  type Hex,
  type PublicClient,
  createPublicClient,
  createTestClient,
  createWalletClient,
  encodeDeployData,
  encodeFunctionData,
  getContractAddress,
  http,
  zeroHash,
} from 'viem'
import { privateKeyToAccount } from 'viem/accounts'
import { fromHex, toHex } from '#schemas/bytes.ts'
import {
  type Statement,
  possessionDigest,
  statementReportData,
  statementVersion,
} from '#schemas/statement.ts'
import { appraisalPolicyArtifact } from '#contracts/artifacts/AppraisalPolicy.ts'
import { collateralStoreArtifact } from '#contracts/artifacts/CollateralStore.ts'
import { dcapQuoteVerifierArtifact } from '#contracts/artifacts/DcapQuoteVerifier.ts'
import { enclaveRegistryArtifact } from '#contracts/artifacts/EnclaveRegistry.ts'
import { packPlatformFacts } from '#contracts/attestation/dcap/platformFacts.ts'
import { missingUploads } from '#contracts/deploy/collateral.ts'
import { type Platform, createPlatform } from '#localnet/tdx/platform.ts'
import { sharedPath } from '#test/shared.ts'
import type { Collateral } from '#verifier/collateral/collateral.ts'
import { intelRootCertificate } from '#verifier/collateral/intelRootCertificate.ts'
import { decodeQuoteFile } from '#verifier/quote/decodeQuoteFile.ts'
import { packQuoteEvidence, packRenewalEvidence } from '#verifier/quote/packQuoteEvidence.ts'
import { parseQuote } from '#verifier/quote/parseQuote.ts'
import { anvilKey } from '../anvil.ts'
import { startEvm } from '#test/contracts/dcap/evm.ts'

/** Gas by what was done, as receipts have it: calldata and all. */
export type AttestationGas = Readonly<Record<string, number>>

/** Names of figures that need Intel's own documents begin so; a bare clone has no such documents. */
export const intelFigure = 'Intel'

/** Gas that an operation may cost at most on a chain with the precompile; DESIGN, section 9. */
export const attestationBudgets: Readonly<Record<string, number>> = {
  'register, first': 250_000,
  'register, renewal, platform remembered': 120_000,
  'local reissued: TCB info': 700_000,
  'local, refresh of one FMSPC': 700_000,
  'Intel new TCB: TCB info': 700_000,
  'Intel, refresh of one FMSPC': 700_000,
}

type Chain = {
  readonly client: PublicClient
  readonly gas: Record<string, number>
  setTime(unixSeconds: number): Promise<void>
  send(label: string, call: { to?: Address; data: Hex }): Promise<Address>
}

const sender = privateKeyToAccount(anvilKey)
const enclave = privateKeyToAccount(`0x${'e1'.repeat(32)}`)

/**
 * Gas of attestation from receipts of real transactions: deployment, collateral when it is new and when
 * it is refreshed, registration and renewal.
 *
 * @param hardfork - `osaka` has the P-256 precompile, `prague` has not.
 */
export async function measureAttestation(hardfork: 'osaka' | 'prague'): Promise<{
  readonly gas: AttestationGas
  readonly runtimeBytes: Readonly<Record<string, number>>
}> {
  const evm = await startEvm(hardfork)
  try {
    const gas: Record<string, number> = {}
    const chain = await createChain(evm.url, gas)
    // First, so that its blocks are the same whether Intel's documents are there or not.
    const runtimeBytes = await measureRegistration(chain)
    const folder = sharedPath('vectors/tdx')
    if (folder !== undefined) await measureIntel(chain, folder)
    return { gas: { ...gas, ...refreshes(gas) }, runtimeBytes }
  } finally {
    await evm.stop()
  }
}

/** What one family of platforms costs a month: its TCB info, and the QE identity that all share. */
function refreshes(gas: AttestationGas): AttestationGas {
  const sums: Record<string, number> = {}
  for (const [whose, when] of [
    ['local', 'local reissued'],
    [intelFigure, `${intelFigure} new TCB`],
  ] as const) {
    const tcbInfo = gas[`${when}: TCB info`]
    const qeIdentity = gas[`${when}: QE identity`]
    if (tcbInfo === undefined || qeIdentity === undefined) continue
    sums[`${whose}, refresh of one FMSPC`] = tcbInfo + qeIdentity
  }
  return sums
}

async function createChain(url: string, gas: Chain['gas']): Promise<Chain> {
  const transport = http(url)
  const client = createPublicClient({ transport, pollingInterval: 20, cacheTime: 0 })
  const wallet = createWalletClient({ account: sender, transport })
  const clock = createTestClient({ mode: 'anvil', transport })
  // Not this machine's clock: block hashes, and so the quotes over them, are the same in every run.
  await clock.setBlockTimestampInterval({ interval: 12 })
  return {
    client,
    gas,
    async setTime(unixSeconds) {
      await clock.setNextBlockTimestamp({ timestamp: BigInt(unixSeconds) })
      await clock.mine({ blocks: 1 })
    },
    async send(label, { to, data }) {
      const nonce = await client.getTransactionCount({ address: sender.address })
      const hash = await wallet.sendTransaction({ chain: null, to, data, nonce, gas: 16_000_000n })
      const { status, gasUsed } = await client.waitForTransactionReceipt({ hash })
      if (status !== 'success') throw new Error(`${label} reverted`)
      gas[label] = Number(gasUsed)
      return getContractAddress({ from: sender.address, nonce: BigInt(nonce) })
    },
  }
}

async function deploy(
  chain: Chain,
  label: string,
  { abi, bytecode }: { abi: Abi; bytecode: Hex },
  args: readonly unknown[],
): Promise<Address> {
  return chain.send(label, { data: encodeDeployData({ abi, bytecode, args }) })
}

async function deployPair(chain: Chain, rootCertificate: Uint8Array) {
  const fingerprint = toHex(sha256(rootCertificate))
  const store = await deploy(chain, 'deploy store', collateralStoreArtifact, [fingerprint])
  const verifier = await deploy(chain, 'deploy verifier', dcapQuoteVerifierArtifact, [store])
  return { store, verifier }
}

async function uploadAll(chain: Chain, store: Address, collateral: Collateral, prefix: string) {
  for (const { label, data } of await missingUploads({ client: chain.client, store }, collateral)) {
    await chain.send(`${prefix}: ${label}`, { to: store, data })
  }
}

const call = (functionName: 'rememberPlatform' | 'verifyQuote', args: readonly [Hex]): Hex =>
  encodeFunctionData({ abi: dcapQuoteVerifierArtifact.abi, functionName, args })

/** Intel's own documents and a real quote, in August 2026: evaluation 19, then 20, then 20 again. */
async function measureIntel(chain: Chain, folder: string): Promise<void> {
  const collateral = (file: string) =>
    JSON.parse(readFileSync(join(folder, file), 'utf8')) as Collateral
  const { store, verifier } = await deployPair(chain, intelRootCertificate)
  await chain.setTime(1_787_184_000)
  await uploadAll(
    chain,
    store,
    collateral('near-mpc/collateral_eval19.json'),
    `${intelFigure} first`,
  )
  await uploadAll(
    chain,
    store,
    collateral('near-mpc/collateral_eval20.json'),
    `${intelFigure} new TCB`,
  )

  const { quote } = decodeQuoteFile(readFileSync(join(folder, 'near-mpc/quote.json')))
  await measureQuote(chain, verifier, quote, intelFigure)
}

async function measureQuote(chain: Chain, verifier: Address, quote: Uint8Array, prefix: string) {
  const evidence = packQuoteEvidence(quote)
  await chain.send(`${prefix}: verify a quote`, {
    to: verifier,
    data: call('verifyQuote', [evidence]),
  })
  await chain.send(`${prefix}: remember a platform`, {
    to: verifier,
    data: call('rememberPlatform', [evidence]),
  })
  const renewal = packRenewalEvidence(quote, packPlatformFacts(parseQuote(quote)))
  await chain.send(`${prefix}: verify a quote, platform remembered`, {
    to: verifier,
    data: call('verifyQuote', [renewal]),
  })
}

/** The whole way into the registry, with a platform of our own. */
async function measureRegistration(chain: Chain): Promise<Record<string, number>> {
  const { timestamp } = await chain.client.getBlock()
  const now = Number(timestamp) + 86_400
  await chain.setTime(now)
  const platform = createPlatform({ now })
  const { store, verifier } = await deployPair(chain, platform.rootCertificateDer)
  await uploadAll(chain, store, platform.collateral(), 'local first')
  const reissued = now + 20 * 86_400
  await chain.setTime(reissued)
  await uploadAll(chain, store, platform.collateral(reissued), 'local reissued')

  const sample = platform.mintQuote({ reportData: new Uint8Array(64) })
  const imageId = await imageOf(chain, verifier, sample)
  const policy = await deploy(chain, 'deploy policy', appraisalPolicyArtifact, [
    verifier,
    sender.address,
    strictRules,
  ])
  for (const [name, quoteVerifier] of [
    ['register', verifier],
    ['register under a policy', policy],
  ] as const) {
    const registry = await deploy(chain, 'deploy registry', enclaveRegistryArtifact, [
      quoteVerifier,
      sender.address,
      0n,
      [imageId],
    ])
    const mint = await quoter(chain, registry, platform)
    const first = await mint(packQuoteEvidence)
    await chain.send(`${name}, first`, { to: registry, data: first })
    const again = await mint(packQuoteEvidence)
    await chain.send(`${name}, renewal with proofs`, { to: registry, data: again })
    const remember = call('rememberPlatform', [packQuoteEvidence(sample)])
    await chain.send('remember a platform', { to: verifier, data: remember })
    const facts = packPlatformFacts(parseQuote(sample))
    const renewal = await mint((quote) => packRenewalEvidence(quote, facts))
    await chain.send(`${name}, renewal, platform remembered`, { to: registry, data: renewal })
  }
  const sizes: Record<string, number> = {}
  for (const [name, address] of Object.entries({
    collateralStore: store,
    dcapQuoteVerifier: verifier,
    appraisalPolicy: policy,
  })) {
    const code = (await chain.client.getCode({ address })) ?? '0x'
    sizes[name] = (code.length - 2) / 2
  }
  return sizes
}

const strictRules = {
  evaluationNumberFloor: 20,
  qeEvaluationNumberFloor: 20,
  maximumCollateralAgeSeconds: 28 * 86_400,
  acceptedTcbStatuses: 1,
  requiresAllowedPlatform: false,
  requiresImage: true,
  allowedTdAttributes: '0x0000000000000000',
} as const

async function imageOf(chain: Chain, verifier: Address, quote: Uint8Array): Promise<Hex> {
  const { imageId } = await chain.client.readContract({
    address: verifier,
    abi: dcapQuoteVerifierArtifact.abi,
    functionName: 'verifyQuote',
    args: [packQuoteEvidence(quote)],
  })
  return imageId
}

/** Registration calls for one enclave key, each with a quote over the newest block. */
async function quoter(chain: Chain, registry: Address, platform: Platform) {
  const statement: Statement = {
    version: statementVersion,
    signer: enclave.address,
    ed25519PublicKey: `0x${'ed'.repeat(32)}`,
    stream: `0x${'57'.repeat(32)}`,
    release: zeroHash,
    anchorChainId: BigInt(await chain.client.getChainId()),
    registry,
  }
  const possession = await enclave.sign({ hash: possessionDigest(statement) })
  return async (pack: (quote: Uint8Array) => Hex): Promise<Hex> => {
    const { number, hash } = await chain.client.getBlock()
    const quote = platform.mintQuote({
      reportData: fromHex(statementReportData(statement, hash), 'reportData', 64),
    })
    return encodeFunctionData({
      abi: enclaveRegistryArtifact.abi,
      functionName: 'register',
      args: [statement, number, possession, pack(quote)],
    })
  }
}
