import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Command, InvalidArgumentError, Option } from 'commander'
import type { Address } from 'viem'
import { formatDecimal } from '#schemas/policy/quantities.ts'
import { unitText, verdicts } from '#schemas/report.ts'
import { root } from '#tools/paths.ts'
import { bundleToEar } from '#verifier/bundle/bundleEar.ts'
import { type BundleVerdict, verifyBundle } from '#verifier/bundle/verifyBundle.ts'
import { addressOption } from './optionValues.ts'
import { readBundleFile, readTrust } from './trust.ts'
import type { ChainFinding } from './verify/onChain.ts'

/** Exit codes of `plumbline verify`, apart from 0 for an accepted bundle. */
export const verifyExitCodes = { refused: 1, error: 3 } as const

type VerifyOptions = {
  readonly root?: string
  readonly quotePolicy?: string
  readonly rpc?: readonly string[]
  readonly proofRegistry?: Address
  readonly fromBlock: bigint
  readonly json?: boolean
}

function readBlock(text: string): bigint {
  if (!/^\d{1,18}$/.test(text)) throw new InvalidArgumentError('It must be a block number.')
  return BigInt(text)
}

export function registerVerify(program: Command): void {
  program
    .command('verify')
    .description('examine a proof bundle offline, from the root certificate to the readings')
    .argument('<bundle>', 'proof bundle, .json or .json.gz')
    .option('--root <pem>', 'root certificate to trust instead of Intel’s (a local platform’s)')
    .option('--quote-policy <file>', 'which platforms, images and TCB statuses to accept')
    .option(
      '--rpc <url...>',
      'also ask these chains: anchored? settled? (the only use of a network)',
    )
    .option(
      '--proof-registry <address>',
      'with --rpc: the registry of anchored batches that you trust',
      addressOption,
    )
    .addOption(
      new Option('--from-block <number>', 'with --rpc: oldest block to look at')
        .argParser(readBlock)
        .default(0n, '0'),
    )
    .option('--json', 'print an attestation result (EAR) with every line')
    .addHelpText('after', '\nExit codes: 0 accepted, 1 refused, 3 error.')
    .action(verify)
}

async function verify(file: string, options: VerifyOptions): Promise<void> {
  const { value } = readBundleFile(file)
  const verdict = verifyBundle(value, readTrust(options))
  const chains = await askChains(verdict, options)
  const now = Math.floor(Date.now() / 1000)
  if (options.json === true) {
    const ear = bundleToEar(verdict, { build: releaseName(), now })
    const result = options.rpc === undefined ? ear : { ...ear, plumbline_chains: chains }
    process.stdout.write(`${JSON.stringify(result, undefined, 2)}\n`)
  } else process.stdout.write(toText(verdict, chains, now))
  const isContradicted = chains.some(({ status }) => status === 'failed')
  process.exitCode = verdict.isAccepted && !isContradicted ? 0 : verifyExitCodes.refused
}

/** Only of a bundle that holds: what a chain says about any other proves nothing. */
async function askChains(
  { isAccepted, bundle }: BundleVerdict,
  { rpc = [], proofRegistry, fromBlock }: VerifyOptions,
): Promise<ChainFinding[]> {
  if (!isAccepted || bundle === undefined || rpc.length === 0) return []
  const { askChain } = await import('./verify/onChain.ts')
  const answers = await Promise.all(
    rpc.map((rpcUrl) => askChain({ rpcUrl, proofRegistry, fromBlock }, bundle)),
  )
  return answers.flat()
}

function releaseName(): string {
  const { name, version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
    name: string
    version: string
  }
  return `${name} ${version}`
}

const marks = { passed: '✓', failed: '✗', 'not-checked': '–' }

function toText(verdict: BundleVerdict, chains: readonly ChainFinding[], now: number): string {
  const { isAccepted, checks, report, appraisal } = verdict
  const lines = checks.flatMap(({ status, title, detail }) => {
    const [first = '', ...rest] = detail.split('\n')
    return [`${marks[status]} ${title}`, `    ${first}`, ...rest.map((line) => `    ${line}`)]
  })
  for (const { chainId, status, title, detail } of chains) {
    const place = chainId === undefined ? '' : ` (chain ${chainId})`
    lines.push(`${marks[status]} ${title}${place}`, `    ${detail}`)
  }
  if (report !== undefined) {
    const name = Object.entries(verdicts).find(([, code]) => code === report.verdict)?.[0]
    lines.push(
      '',
      `Verdict   ${name}, ${formatDecimal(report.valueMicro)} ${unitText(report.unit)}`,
      `Period    ${instant(report.periodStartMs)} to ${instant(report.periodEndMs)}`,
      `Coverage  ${formatDecimal(BigInt(report.coveragePpm) * 100n)} %`,
    )
  }
  if (appraisal !== undefined) {
    lines.push(`Policy    ${appraisal.policyId}`, `As of     ${asOf(appraisal, now)}`)
  }
  lines.push('', isAccepted ? 'ACCEPTED' : 'REFUSED')
  if (isAccepted) {
    const open = [
      ...(chains.length === 0 ? ['what chains made of it (--rpc)'] : []),
      'revocations after the instant above',
      'whether the sensor stood where it should',
    ]
    lines.push(`Not examined: ${open.join('; ')}.`)
  }
  return `${lines.join('\n')}\n`
}

/** Until when the collateral was in force, said so that nobody takes an old proof for a fresh one. */
function asOf(
  {
    appraisedAtUnixSeconds,
    validUntilUnixSeconds,
  }: { readonly appraisedAtUnixSeconds: number; readonly validUntilUnixSeconds: number },
  now: number,
): string {
  const at = instant(BigInt(appraisedAtUnixSeconds) * 1000n)
  const until = instant(BigInt(validUntilUnixSeconds) * 1000n)
  if (validUntilUnixSeconds > now) return `${at}; the collateral is in force until ${until}`
  const days = Math.floor((now - validUntilUnixSeconds) / 86_400)
  return `${at}; the collateral lapsed on ${until}, ${days} days ago: it held then, and nothing later is known of the platform`
}

function instant(milliseconds: bigint): string {
  return new Date(Number(milliseconds)).toISOString()
}
