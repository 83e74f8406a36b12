import {
  type Address,
  type Hex,
  type PublicClient,
  createPublicClient,
  http,
  parseAbiItem,
} from 'viem'
import { enclaveRegistryAbi } from '#schemas/abi/enclaveRegistry.ts'
import { proofRegistryAbi } from '#schemas/abi/proofRegistry.ts'
import { reportConsumerAbi } from '#schemas/abi/reportConsumer.ts'
import { batchDigest } from '#schemas/batch.ts'
import type { ProofBundle } from '#schemas/bundle.ts'
import { BaseError } from '#schemas/errors.ts'
import { reportLeaf } from '#schemas/report.ts'

/** What one chain says about a bundle, line by line. */
export type ChainFinding = {
  readonly chainId: number | undefined
  readonly status: 'passed' | 'failed' | 'not-checked'
  readonly title: string
  readonly detail: string
}

export type ChainQuestion = {
  readonly rpcUrl: string
  /** Registry of anchored batches that is trusted; without it whatever contract says so is named. */
  readonly proofRegistry: Address | undefined
  /** Oldest block that is looked at. */
  readonly fromBlock: bigint
}

const committed = parseAbiItem(
  'event BatchCommitted(bytes32 indexed stream, uint64 indexed sequence, bytes32 digest, bytes32 reportRoot, address signer)',
)
const settled = parseAbiItem(
  'event ReportSettled(uint256 indexed agreementId, bytes32 indexed leaf, address indexed beneficiary, uint256 amount)',
)

/**
 * Asks one chain whether it has anchored the bundle's batch, whether its registry knows the signer, and
 * which contracts have settled the report. Nothing is believed of a log that its contract does not
 * confirm when it is asked.
 *
 * A failed line contradicts the bundle; a chain that has nothing to say does not.
 */
export async function askChain(
  { rpcUrl, proofRegistry, fromBlock }: ChainQuestion,
  bundle: ProofBundle,
): Promise<ChainFinding[]> {
  const client = createPublicClient({ transport: http(rpcUrl, { timeout: 15_000, retryCount: 1 }) })
  const findings: ChainFinding[] = []
  let chainId: number | undefined
  const write = (status: ChainFinding['status'], title: string, detail: string): void => {
    findings.push({ chainId, status, title, detail })
  }
  try {
    chainId = await client.getChainId()
    await lookAtAnchor(client, bundle, { proofRegistry, fromBlock, write })
    if (BigInt(chainId) === bundle.attestation.statement.anchorChainId) {
      await lookAtSigner(client, bundle, write)
    }
    await lookAtSettlements(client, bundle, { fromBlock, write })
  } catch (error) {
    write('not-checked', 'The chain could not be asked', firstLine(error))
  }
  return findings
}

type Write = (status: ChainFinding['status'], title: string, detail: string) => void

async function lookAtAnchor(
  client: PublicClient,
  { batch, report, inclusion }: ProofBundle,
  {
    proofRegistry,
    fromBlock,
    write,
  }: { proofRegistry: Address | undefined; fromBlock: bigint; write: Write },
): Promise<void> {
  const title = 'Batch → chain: anchored'
  const logs = await client.getLogs({
    event: committed,
    args: { stream: batch.stream, sequence: batch.sequence },
    ...(proofRegistry === undefined ? {} : { address: proofRegistry }),
    fromBlock,
    strict: true,
  })
  if (logs.length === 0) {
    write(
      'not-checked',
      title,
      proofRegistry === undefined
        ? 'No contract here says that it anchored this batch.'
        : `${proofRegistry} has not anchored this batch.`,
    )
    return
  }
  const digest = batchDigest(batch)
  for (const { address, args, blockNumber, transactionHash } of logs) {
    if (args.digest !== digest) {
      // Of a contract that nobody vouched for this proves nothing: anyone can write a log.
      write(
        proofRegistry === undefined ? 'not-checked' : 'failed',
        title,
        `${address} holds another batch of this number: ${args.digest}, transaction ${transactionHash}.`,
      )
      continue
    }
    const isConfirmed = await client
      .readContract({
        address,
        abi: proofRegistryAbi,
        functionName: 'verifyReport',
        args: [
          report,
          {
            stream: batch.stream,
            sequence: batch.sequence,
            index: inclusion.index,
            path: inclusion.path,
          },
        ],
      })
      .then((leaf) => leaf === reportLeaf(report))
      .catch(() => false)
    write(
      'passed',
      title,
      `${address}${proofRegistry === undefined ? ' (compare with the registry that you trust)' : ''}, block ${blockNumber}, transaction ${transactionHash}. ${isConfirmed ? 'Its contract confirms the report.' : 'The batch has left the ring of those that its contract still opens.'}`,
    )
  }
}

async function lookAtSigner(
  client: PublicClient,
  { attestation, signer }: ProofBundle,
  write: Write,
): Promise<void> {
  const title = 'Signer → chain: registered'
  const { registry } = attestation.statement
  const [stream, imageId, expiresAt] = await client.readContract({
    address: registry,
    abi: enclaveRegistryAbi,
    functionName: 'signerStatus',
    args: [signer],
  })
  if (expiresAt === 0n) {
    write('not-checked', title, `${registry} does not know ${signer}, or has revoked it.`)
  } else if (stream === attestation.statement.stream) {
    const until = new Date(Number(expiresAt) * 1000).toISOString()
    write('passed', title, `${registry}, image ${imageId}, until ${until}.`)
  } else write('failed', title, `${registry} has it for another stream: ${stream}.`)
}

async function lookAtSettlements(
  client: PublicClient,
  { report }: ProofBundle,
  { fromBlock, write }: { fromBlock: bigint; write: Write },
): Promise<void> {
  const title = 'Report → chain: settled'
  const leaf: Hex = reportLeaf(report)
  const logs = await client.getLogs({ event: settled, args: { leaf }, fromBlock, strict: true })
  for (const { address, args, blockNumber, transactionHash } of logs) {
    const isConfirmed = await client
      .readContract({
        address,
        abi: reportConsumerAbi,
        functionName: 'isSettled',
        args: [args.agreementId, leaf],
      })
      .catch(() => false)
    write(
      isConfirmed ? 'passed' : 'not-checked',
      title,
      `${address}, agreement ${args.agreementId}: ${args.amount} of its smallest unit to ${args.beneficiary}, block ${blockNumber}, transaction ${transactionHash}.${isConfirmed ? '' : ' Its contract does not confirm it.'}`,
    )
  }
  if (logs.length === 0) write('not-checked', title, 'No contract here has settled this report.')
}

function firstLine(error: unknown): string {
  const text =
    error instanceof BaseError
      ? error.shortMessage
      : error instanceof Error
        ? error.message
        : String(error)
  return text.split('\n')[0] ?? ''
}
