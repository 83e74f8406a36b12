import { readFileSync } from 'node:fs'
import type { Command } from 'commander'
import { type Address, formatEther, isAddress } from 'viem'
import { privateKeyToAccount } from 'viem/accounts'
import {
  type Finding,
  type PublicState,
  deployPublic,
  gasPerSetting,
  inspectPublic,
  verifyPublic,
} from '#contracts/deploy/deployPublic.ts'
import { type PublicPlan, readPublicPlan } from '#contracts/deploy/publicPlan.ts'
import { openChain } from '#contracts/deploy/sender.ts'
import type { Hex } from '#schemas/bytes.ts'
import { BaseError } from '#schemas/errors.ts'
import { chainIdOption, readSenderKey, senderKeyVariable } from './senderKey.ts'
import { printable } from './printable.ts'

/** Exit codes of `plumbline deploy`, apart from 0: what stands is not as planned; not done at all. */
export const deployExitCodes = { different: 1, error: 3 } as const

/** Raised when an option of the command is not what it needs. */
export class DeployInputError extends BaseError {
  override readonly name = 'DeployInputError'
}

type DeployOptions = {
  readonly chain: number
  readonly rpc: string
  readonly plan: string
  readonly from?: string
  readonly keyFile?: string
  readonly broadcast?: boolean
  readonly verify?: boolean
  readonly json?: boolean
}

/** Adds `plumbline deploy`. */
export function registerDeploy(program: Command): void {
  program
    .command('deploy')
    .description('put the contracts on a public chain, under Intel’s root; a dry run by default')
    .requiredOption('--chain <id>', 'chain id, which the node must confirm', chainIdOption)
    .requiredOption('--rpc <url>', 'JSON-RPC address of a node')
    .requiredOption('--plan <file>', 'deployment plan, JSON')
    .option('--from <address>', 'the deployer, where no key is given: addresses depend on it')
    .option('--key-file <file>', `file with the deployer’s private key; else ${senderKeyVariable}`)
    .option('--broadcast', 'send the transactions')
    .option('--verify', 'only read back what stands')
    .option('--json', 'print as JSON')
    .addHelpText('after', '\nExit codes: 0 as planned, 1 different from the plan, 3 error.')
    .action(deploy)
}

async function deploy(options: DeployOptions): Promise<void> {
  const plan = readPlan(options.plan)
  const place = { rpcUrl: options.rpc, chainId: options.chain }
  if (options.broadcast === true) {
    const key = readSenderKey(options.keyFile)
    const { addresses, findings } = await deployPublic({ ...place, key, plan })
    print(options, { addresses, findings }, [
      ...describeAddresses(addresses),
      ...describeFindings(findings),
      'Deployed, verified and handed over.',
    ])
    return
  }
  const client = await openChain(place)
  const deployer = deployerOf(options)
  if (options.verify === true) {
    const findings = await verifyPublic(client, deployer, plan)
    print(options, { findings }, describeFindings(findings))
    if (findings.some(({ isRight }) => !isRight)) process.exitCode = deployExitCodes.different
    return
  }
  const state = await inspectPublic(client, deployer, plan)
  const gasPriceWei = await client.getGasPrice()
  print(options, { ...state, deployer }, describeState(state, deployer, gasPriceWei))
}

function readPlan(file: string): PublicPlan {
  let text: string
  try {
    text = readFileSync(file === '-' ? 0 : file, 'utf8')
  } catch (cause) {
    throw new DeployInputError(`${file} cannot be read.`, {
      cause,
      field: '--plan',
      remedy: 'docs/onchain-attestation.md, Deploying, has an example.',
    })
  }
  return readPublicPlan(text)
}

function deployerOf({ from, keyFile }: DeployOptions): Address {
  if (from === undefined) return privateKeyToAccount(readSenderKey(keyFile)).address
  if (isAddress(from)) return from
  throw new DeployInputError(`${from} is no address.`, { field: '--from' })
}

/** What a dry run found. */
export function describeState(
  state: PublicState,
  deployer: Address,
  gasPriceWei: bigint,
): string[] {
  const { addresses, missing, repairs, hasPrecompile } = state
  const gasOf = new Map(missing.map(({ label, gas }) => [label, gas]))
  const settingsGas = gasPerSetting * BigInt(repairs.length)
  const gas = missing.reduce((sum, each) => sum + each.gas, settingsGas)
  return [
    `Deployer ${deployer}`,
    ...Object.entries(addresses).map(([name, address]) => {
      const needed = gasOf.get(name)
      const what = needed === undefined ? 'stands' : `${needed.toLocaleString('en-US')} gas`
      return `${name.padEnd(18)} ${address}  ${what}`
    }),
    `${repairs.length} settings of the authority, at most ${settingsGas.toLocaleString('en-US')} gas`,
    `Signatures of P-256: ${hasPrecompile ? 'by the chain (precompile)' : 'in Solidity, some 240,000 gas each'}`,
    `Altogether at most ${gas.toLocaleString('en-US')} gas, ${formatEther(gas * gasPriceWei)} of the chain’s coin at its present price`,
    missing.length + repairs.length === 0
      ? 'Nothing is missing.'
      : 'Nothing was sent. Add --broadcast to send.',
  ]
}

function describeAddresses(addresses: Readonly<Record<string, Hex>>): string[] {
  return Object.entries(addresses).map(([name, address]) => `${name.padEnd(18)} ${address}`)
}

function describeFindings(findings: readonly Finding[]): string[] {
  return findings.map(({ what, isRight, expected, actual }) =>
    isRight ? `ok    ${what}` : `WRONG ${what}: expected ${expected}, actual ${actual}`,
  )
}

function print({ json }: DeployOptions, value: object, lines: readonly string[]): void {
  const text =
    json === true
      ? JSON.stringify(
          value,
          (_, each: unknown) => (typeof each === 'bigint' ? each.toString() : each),
          2,
        )
      : lines.map(printable).join('\n')
  process.stdout.write(`${text}\n`)
}
