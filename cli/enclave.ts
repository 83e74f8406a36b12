import { readFileSync } from 'node:fs'
import type { Command } from 'commander'
import { type Address, isAddress, isAddressEqual } from 'viem'
import {
  type Registration,
  inspectRegistration,
  registerEnclave,
} from '#contracts/deploy/registerEnclave.ts'
import { openChain } from '#contracts/deploy/sender.ts'
import { BaseError } from '#schemas/errors.ts'
import { type Attestation, attestationSchema, readMessage } from '#schemas/workerApi.ts'
import type { Collateral } from '#verifier/collateral/collateral.ts'
import { printable } from './printable.ts'
import { chainIdOption, readSenderKey, senderKeyVariable } from './senderKey.ts'

/** Exit codes of `plumbline enclave`, apart from 0: everything that went wrong. */
export const enclaveExitCodes = { error: 3 } as const

/** Raised when the worker or a file does not give what the command needs. */
export class EnclaveInputError extends BaseError {
  override readonly name = 'EnclaveInputError'
}

const timeoutMs = 60_000

type RegisterOptions = {
  readonly chain: number
  readonly rpc: string
  readonly worker: string
  readonly registry?: string
  readonly collateral?: string
  readonly keyFile?: string
  readonly broadcast?: boolean
}

/** Adds `plumbline enclave register`. */
export function registerEnclaveCommand(program: Command): void {
  const enclave = program.command('enclave').description('register an enclave’s key on a chain')
  enclave
    .command('register')
    .description('register a worker’s key, or renew it; uploads what the chain lacks of collateral')
    .requiredOption('--chain <id>', 'chain id, which the node must confirm', chainIdOption)
    .requiredOption('--rpc <url>', 'JSON-RPC address of a node')
    .requiredOption('--worker <url>', 'address of the worker')
    .option('--registry <address>', 'refuse an attestation for another registry')
    .option('--collateral <file>', 'collateral to upload, JSON; default what the worker serves')
    .option('--key-file <file>', `file with the private key that pays; else ${senderKeyVariable}`)
    .option('--broadcast', 'send the transactions')
    .addHelpText('after', '\nExit codes: 0 done, 3 error.')
    .action(register)
}

async function register(options: RegisterOptions): Promise<void> {
  const attestation = await fetchAttestation(options)
  const registry = registryOf(attestation, options)
  const place = { rpcUrl: options.rpc, chainId: options.chain }
  const collateral = options.collateral === undefined ? {} : readCollateral(options.collateral)
  if (options.broadcast !== true) {
    const { isRenewal, calls } = await inspectRegistration(await openChain(place), {
      registry,
      attestation,
      ...collateral,
    })
    print([
      `signer   ${attestation.statement.signer}`,
      `stream   ${attestation.statement.stream}`,
      `registry ${registry}`,
      isRenewal ? 'The key is registered; this would renew it.' : 'The key is new to the registry.',
      ...calls.map((label) => `would send: ${label}`),
      'Nothing was sent. Add --broadcast to send.',
    ])
    return
  }
  const key = readSenderKey(options.keyFile)
  print(describe(await registerEnclave({ ...place, key, registry, attestation, ...collateral })))
}

/** What a registration did. */
export function describe(registration: Registration): string[] {
  const { signer, stream, imageId, expiresAtSeconds, isRenewal, prepared } = registration
  return [
    ...prepared.map((label) => `sent     ${label}`),
    `${isRenewal ? 'renewed ' : 'new     '} ${signer}`,
    `stream   ${stream}`,
    `image    ${imageId}`,
    `expires  ${new Date(Number(expiresAtSeconds) * 1000).toISOString()}`,
    `tx       ${registration.transactionHash}, ${registration.gasUsed.toLocaleString('en-US')} gas`,
  ]
}

async function fetchAttestation({ worker, chain }: RegisterOptions): Promise<Attestation> {
  let response: Response
  try {
    const url = new URL(`/v1/attestation?chain=${chain}`, worker)
    response = await fetch(url, { signal: AbortSignal.timeout(timeoutMs) })
  } catch (cause) {
    throw new EnclaveInputError(`The worker at ${worker} cannot be reached.`, {
      cause,
      field: '--worker',
      remedy: 'Check the address and whether the worker runs.',
    })
  }
  const body: unknown = await response.json().catch(() => undefined)
  if (!response.ok) {
    throw new EnclaveInputError(`The worker answered HTTP ${response.status}.`, {
      field: '--worker',
      metaMessages: [printable(JSON.stringify(body ?? '').slice(0, 500))],
      remedy: 'Its configuration may know no registry on that chain.',
    })
  }
  return readMessage(attestationSchema, body, 'attestation')
}

function registryOf({ statement }: Attestation, { registry }: RegisterOptions): Address {
  if (registry === undefined) return statement.registry
  if (!isAddress(registry)) {
    throw new EnclaveInputError(`${registry} is no address.`, { field: '--registry' })
  }
  if (isAddressEqual(registry, statement.registry)) return registry
  throw new EnclaveInputError('The worker attests for another registry.', {
    field: '--registry',
    metaMessages: [`Expected: ${registry}`, `Actual: ${statement.registry}`],
    remedy: 'Correct the registry in the worker’s configuration; its image changes with it.',
  })
}

function readCollateral(file: string): { collateral: Collateral } {
  try {
    return { collateral: JSON.parse(readFileSync(file, 'utf8')) as Collateral }
  } catch (cause) {
    throw new EnclaveInputError(`${file} holds no collateral.`, {
      cause,
      field: '--collateral',
      remedy: 'It is JSON in the layout of dcap-qvl.',
    })
  }
}

function print(lines: readonly string[]): void {
  process.stdout.write(`${lines.map(printable).join('\n')}\n`)
}
