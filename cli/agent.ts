import { Option } from 'commander'
import type { Command } from 'commander'
import { tcbStatuses } from '#localnet/tdx/documents.ts'
import type { TcbStatus } from '#localnet/tdx/documents.ts'
import type { AgentMode } from '#localnet/agent/server.ts'

export type AgentOptions = {
  readonly compose?: string
  readonly mode: AgentMode
  readonly fixture?: string
  readonly socket?: string
  readonly port?: string
  readonly seed?: string
  readonly randomSeed?: true
  readonly appId?: string
  readonly appKeys?: string
  readonly negative?: string
  readonly tcbStatus: TcbStatus
  readonly quoteVersion: '4' | '5'
  readonly keepDigests?: true
  readonly fail?: readonly string[]
  readonly writePlatform?: string
}

export type NegativesOptions = {
  readonly out?: string
  readonly at?: string
  readonly seed?: string
}

/** Where an agent listens when nothing else is said. */
export const defaultAgentPort = 8070

/** Adds `plumbline agent`: a dstack guest agent for a laptop. */
export function registerAgent(program: Command): void {
  const agent = program
    .command('agent')
    .description('Run a dstack guest agent on this machine, with a TDX platform of its own')
    .option('--compose <file>', 'app-compose.json to measure; a small built-in one by default')
    .addOption(
      new Option('--mode <mode>', 'where quotes come from')
        .choices(['minted', 'fixture', 'patched'])
        .default('minted'),
    )
    .option('--fixture <file>', 'genuine quote for the modes fixture and patched')
    .option('--socket <path>', 'listen on a unix socket')
    .option('--port <number>', `listen on 127.0.0.1 (default ${defaultAgentPort} without a socket)`)
    .option('--seed <text>', 'same seed, same platform and keys (default: the development seed)')
    .option('--random-seed', 'a platform that nobody else has')
    .option('--app-id <hex>', '20 bytes; the head of the compose hash by default')
    .option('--app-keys <file>', 'appkeys.json of a real key management service')
    .option('--negative <name>', 'lie in one way; see `agent negatives`')
    .addOption(
      new Option('--tcb-status <status>', "how the platform's collateral judges it")
        .choices(tcbStatuses)
        .default('UpToDate'),
    )
    .addOption(
      new Option('--quote-version <number>', 'version of minted quotes')
        .choices(['4', '5'])
        .default('4'),
    )
    .option('--keep-digests', 'keep RTMR3 digests in event logs, as agents before 0.5.6 did')
    .option('--fail <method...>', 'methods that answer HTTP 400')
    .option('--write-platform <folder>', 'write root certificate, collateral and image there')
    .action(async (options: AgentOptions) => {
      // Loaded when it is asked for: no other command needs a platform.
      const { runAgent } = await import('./runAgent.ts')
      await runAgent(options)
    })
  agent
    .command('negatives')
    .description('List the ways in which the platform can lie, or mint them all into one file')
    .option('--out <file>', 'write evidence of every case as JSON')
    .option('--at <instant>', 'instant of the evidence, ISO 8601 (default: now)')
    .option('--seed <text>', 'seed of the platform')
    .action(async (_, command: Command) => {
      // `--seed` is also an option of `agent`, which takes it before this command sees it.
      const { writeNegatives } = await import('./runAgent.ts')
      await writeNegatives(command.optsWithGlobals())
    })
}
