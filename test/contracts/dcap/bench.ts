import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { sha256 } from '@noble/hashes/sha2'
import {
  type Abi,
  type Hex,
  concat,
  decodeErrorResult,
  decodeFunctionResult,
  encodeAbiParameters,
  encodeFunctionData,
} from 'viem'
import { toHex } from '#schemas/bytes.ts'
import {
  type CollateralItems,
  collateralItems,
} from '#contracts/attestation/dcap/collateralItems.ts'
import { appraisalPolicyArtifact } from '#contracts/artifacts/AppraisalPolicy.ts'
import { collateralStoreArtifact } from '#contracts/artifacts/CollateralStore.ts'
import { dcapQuoteVerifierArtifact } from '#contracts/artifacts/DcapQuoteVerifier.ts'
import { serialNumber } from '#contracts/attestation/dcap/missingUploads.ts'
import type { Collateral } from '#verifier/collateral/collateral.ts'
import { startEvm } from './evm.ts'

/** What the contracts say of a combination: what they proved, or the rule that refused. */
export type Verdict =
  | { readonly rule: 'accepted'; readonly appraisal: OnChainAppraisal }
  | { readonly rule: string; readonly error: string }

export type OnChainAppraisal = {
  readonly claims: {
    readonly reportDataHigh: Hex
    readonly reportDataLow: Hex
    readonly imageId: Hex
    readonly ppid: Hex
    readonly tcbStatus: number
    readonly evaluationNumber: number
    readonly validUntil: bigint
  }
  readonly fmspc: Hex
  readonly qeEvaluationNumber: number
  readonly collateralIssuedAt: number
  readonly degradedSince: number
  readonly advisories: readonly Hex[]
}

export type AppraisalRequest = {
  readonly rootCertificate: Uint8Array
  readonly collateral: Collateral
  readonly evidence: Hex
  readonly now: number
}

/** An appraisal policy with one entry on each of its lists. */
export type OnChainPolicy = {
  readonly rules: {
    readonly evaluationNumberFloor: number
    readonly qeEvaluationNumberFloor: number
    readonly maximumCollateralAgeSeconds: number
    readonly acceptedTcbStatuses: number
    readonly requiresAllowedPlatform: boolean
    readonly requiresImage: boolean
    readonly allowedTdAttributes: Hex
  }
  readonly graceStatus: number
  readonly graceSeconds: number
  readonly deniedAdvisory: Hex
  readonly deniedPlatform: Hex
  readonly allowedPlatform: Hex
}

export type Bench = {
  appraise(request: AppraisalRequest): Promise<Verdict>
  /** The rule that refuses under a policy, or `accepted`. */
  ruleUnder(policy: OnChainPolicy, request: AppraisalRequest): Promise<string>
  stop(): Promise<void>
}

/**
 * A bench on which every appraisal is one `eth_call` at its own time: deployment, uploads and
 * verification, nothing kept.
 */
export async function startBench(hardfork: 'osaka' | 'prague' = 'osaka'): Promise<Bench> {
  const evm = await startEvm(hardfork)
  const { abi, code } = compileBench()
  const codes = ({ rootCertificate }: AppraisalRequest) =>
    [
      concat([
        collateralStoreArtifact.bytecode,
        encodeAbiParameters([{ type: 'bytes32' }], [toHex(sha256(rootCertificate))]),
      ]),
      dcapQuoteVerifierArtifact.bytecode,
    ] as const
  const ask = (functionName: string, args: readonly unknown[], time: number) =>
    callAt(evm.url, { code, data: encodeFunctionData({ abi, functionName, args }), time })
  return {
    stop: () => evm.stop(),
    async appraise(request) {
      const { collateral, evidence, now } = request
      const args = [...codes(request), uploads(collateralItems(collateral)), evidence]
      const answer = await ask('appraise', args, now)
      if ('revert' in answer) return refusedBy(answer.revert)
      const appraisal = decodeFunctionResult({ abi, functionName: 'appraise', data: answer.result })
      return { rule: 'accepted', appraisal: appraisal as OnChainAppraisal }
    },
    async ruleUnder(policy, request) {
      const { collateral, evidence, now } = request
      const items = uploads(collateralItems(collateral))
      const wanted = { code: appraisalPolicyArtifact.bytecode, ...policy }
      const args = [...codes(request), items, evidence, wanted]
      const answer = await ask('appraiseUnder', args, now)
      return 'revert' in answer ? refusedBy(answer.revert).rule : 'accepted'
    },
  }
}

function uploads(items: CollateralItems) {
  const hasSecondSigner = toHex(items.qeSigning) !== toHex(items.tcbSigning)
  return {
    rootCertificate: toHex(items.rootCertificate),
    rootCrl: toHex(items.rootCrl),
    pckCa: toHex(items.pckCa),
    pckCrl: toHex(items.pckCrl),
    tcbSigning: toHex(items.tcbSigning),
    tcbSigner: serialOrZero(items.tcbSigning),
    tcbInfo: toHex(items.tcbInfo.text),
    tcbInfoSignature: toHex(items.tcbInfo.signature),
    qeSigning: hasSecondSigner ? toHex(items.qeSigning) : '0x',
    qeSigner: serialOrZero(items.qeSigning),
    qeIdentity: toHex(items.qeIdentity.text),
    qeIdentitySignature: toHex(items.qeIdentity.signature),
  }
}

/** Errors whose name is not that of the rule that they stand for. */
const synonyms: Readonly<Record<string, string>> = {
  // The store holds one root; a chain that ends in another one is found out by its fingerprint.
  RootCertificateMismatch: 'IssuerChainRootMismatch',
  // The TCB info is looked up by the platform's FMSPC.
  TcbInfoMissing: 'FmspcMismatch',
}

const errors: Abi = [
  ...collateralStoreArtifact.abi,
  ...dcapQuoteVerifierArtifact.abi,
  ...appraisalPolicyArtifact.abi,
]

function refusedBy(data: Hex): Verdict {
  const { errorName, args } = decodeErrorResult({ abi: errors, data })
  const rule = errorName.replace(/^(?:CollateralStore|DcapQuoteVerifier|AppraisalPolicy)/, '')
  return { rule: synonyms[rule] ?? rule, error: `${errorName}(${(args ?? []).join(', ')})` }
}

function serialOrZero(der: Uint8Array): bigint {
  try {
    return serialNumber(der)
  } catch {
    // The upload of the certificate itself will say what is wrong with it.
    return 0n
  }
}

const benchAddress = '0x00000000000000000000000000000000000bec00'

type CallAt = { readonly code: Hex; readonly data: Hex; readonly time: number }

async function callAt(
  url: string,
  { code, data, time }: CallAt,
): Promise<{ result: Hex } | { revert: Hex }> {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      jsonrpc: '2.0',
      id: 1,
      method: 'eth_call',
      params: [
        { to: benchAddress, data, gas: '0x3b9aca00' },
        'latest',
        { [benchAddress]: { code } },
        { time: `0x${time.toString(16)}` },
      ],
    }),
  })
  const body = (await response.json()) as {
    result?: Hex
    error?: { message: string; data?: Hex }
  }
  if (body.result !== undefined) return { result: body.result }
  if (body.error?.data !== undefined) return { revert: body.error.data }
  throw new Error(`eth_call failed: ${JSON.stringify(body.error)}`)
}

type Compiler = {
  compile(input: string, callbacks: { import(path: string): { contents: string } }): string
}
type Output = {
  contracts: Record<
    string,
    Record<string, { abi: Abi; evm: { deployedBytecode: { object: string } } }>
  >
}

/** The bench knows interfaces only, so it compiles in a moment. */
function compileBench(): { abi: Abi; code: Hex } {
  const root = join(import.meta.dirname, '../../..')
  const contents = (path: string) => ({ contents: readFileSync(join(root, path), 'utf8') })
  const source = 'test/contracts/dcap/Bench.sol'
  const compiler = createRequire(import.meta.url)('solc') as Compiler
  const output = compiler.compile(
    JSON.stringify({
      language: 'Solidity',
      sources: { [source]: { content: contents(source).contents } },
      settings: {
        evmVersion: 'prague',
        optimizer: { enabled: true, runs: 200 },
        remappings: [
          '@openzeppelin/contracts/=node_modules/@openzeppelin/contracts/',
          '#contracts/=contracts/',
        ],
        outputSelection: { '*': { Bench: ['abi', 'evm.deployedBytecode.object'] } },
      },
    }),
    { import: contents },
  )
  const { Bench: bench } = (JSON.parse(output) as Output).contracts[source] ?? {}
  if (bench === undefined) throw new Error(`${source} does not compile:\n${output}`)
  return { abi: bench.abi, code: `0x${bench.evm.deployedBytecode.object}` }
}
