import { serve } from '@hono/node-server'
import { type Command, InvalidArgumentError, Option } from 'commander'
import {
  type Address,
  BaseError as ViemError,
  ContractFunctionRevertedError,
  encodeFunctionData,
  formatEther,
} from 'viem'
import { privateKeyToAccount } from 'viem/accounts'
import { createSender, openChain } from '#contracts/deploy/sender.ts'
import { createRpc } from '#relayer/chain/rpc.ts'
import { type BlockTag, createEndorser } from '#relayer/transports/layerzero/endorser.ts'
import { revocationBroadcasterAbi } from '#schemas/abi/revocationBroadcaster.ts'
import { type Hex, fromHex } from '#schemas/bytes.ts'
import { BaseError } from '#schemas/errors.ts'
import { signDigest } from '#schemas/signatures.ts'
import { addressOption, severally } from './optionValues.ts'
import { printable } from './printable.ts'
import { chainIdOption, readSenderKey, senderKeyVariable } from './senderKey.ts'

/** Exit codes of `plumbline crosschain`, apart from 0: everything that went wrong. */
export const crosschainExitCodes = { error: 3 } as const

/** Raised when the hub would not send what was asked for; `field` is the contract's error. */
export class BroadcastRefusedError extends BaseError {
  override readonly name = 'BroadcastRefusedError'
}

/** Adds `plumbline crosschain endorse` and `revoke`. */
export function registerCrosschain(program: Command): void {
  const crosschain = program
    .command('crosschain')
    .description('endorse a hub’s keys for its spokes, and send revocations to them')
  crosschain
    .command('endorse')
    .description('serve endorsements of the keys that the hub’s registry holds valid')
    .requiredOption(
      '--chain <id>',
      'chain id of the hub, which every node must confirm',
      chainIdOption,
    )
    .requiredOption('--registry <address>', 'enclave registry of the hub', addressOption)
    .requiredOption('--rpc <url...>', 'nodes of the hub, your own; all have to agree')
    .option('--key-file <file>', `file with the endorser’s private key; else ${senderKeyVariable}`)
    .option('--host <address>', 'where to listen', '127.0.0.1')
    .option('--port <port>', 'where to listen; 0 takes a free one', portOption, 0)
    .addOption(
      new Option('--block <tag>', 'which block is believed; finalized unless the hub has none')
        .choices(['finalized', 'safe', 'latest'])
        .default('finalized'),
    )
    .addHelpText('after', '\nExit codes: 0 stopped, 3 error.')
    .action(endorse)
  crosschain
    .command('revoke')
    .description('tell spokes that keys are revoked on the hub; a dry run by default')
    .argument('<signer...>', 'addresses of keys that the hub has revoked', severally(addressOption))
    .requiredOption(
      '--chain <id>',
      'chain id of the hub, which the node must confirm',
      chainIdOption,
    )
    .requiredOption('--rpc <url>', 'JSON-RPC address of a node of the hub')
    .requiredOption('--broadcaster <address>', 'RevocationBroadcaster on the hub', addressOption)
    .requiredOption('--to <eid...>', 'LayerZero’s endpoint ids of the spokes', severally(eidOption))
    .option(
      '--options <hex>',
      'LayerZero options beyond the gas floor, for many keys at once',
      hexOption,
      '0x',
    )
    .option('--key-file <file>', `file with the private key that pays; else ${senderKeyVariable}`)
    .option('--broadcast', 'send the transaction')
    .addHelpText('after', '\nExit codes: 0 done, 3 error.')
    .action(revoke)
}

type EndorseOptions = {
  readonly chain: number
  readonly registry: Address
  readonly rpc: readonly string[]
  readonly keyFile?: string
  readonly host: string
  readonly port: number
  readonly block: BlockTag
}

async function endorse(options: EndorseOptions): Promise<void> {
  const key = readSenderKey(options.keyFile)
  const secret = fromHex(key, 'key', 32)
  const app = createEndorser({
    hub: { chainId: BigInt(options.chain), registry: options.registry },
    rpc: createRpc({
      chainId: options.chain,
      urls: options.rpc,
      fetch: (url, init) => fetch(url, init),
      now: Date.now,
    }),
    sign: (digest) => signDigest(digest, secret),
    blockTag: options.block,
  })
  const stopped = Promise.withResolvers<void>()
  const server = serve(
    { fetch: app.fetch, hostname: options.host, port: options.port },
    ({ port }) => {
      print([
        `endorser ${privateKeyToAccount(key).address}`,
        `serves   http://${options.host}:${port}/v1/endorsements/{signer}`,
      ])
    },
  )
  server.once('error', (cause) => {
    stopped.reject(
      new BaseError(`Nobody can listen on ${options.host}:${options.port}.`, {
        cause,
        field: '--port',
        remedy: 'Choose another port.',
      }),
    )
  })
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => {
      server.close(() => {
        stopped.resolve()
      })
    })
  }
  await stopped.promise
}

type RevokeOptions = {
  readonly chain: number
  readonly rpc: string
  readonly broadcaster: Address
  readonly to: readonly number[]
  readonly options: Hex
  readonly keyFile?: string
  readonly broadcast?: boolean
}

async function revoke(signers: readonly Address[], options: RevokeOptions): Promise<void> {
  const { broadcaster, to: eids, options: extra } = options
  const place = { rpcUrl: options.rpc, chainId: options.chain }
  const client = await openChain(place)
  const contract = { address: broadcaster, abi: revocationBroadcasterAbi } as const
  try {
    const destinations = await Promise.all(
      eids.map(async (eid) => ({
        eid,
        feeWei: await client.readContract({
          ...contract,
          functionName: 'quoteRevocations',
          args: [signers, eid, extra],
        }),
        options: extra,
      })),
    )
    const valueWei = destinations.reduce((sum, { feeWei }) => sum + feeWei, 0n)
    const args = [signers, destinations] as const
    const key = options.broadcast === true ? readSenderKey(options.keyFile) : undefined
    await client.simulateContract({
      ...contract,
      functionName: 'broadcastRevocations',
      args,
      value: valueWei,
      ...(key === undefined ? {} : { account: privateKeyToAccount(key) }),
      // What a dry run cannot pay is not what it asks about.
      ...(key === undefined
        ? { stateOverride: [{ address: nobody, balance: valueWei * 2n }], account: nobody }
        : {}),
    })
    print([
      ...signers.map((signer) => `revoked  ${signer}`),
      ...destinations.map(
        ({ eid, feeWei }) => `to ${eid}: ${formatEther(feeWei)} of the hub’s coin`,
      ),
    ])
    if (key === undefined) {
      print(['Nothing was sent. Add --broadcast to send.'])
      return
    }
    const sender = await createSender({ ...place, key })
    const data = encodeFunctionData({
      abi: revocationBroadcasterAbi,
      functionName: 'broadcastRevocations',
      args,
    })
    const [receipt] = await sender.sendAll([
      { label: 'revocations', to: broadcaster, data, valueWei },
    ])
    print([`tx       ${receipt?.transactionHash}, ${receipt?.gasUsed} gas`])
  } catch (error) {
    throw refusalOf(error)
  }
}

/** An account of nobody, for what is only asked. */
const nobody: Address = '0x000000000000000000000000000000000000dEaD'

function refusalOf(error: unknown): unknown {
  const revert =
    error instanceof ViemError
      ? error.walk((cause) => cause instanceof ContractFunctionRevertedError)
      : undefined
  if (!(revert instanceof ContractFunctionRevertedError)) return error
  const name = revert.data?.errorName ?? 'an error without a name'
  const values = (revert.data?.args ?? []).map(String)
  return new BroadcastRefusedError(`The hub refuses: ${name}.`, {
    cause: error,
    field: name,
    metaMessages: values.length === 0 ? [] : [`About: ${values.join(', ')}`],
    remedy:
      'A key has to be revoked on the hub first, and each spoke needs its peer and gas floor there.',
  })
}

function eidOption(text: string): number {
  const value = Number(text)
  if (/^[1-9][0-9]{0,9}$/.test(text) && value <= 0xffff_ffff) return value
  throw new InvalidArgumentError(`${text} is no endpoint id: a whole number above zero.`)
}

function hexOption(text: string): Hex {
  if (/^0x([0-9a-fA-F]{2})*$/.test(text)) return text as Hex
  throw new InvalidArgumentError('Options are whole bytes of hex behind 0x.')
}

function portOption(text: string): number {
  const value = Number(text)
  if (/^[0-9]{1,5}$/.test(text) && value <= 65_535) return value
  throw new InvalidArgumentError('It must be a port, 0 to 65535.')
}

function print(lines: readonly string[]): void {
  process.stdout.write(`${lines.map(printable).join('\n')}\n`)
}
