import { createHash, randomBytes } from 'node:crypto'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { encodeFunctionData } from 'viem'
import { type LocalnetAddresses, deployLocalnet } from '#contracts/deploy/deployLocalnet.ts'
import { uploadCollateral } from '#contracts/deploy/collateral.ts'
import { createSender } from '#contracts/deploy/sender.ts'
import type { SettlementPlanFile } from '#relayer/plan/plan.ts'
import { prepareRelayer } from '#relayer/local/startRelayer.ts'
import { enclaveRegistryAbi } from '#schemas/abi/enclaveRegistry.ts'
import { streamId } from '#schemas/batch.ts'
import { type Hex, toHex } from '#schemas/bytes.ts'
import type { Deployment } from '#schemas/deployment.ts'
import { coseKeyBytes } from '#schemas/pack/deviceKey.ts'
import type { SignedBatch } from '#schemas/workerApi.ts'
import { root } from '#tools/paths.ts'
import type { QuotePolicyDocument } from '#verifier/appraisal/policy.ts'
import { imageId } from '#verifier/quote/imageId.ts'
import { parseQuote } from '#verifier/quote/parseQuote.ts'
import { accounts } from './accounts.ts'
import { type GuestAgent, startGuestAgent } from './agent/server.ts'
import { type LocalAgreement, concludeAgreements } from './agreements.ts'
import { localChains } from './chains/localChains.ts'
import { type Chain, startChain } from './chains/startChain.ts'
import { type FleetDevice, type Measurement, createDevice } from './fleet/device.ts'
import { sendPacks } from './fleet/uplink.ts'
import { startExplorerServer } from './explorerServer.ts'
import { type HandOver, handOver } from './handOver.ts'
import { assertPortFree } from './processes/ports.ts'
import { type Supervisor, createSupervisor } from './processes/supervisor.ts'
import type { Progress } from './progress.ts'
import { readMote } from './recordings/shipmentMotes.ts'
import { readSolarYear } from './recordings/solarYear.ts'
import {
  carbonPolicy,
  operationPolicy,
  periods,
  plant,
  plantMeasurements,
  shipment,
  shipmentMeasurements,
  shipmentPolicy,
  shortfallPolicy,
  worldAgeSeconds,
} from './scenario.ts'
import { type ChainSettlement, awaitSettlements } from './settlements.ts'
import { type Platform, createPlatform } from './tdx/platform.ts'
import { serveCertification } from './tdx/serveCertification.ts'
import { strictPolicy } from './tdx/strictPolicy.ts'

export const defaultPortBase = 8545

export type MainJobOptions = {
  /** Six ports from here on: three chains, the worker, the relayer, the explorer. */
  readonly portBase: number
  /** Everything that the run writes; emptied first. */
  readonly folder: string
  readonly progress: Progress
  readonly signal: AbortSignal
}

export type MainJobResult = {
  readonly batch: SignedBatch
  readonly settlements: readonly ChainSettlement[]
  readonly chains: readonly Chain[]
  readonly addresses: LocalnetAddresses
  readonly agreements: readonly LocalAgreement[]
  readonly workerUrl: string
  readonly relayerUrl: string
  readonly explorerUrl: string
  readonly handOver: HandOver
  /** When the devices sent their last reading: this machine's clock. */
  readonly lastReadingSentMs: number
  readonly restarts: number
}

export type MainJob = {
  readonly result: MainJobResult
  readonly close: () => Promise<void>
}

const streamName = 'plumbline-local'
/** Readings that a device packs under one signature. */
const readingsPerPack = 60
const storyTimeoutMs = 120_000

/**
 * The main job, whole: chains, contracts, agreements, a confidential VM's platform, worker, relayer
 * and a fleet of devices that replays recordings; then one window, one batch, and its settlements.
 *
 * @throws PortTakenError | ServiceFailedError | RecordingUnavailableError | StoryIncompleteError
 */
export async function runMainJob(options: MainJobOptions): Promise<MainJob> {
  const { portBase, folder, progress, signal } = options
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  let restarts = 0
  const supervisor = createSupervisor(join(folder, 'logs'), (name, how) => {
    restarts += 1
    progress.note(`${name} ended (${how}); it is started again.`)
  })
  const closers: (() => Promise<void>)[] = [() => supervisor.stopAll()]
  const close = async () => {
    for (const closer of closers.reverse()) await closer()
  }
  try {
    const workerPort = portBase + 3
    const relayerPort = portBase + 4
    await assertPortFree(workerPort, 'the enclave worker')
    await assertPortFree(relayerPort, 'the relayer')
    await assertPortFree(portBase + 5, 'the explorer')

    const explorer = await progress.step('explorer built and served', () =>
      startExplorerServer(portBase + 5),
    )
    closers.push(() => explorer.close())
    progress.note(`watch at ${explorer.url}`)

    const recordings = await progress.step('recordings read from their packages', async () => ({
      year: await readSolarYear(),
      mote: readMote(1),
    }))
    const nowSeconds = Math.floor(Date.now() / 1000)
    const chains = await progress.step('three chains are up', () =>
      Promise.all(
        localChains(portBase, nowSeconds - worldAgeSeconds).map((spec) =>
          startChain(spec, supervisor, folder),
        ),
      ),
    )
    const [harbour, meadow, quay] = chains
    if (harbour === undefined || meadow === undefined || quay === undefined) {
      throw new TypeError('The local world has three chains.')
    }

    const platform = createPlatform({ now: nowSeconds, seed: randomBytes(32) })
    const addresses = await progress.step('contracts deployed at the same addresses on each', () =>
      deployEverywhere(chains, platform),
    )

    // The last whole minute: credits are minted for whole minutes. The recordings end there, and reach
    // the worker late, as the backlog of devices that were out of reach does.
    const endMs = Math.floor(Date.now() / 60_000) * 60_000
    const storyPeriods = periods(endMs, recordings.mote.length)
    const policies = {
      shortfall: shortfallPolicy(),
      operation: operationPolicy(),
      carbon: carbonPolicy({
        chainId: meadow.chainId,
        contract: addresses.carbonCredit.toLowerCase() as Hex,
      }),
      shipment: shipmentPolicy(),
    }
    const stream = streamId(streamName)
    const agreements = await progress.step('cover bought, project admitted, escrows paid in', () =>
      concludeAgreements({
        chains: [harbour, meadow, quay],
        addresses,
        stream,
        policies,
        periods: storyPeriods,
      }),
    )

    const certification = await serveCertification(platform)
    closers.push(() => certification.close())
    const firmware = toHex(createHash('sha256').update('plumbline fleet device').digest())
    const meter = createDevice({ stream, series: plant.series, unit: plant.unit, firmware })
    const mote = createDevice({ stream, series: shipment.series, unit: shipment.unit, firmware })
    const workerConfig = {
      version: 1,
      stream: streamName,
      listen: { host: '127.0.0.1', port: workerPort },
      dataFolder: join(folder, 'worker'),
      guestAgent: join(folder, 'dstack.sock'),
      certificationService: certification.url,
      publishesReadings: true,
      registries: chains.map(({ chainId, rpcUrl }) => ({
        chainId,
        registry: addresses.enclaveRegistry.toLowerCase(),
        rpcUrl,
      })),
      anchorChainId: harbour.chainId,
      release: toHex(createHash('sha256').update('plumbline 0.1.0, local').digest()),
      // Long, for slow machines; a window whose devices have all been heard closes at once.
      allowedLatenessMs: 60_000,
      closesWhenComplete: true,
      tickMs: 50,
      devices: [enrol(meter, plant.subject, 15 * 60_000), enrol(mote, shipment.subject, 5_000)],
      policies: Object.values(policies),
      assignments: [
        ...[policies.shortfall, policies.operation, policies.carbon].map(({ name }) => ({
          subject: plant.subject,
          policy: name,
          periods: [storyPeriods.plant],
        })),
        {
          subject: shipment.subject,
          policy: policies.shipment.name,
          periods: [storyPeriods.shipment],
        },
      ],
    }
    const agent = await progress.step('TDX platform ready, image allowed on every chain', () =>
      bootPlatform(platform, workerConfig, chains, addresses),
    )
    closers.push(() => agent.close())
    const workerUrl = `http://127.0.0.1:${workerPort}`
    const relayerUrl = `http://127.0.0.1:${relayerPort}`
    const quotePolicy = {
      ...strictPolicy(platform, { mrConfigId: agent.mrConfigId }),
      id: 'plumbline local: this platform, this image, up to date',
    }
    explorer.describe(
      describeDeployment({ platform, quotePolicy, chains, addresses, agreements }),
      {
        worker: workerUrl,
        relayer: relayerUrl,
        chains: new Map(chains.map(({ chainId, rpcUrl }) => [chainId, rpcUrl])),
      },
    )
    await progress.step('a month passes: the chains’ clocks are set to now', () =>
      Promise.all(chains.map(catchUp)),
    )
    await progress.step('the platform’s collateral verified and kept on every chain', () =>
      uploadEverywhere(chains, platform, addresses),
    )

    await progress.step('enclave worker attested and listening', () =>
      startWorkerService(supervisor, folder, workerUrl),
    )
    await progress.step('relayer running in workerd', () =>
      startRelayerService(supervisor, folder, relayerPort, {
        version: 1,
        worker: workerUrl,
        stream,
        pollMs: 100,
        chains: chains.map(({ name, chainId, rpcUrl, blockTimeSeconds }) => ({
          name,
          chainId,
          rpcUrls: [rpcUrl],
          enclaveRegistry: addresses.enclaveRegistry,
          proofRegistry: addresses.proofRegistry,
          confirmations: 2,
          pollMs: Math.max(50, blockTimeSeconds * 250),
        })),
        settlements: agreements.map((agreement) => ({
          chainId: agreement.chain.chainId,
          contract: agreement.contract,
          kind: agreement.kind,
          agreementId: agreement.agreementId.toString(),
          subject: agreement.subject,
          policyId: agreement.policyId,
          ...(agreement.exclusiveTo === undefined ? {} : { exclusiveTo: agreement.exclusiveTo }),
          label: agreement.label,
        })),
      }),
    )

    const lastReadingSentMs = await progress.step('the fleet has replayed its recordings', () =>
      replay(workerUrl, [
        { device: meter, measurements: plantMeasurements(recordings.year, endMs) },
        { device: mote, measurements: shipmentMeasurements(recordings.mote, endMs) },
      ]),
    )
    const { batch, settlements } = await progress.step('one batch, settled everywhere', () =>
      awaitSettlements(workerUrl, agreements, {
        timeoutMs: storyTimeoutMs,
        signal,
        onBatch: ({ digest, reports }) => {
          progress.note(`batch ${digest} holds ${reports.length} reports`)
        },
        onSettled: ({ agreement, seenAtMs }) => {
          progress.note(
            `${agreement.label} (chain ${agreement.chain.chainId}, ${seenAtMs - lastReadingSentMs} ms)`,
          )
        },
      }),
    )
    const handedOver = await progress.step('a proof bundle of every report written', () =>
      handOver(folder, workerUrl, batch, { platform, quotePolicy }),
    )
    return {
      result: {
        explorerUrl: explorer.url,
        handOver: handedOver,
        batch,
        settlements,
        chains,
        addresses,
        agreements,
        workerUrl,
        relayerUrl,
        lastReadingSentMs,
        restarts,
      },
      close,
    }
  } catch (error) {
    await close()
    throw error
  }
}

function describeDeployment({
  platform,
  quotePolicy,
  chains,
  addresses,
  agreements,
}: {
  readonly platform: Platform
  readonly quotePolicy: QuotePolicyDocument
  readonly chains: readonly Chain[]
  readonly addresses: LocalnetAddresses
  readonly agreements: readonly LocalAgreement[]
}): Deployment {
  const lower = (address: string) => address.toLowerCase() as Hex
  return {
    version: 1,
    name: 'Local rehearsal',
    streamName,
    rootCertificate: platform.rootCertificatePem,
    rootName: 'a platform made on this machine, not Intel’s',
    quotePolicy,
    chains: chains.map(({ chainId, name }) => ({
      chainId,
      name,
      enclaveRegistry: lower(addresses.enclaveRegistry),
      proofRegistry: lower(addresses.proofRegistry),
    })),
    agreements: agreements.map((agreement) => ({
      label: agreement.label,
      kind: agreement.kind,
      chainId: agreement.chain.chainId,
      contract: lower(agreement.contract),
      agreementId: agreement.agreementId,
      subject: agreement.subject,
      policyId: agreement.policyId,
      unit: agreement.amount.unit,
      decimals: agreement.amount.decimals,
    })),
  }
}

function enrol(device: FleetDevice, subject: string, intervalMs: number) {
  return {
    publicKey: toHex(coseKeyBytes(device.signer.key)),
    algorithm: device.signer.key.algorithm,
    subject,
    tier: 'hardware',
    intervalMs,
    series: [device.series],
  }
}

async function deployEverywhere(
  chains: readonly Chain[],
  platform: Platform,
): Promise<LocalnetAddresses> {
  const deployed = await Promise.all(
    chains.map(({ rpcUrl, chainId }) =>
      deployLocalnet({
        rpcUrl,
        chainId,
        deployerKey: accounts.founder.privateKey,
        rootCertificate: platform.rootCertificateDer,
        imageIds: [],
      }),
    ),
  )
  const [addresses] = deployed
  const isSame = new Set(deployed.map((each) => JSON.stringify(each))).size === 1
  if (addresses === undefined || !isSame) {
    throw new TypeError('CREATE2 gave different addresses on different chains.')
  }
  return addresses
}

/**
 * Starts the guest agent for a compose file that holds the worker's configuration, and has the image
 * that it measures to allowed in every registry. The configuration is measured: a worker with other
 * devices, policies or registries is another image.
 */
async function bootPlatform(
  platform: Platform,
  workerConfig: { readonly guestAgent: string; readonly dataFolder: string },
  chains: readonly Chain[],
  addresses: LocalnetAddresses,
): Promise<GuestAgent> {
  const configText = JSON.stringify(workerConfig)
  const folder = join(workerConfig.dataFolder, '..')
  writeFileSync(join(folder, 'worker.json'), configText)
  const agent = await startGuestAgent({
    platform,
    socketPath: workerConfig.guestAgent,
    composeFile: JSON.stringify({
      manifest_version: 2,
      name: 'plumbline-worker',
      runner: 'docker-compose',
      docker_compose_file: `services:\n  worker:\n    image: plumbline-worker@local\n`,
      plumbline_worker_config: configText,
    }),
  })
  const measured = platform.mintQuote({
    reportData: new Uint8Array(64),
    measurements: {
      mrConfigId: Uint8Array.from([1, ...agent.composeHash, ...new Uint8Array(15)]),
    },
  })
  const data = encodeFunctionData({
    abi: enclaveRegistryAbi,
    functionName: 'allowImage',
    args: [imageId(parseQuote(measured))],
  })
  await Promise.all(
    chains.map(async ({ rpcUrl, chainId }) => {
      const sender = await createSender({ rpcUrl, chainId, key: accounts.founder.privateKey })
      await sender.sendAll([{ label: 'allow image', to: addresses.enclaveRegistry, data }])
    }),
  )
  return agent
}

/** What Intel would have signed for this platform; the stores take it on its signatures alone. */
async function uploadEverywhere(
  chains: readonly Chain[],
  platform: Platform,
  { collateralStore: store }: LocalnetAddresses,
): Promise<void> {
  if (store === undefined)
    throw new TypeError('The local world verifies quotes as production does.')
  const collateral = platform.collateral()
  await Promise.all(
    chains.map(({ rpcUrl, chainId }) =>
      uploadCollateral({ rpcUrl, chainId, key: accounts.founder.privateKey, store }, collateral),
    ),
  )
}

/** Sets a chain's clock to this machine's; it began a month ago. */
async function catchUp({ client, control }: Chain): Promise<void> {
  const { timestamp } = await client.getBlock()
  const seconds = Math.floor(Date.now() / 1000) - Number(timestamp)
  if (seconds > 0) await control.increaseTime({ seconds })
  await control.mine({ blocks: 1 })
}

async function startWorkerService(
  supervisor: Supervisor,
  folder: string,
  workerUrl: string,
): Promise<void> {
  await supervisor.start({
    name: 'worker',
    command: process.execPath,
    args: [
      '--disable-warning=ExperimentalWarning',
      join(root, 'enclave-worker', 'main.ts'),
      join(folder, 'worker.json'),
    ],
    isReady: async () => (await fetch(`${workerUrl}/healthz`)).ok,
    readyTimeoutMs: 20_000,
    isRestarted: true,
  })
}

async function startRelayerService(
  supervisor: Supervisor,
  folder: string,
  port: number,
  plan: SettlementPlanFile,
): Promise<void> {
  const senderKeys = Object.fromEntries(
    plan.chains.map(({ chainId }) => [chainId, accounts.relayer.privateKey]),
  )
  const dataFolder = join(folder, 'relayer')
  const prepared = await prepareRelayer({ plan, senderKeys, dataFolder, port })
  const url = `http://127.0.0.1:${port}`
  await supervisor.start({
    name: 'relayer',
    command: prepared.command,
    args: prepared.args,
    folder: prepared.folder,
    environment: prepared.environment,
    isReady: async () => {
      const isHealthy = (await fetch(`${url}/healthz`)).ok
      if (isHealthy) await fetch(`${url}/v1/wake`, { method: 'POST' })
      return isHealthy
    },
    readyTimeoutMs: 20_000,
    isRestarted: true,
  })
}

type Part = { readonly device: FleetDevice; readonly measurements: readonly Measurement[] }

/**
 * Sends every device's readings in order: the backlog of each, then, when all of that is in, the last
 * pack of each.
 *
 * @returns when the last readings were sent, this machine's clock.
 */
async function replay(workerUrl: string, parts: readonly Part[]): Promise<number> {
  const packs = parts.map(({ device, measurements }) => {
    const packed: Uint8Array[] = []
    for (let at = 0; at < measurements.length; at += readingsPerPack) {
      packed.push(device.pack(measurements.slice(at, at + readingsPerPack)))
    }
    return packed
  })
  await Promise.all(
    packs.map((packed) => sendPacks(workerUrl, packed.slice(0, -1), { packsPerRequest: 32 })),
  )
  const sentMs = Date.now()
  await Promise.all(
    packs.map((packed) => sendPacks(workerUrl, packed.slice(-1), { packsPerRequest: 1 })),
  )
  return sentMs
}
