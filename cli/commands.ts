import type { Command } from 'commander'

type CommandEntry = {
  /** What the list of commands says; the command's own help says the same. */
  readonly description: string
  /** Loads the command, and so whatever it stands on. */
  readonly load: () => Promise<(program: Command) => void>
}

/** Every command of `plumbline`, in the order in which the help lists them. */
export const commands: Readonly<Record<string, CommandEntry>> = {
  verify: {
    description: 'examine a proof bundle offline, from the root certificate to the readings',
    load: async () => (await import('./verify.ts')).registerVerify,
  },
  audit: {
    description: 'examine every proof bundle of a folder and write a report of it',
    load: async () => (await import('./audit.ts')).registerAudit,
  },
  export: {
    description: 'examine a proof bundle and write what it proves in a format of others',
    load: async () => (await import('./export.ts')).registerExport,
  },
  quote: {
    description: 'verify or inspect a TDX or SGX quote',
    load: async () => (await import('./quote.ts')).registerQuote,
  },
  image: {
    description: 'say what an image will measure before it runs, and put it on Phala Cloud',
    load: async () => (await import('./image.ts')).registerImage,
  },
  policy: {
    description: 'check a policy or start a new one',
    load: async () => (await import('./policy.ts')).registerPolicy,
  },
  pack: {
    description: 'look into signed packs, or sign one',
    load: async () => (await import('./pack.ts')).registerPack,
  },
  device: {
    description: 'allow what an operator may: transfer or retire a device, close what is due',
    load: async () => (await import('./device.ts')).registerDevice,
  },
  calibration: {
    description: 'sign, read and hand in a laboratory’s calibration certificates',
    load: async () => (await import('./calibration.ts')).registerCalibration,
  },
  evaluate: {
    description: 'judge recorded readings by a policy',
    load: async () => (await import('./evaluate.ts')).registerEvaluate,
  },
  omission: {
    description: 'check whether a worker kept the promise of a receipt',
    load: async () => (await import('./omission.ts')).registerOmission,
  },
  worker: {
    description: 'back up, verify, restore and compact a worker’s ledger',
    load: async () => (await import('./worker.ts')).registerWorker,
  },
  relay: {
    description: 'see and steer a relayer',
    load: async () => (await import('./relay.ts')).registerRelay,
  },
  deploy: {
    description: 'put the contracts on a public chain, under Intel’s root; a dry run by default',
    load: async () => (await import('./deploy.ts')).registerDeploy,
  },
  crosschain: {
    description: 'endorse a hub’s keys for its spokes, and send revocations to them',
    load: async () => (await import('./crosschain.ts')).registerCrosschain,
  },
  enclave: {
    description: 'register an enclave’s key on a chain',
    load: async () => (await import('./enclave.ts')).registerEnclaveCommand,
  },
  agent: {
    description: 'Run a dstack guest agent on this machine, with a TDX platform of its own',
    load: async () => (await import('./agent.ts')).registerAgent,
  },
}

/**
 * Adds all commands to the program, and loads the one that the arguments name: nobody who asks for
 * a list waits for a relayer.
 *
 * @param args - Arguments behind the program's name.
 */
export async function registerCommands(program: Command, args: readonly string[]): Promise<void> {
  const words = args.filter((word) => !word.startsWith('-'))
  const wanted = words[0] === 'help' ? words[1] : words[0]
  for (const [name, { description, load }] of Object.entries(commands)) {
    if (name === wanted) {
      const register = await load()
      register(program)
    } else {
      program.command(name).description(description)
    }
  }
}
