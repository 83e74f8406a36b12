import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Command, InvalidArgumentError } from 'commander'
import { formatUnits } from 'viem'
import { BaseError } from '#schemas/errors.ts'
import { unitText, verdicts } from '#schemas/report.ts'
import { root } from '#tools/paths.ts'
import { createProgress } from './progress.ts'
import { type MainJobResult, defaultPortBase, runMainJob } from './runMainJob.ts'
import { formatTable, groupDigits, microText } from './table.ts'

function readPort(text: string): number {
  const port = Number(text)
  if (!Number.isInteger(port) || port < 1024 || port > 65_530) {
    throw new InvalidArgumentError('It must be a whole number from 1024 to 65530.')
  }
  return port
}

const program = new Command('npm start --')
  .description('Run the main job on this machine: three chains, one proof, four settlements.')
  .option('--once', 'end by itself when everything is settled')
  .option('--port-base <port>', 'first of the six ports that are used', readPort, defaultPortBase)
  .option('--folder <path>', 'where state and logs go', join(root, '.plumbline', 'localnet'))
  .option('--json <file>', 'also write the table as JSON')
  .parse()

const options = program.opts<{
  once?: boolean
  portBase: number
  folder: string
  json?: string
}>()

const columns = [
  { title: 'chain' },
  { title: 'contract' },
  { title: 'report' },
  { title: 'verdict' },
  { title: 'value', isNumber: true },
  { title: 'settled', isNumber: true },
  { title: 'transaction' },
  { title: 'gas', isNumber: true },
  { title: 'ms', isNumber: true },
]

function rowsOf({ settlements, lastReadingSentMs }: MainJobResult) {
  return settlements.map(({ agreement, proven, amount, gasUsed, transactionHash, seenAtMs }) => {
    const { report } = proven
    return {
      chainId: agreement.chain.chainId,
      chainName: agreement.chain.name,
      contract: agreement.kind,
      report: `${agreement.subjectName}: ${agreement.policy.name}`,
      verdict: Object.entries(verdicts).find(([, code]) => code === report.verdict)?.[0] ?? '',
      value: `${microText(report.valueMicro)} ${unitText(report.unit)}`,
      settled: `${formatUnits(amount, agreement.amount.decimals)} ${agreement.amount.unit}`,
      transactionHash,
      gasUsed: gasUsed.toString(),
      milliseconds: seenAtMs - lastReadingSentMs,
    }
  })
}

function print(result: MainJobResult): void {
  const rows = rowsOf(result)
  const { addresses, chains, batch } = result
  console.log(
    `\n${formatTable(
      columns,
      rows.map((row) => [
        `${row.chainId} ${row.chainName}`,
        row.contract,
        row.report,
        row.verdict,
        row.value,
        row.settled,
        `${row.transactionHash.slice(0, 10)}…${row.transactionHash.slice(-8)}`,
        groupDigits(BigInt(row.gasUsed)),
        groupDigits(row.milliseconds),
      ]),
    )}\n`,
  )
  console.log(`One batch      ${batch.digest}`)
  console.log(`Signed by      ${batch.signer} (key of the confidential VM, made at its boot)`)
  console.log('ms             from the last reading sent by a device to its settlement in a block')
  console.log(`\nLook at`)
  console.log(`  explorer     ${result.explorerUrl}/`)
  console.log(`  relayer      ${result.relayerUrl}/`)
  console.log(`  worker       ${result.workerUrl}/v1/batches?after=0`)
  for (const { chainId, name, rpcUrl } of chains)
    console.log(`  chain ${chainId}  ${rpcUrl} (${name})`)
  console.log(
    `  registries   ${addresses.enclaveRegistry} (enclaves), ${addresses.proofRegistry} (proofs)`,
  )
  console.log(`  logs         ${join(options.folder, 'logs')}`)
  console.log(`  bundles      ${result.handOver.bundleFolder}`)
  console.log(`\nCheck one yourself, offline, from the platform’s root to the devices’ signatures:`)
  console.log(`  npm run -s plumbline -- ${result.handOver.verifyArguments.join(' ')}`)
  if (options.json !== undefined) {
    const document = {
      batch: batch.digest,
      bundles: result.handOver.bundles,
      verify: result.handOver.verifyArguments,
      restarts: result.restarts,
      rows,
    }
    writeFileSync(options.json, `${JSON.stringify(document, undefined, 2)}\n`)
  }
}

const abort = new AbortController()
let close: (() => Promise<void>) | undefined
let isEnding = false

/** Ends everything that was started; a second signal does not wait. */
async function end(code: number): Promise<never> {
  if (isEnding) process.exit(code)
  isEnding = true
  abort.abort()
  await close?.()
  process.exit(code)
}

for (const [name, code] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
  ['SIGHUP', 129],
] as const) {
  process.on(name, () => {
    // While the job is still starting, its own clean-up runs as soon as the step in hand ends.
    if (close === undefined && !isEnding) {
      isEnding = true
      abort.abort()
      process.exitCode = code
      return
    }
    void end(code)
  })
}

console.log('Plumbline, the main job on this machine\n')
try {
  const job = await runMainJob({
    portBase: options.portBase,
    folder: options.folder,
    progress: createProgress((text) => process.stdout.write(text), process.stdout.isTTY),
    signal: abort.signal,
  })
  close = job.close
  if (isEnding) {
    isEnding = false
    await end(130)
  }
  print(job.result)
  if (options.once === true) await end(0)
  console.log('\nCtrl-C ends it.')
} catch (error) {
  if (isEnding) process.exit(130)
  console.error(`\n${error instanceof BaseError ? error.message : String(error)}`)
  if (!(error instanceof BaseError) && error instanceof Error) console.error(error.stack)
  process.exit(1)
}
