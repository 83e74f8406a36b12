import {
  type Address,
  type Hex,
  concatHex,
  createTestClient,
  encodeFunctionData,
  http,
  keccak256,
  serializeSignature,
  toHex,
} from 'viem'
import { privateKeyToAddress, sign } from 'viem/accounts'
import { secp256k1 } from '@noble/curves/secp256k1'
import { authorityAbi } from '#schemas/abi/authority.ts'
import { enclaveRegistryAbi } from '#schemas/abi/enclaveRegistry.ts'
import { type Batch, batchDigest } from '#schemas/batch.ts'
import { concatBytes, fromHex, utf8 } from '#schemas/bytes.ts'
import {
  type Hub,
  type Registration,
  endorsementDigest,
  orderEndorsements,
} from '#schemas/crosschain.ts'
import { addressOf, signDigest } from '#schemas/signatures.ts'
import { type Statement, possessionDigest, statementReportData } from '#schemas/statement.ts'
import { authorityArtifact } from '#contracts/artifacts/Authority.ts'
import { carbonCreditArtifact } from '#contracts/artifacts/CarbonCredit.ts'
import { performanceEscrowArtifact } from '#contracts/artifacts/PerformanceEscrow.ts'
import { testTokenArtifact } from '#contracts/artifacts/TestToken.ts'
import {
  type HubAddresses,
  type SpokeAddresses,
  deployHub,
  deploySpoke,
  gasFloors,
  openHubPath,
  openSpokePath,
} from '#contracts/deploy/crosschain.ts'
import { type LocalnetAddresses, deployLocalnet } from '#contracts/deploy/deployLocalnet.ts'
import { roles } from '#contracts/deploy/roles.ts'
import { createSender } from '#contracts/deploy/sender.ts'
import { encodeLzReceiveOptions } from '#relayer/transports/layerzero/options.ts'
import { type Anvil, startAnvil } from '#tools/anvil.ts'
import { packQuoteEvidence } from '#verifier/quote/packQuoteEvidence.ts'
import { createPlatform } from '../tdx/platform.ts'
import {
  type ChainHand,
  type LayerZeroDeployment,
  createChainHand,
  deployLayerZero,
} from './deployLayerZero.ts'
import { type LayerZeroWorkers, createLayerZeroWorkers } from './workers.ts'

/**
 * A hub on which enclaves are registered, spokes that learn of them through LayerZero, and everything
 * that settles on a spoke. Nothing is replaced: endpoints, libraries and workers are LayerZero's own.
 */

export type CrosschainSpoke = SpokeAddresses & {
  readonly layerZero: LayerZeroDeployment
  readonly hand: ChainHand
  readonly workers: LayerZeroWorkers
  readonly authority: Address
  readonly token: Address
  readonly performanceEscrow: Address
  readonly carbonCredit: Address
}

export type Crosschain = {
  readonly hub: HubAddresses & {
    readonly layerZero: LayerZeroDeployment
    readonly hand: ChainHand
    readonly contracts: LocalnetAddresses
    readonly identity: Hub
  }
  readonly spokes: readonly CrosschainSpoke[]
  readonly key: Hex
  readonly stream: Hex
  /** Registers a fresh enclave on the hub. */
  registerEnclave(name: string): Promise<TestEnclave>
  /** What the hub's registry holds of a key. */
  registrationOf(signer: Hex): Promise<Registration>
  /** Signatures of the endorsers, one after the other, as the broadcaster takes them. */
  endorse(registration: Registration, count?: number): Promise<Hex>
  /** Moves the clock of every chain. */
  warp(unixSeconds: bigint): Promise<void>
  stop(): Promise<void>
}

export type TestEnclave = {
  readonly signer: Hex
  /** What its registration on the hub cost. */
  readonly gasUsed: bigint
  sign(batch: Batch): Hex
}

/** Ids that no chain of LayerZero has. */
export const localEid = (chainId: number): number => chainId + 10_000

/** Keys of the endorsers that every spoke here has; two of them are asked for. */
export const endorserKeys = ['first', 'second', 'third'].map((name) =>
  keccak256(utf8(`${name} endorser of a local chain`)),
)
const threshold = 2

const salt = keccak256(utf8('plumbline/localnet/crosschain/1'))

export async function createCrosschain(options: {
  readonly key: Hex
  readonly stream: Hex
  readonly genesisSeconds: number
  readonly spokes: number
  /** Whose quotes the hub believes; a platform of its own when absent. */
  readonly believes?: { readonly attestationKey: { x: Hex; y: Hex }; readonly imageId: Hex }
  /** Further spokes that the hub can send to and that do not exist: their costs at the hub are real. */
  readonly phantomSpokes?: number
}): Promise<Crosschain> {
  const { key, stream, genesisSeconds } = options
  const anvils: Anvil[] = await Promise.all(
    Array.from({ length: 1 + options.spokes }, (_, at) => startAnvil(31_337 + at, genesisSeconds)),
  )
  const stop = async () => {
    await Promise.all(anvils.map((anvil) => anvil.stop()))
  }
  try {
    return await build(anvils, options, stop)
  } catch (error) {
    await stop()
    throw error
  }

  async function build(
    chains: readonly Anvil[],
    { phantomSpokes = 0, believes }: typeof options,
    end: () => Promise<void>,
  ): Promise<Crosschain> {
    const [hubChain, ...spokeChains] = chains.map(({ chainId, rpcUrl }) => ({
      eid: localEid(chainId),
      chainId,
      rpcUrl,
    }))
    if (hubChain === undefined) throw new TypeError('A hub is always there')
    const phantoms = Array.from({ length: phantomSpokes }, (_, at) => ({
      ...hubChain,
      eid: hubChain.eid + 1_000 + at,
    }))
    const platform = createPlatform({ now: genesisSeconds })
    const sample = platform.mintQuote({ reportData: new Uint8Array(64) })
    const body = sample.subarray(48, 632)
    const imageId = keccak256(
      concatBytes(
        body.subarray(136, 184),
        body.subarray(328, 472),
        body.subarray(184, 232),
        body.subarray(120, 136),
      ),
    )
    const contracts = await deployLocalnet({
      ...hubChain,
      deployerKey: key,
      // 700 = header 48 + body 584 + length 4 + signature 64.
      platformAttestationKey: believes?.attestationKey ?? {
        x: toHex(sample.subarray(700, 732)),
        y: toHex(sample.subarray(732, 764)),
      },
      imageIds: [believes?.imageId ?? imageId],
    })
    const hubLayerZero = await deployLayerZero(hubChain, [...spokeChains, ...phantoms], key)
    const hubAddresses = await deployHub({
      ...hubChain,
      key,
      salt,
      endpoint: hubLayerZero.endpoint,
      authority: contracts.authority,
      enclaveRegistry: contracts.enclaveRegistry,
      proofRegistry: contracts.proofRegistry,
    })
    const hubSender = await createSender({ ...hubChain, key })
    const floors = {
      batch: encodeLzReceiveOptions({ gas: gasFloors.batch }),
      registration: encodeLzReceiveOptions({ gas: gasFloors.registration }),
      revocation: encodeLzReceiveOptions({ gas: gasFloors.revocation }),
    }
    const spokes = await Promise.all(
      spokeChains.map(async (chain): Promise<CrosschainSpoke> => {
        const hand = createChainHand(chain, key)
        const layerZero = await deployLayerZero(chain, [hubChain], key)
        const authority = await hand.deploy('authority', authorityArtifact, [hand.account.address])
        for (const role of Object.values(roles)) {
          await hand.call(authority, authorityAbi, 'grantRole', [role, hand.account.address, 0])
        }
        const addresses = await deploySpoke({
          ...chain,
          key,
          salt,
          endpoint: layerZero.endpoint,
          authority,
          hub: {
            eid: hubChain.eid,
            chainId: hubChain.chainId,
            registry: contracts.enclaveRegistry,
          },
          endorsers: endorserKeys.map((one) => privateKeyToAddress(one)),
          threshold,
          additionDelaySeconds: 172_800n,
          maxBatchAgeSeconds: 2_592_000n,
        })
        const sender = await createSender({ ...chain, key })
        await sender.sendAll(
          openSpokePath(authority, addresses, { ...hubAddresses, eid: hubChain.eid }),
        )
        const { proofRegistry } = addresses
        return {
          ...addresses,
          layerZero,
          hand,
          workers: createLayerZeroWorkers(layerZero, key),
          authority,
          token: await hand.deploy('token', testTokenArtifact, []),
          performanceEscrow: await hand.deploy('escrow', performanceEscrowArtifact, [
            proofRegistry,
          ]),
          carbonCredit: await hand.deploy('carbon', carbonCreditArtifact, [
            proofRegistry,
            authority,
          ]),
        }
      }),
    )
    const [example] = spokes
    if (example === undefined) throw new TypeError('At least one spoke')
    const destinations = [
      ...spokes.map((spoke) => ({ ...spoke, eid: spoke.layerZero.eid })),
      ...phantoms.map(({ eid }) => ({ ...example, eid })),
    ]
    await hubSender.sendAll(
      destinations.flatMap((spoke) =>
        openHubPath(contracts.authority, hubAddresses, spoke, floors),
      ),
    )
    const hubHand = createChainHand(hubChain, key)
    const identity: Hub = {
      chainId: BigInt(hubChain.chainId),
      registry: contracts.enclaveRegistry.toLowerCase() as Hex,
    }

    return {
      hub: { ...hubAddresses, layerZero: hubLayerZero, hand: hubHand, contracts, identity },
      spokes,
      key,
      stream,

      async registerEnclave(name) {
        const enclaveKey = fromHex(keccak256(utf8(`enclave ${name}`)), 'key', 32)
        const signer = addressOf(secp256k1.getPublicKey(enclaveKey))
        const block = await hubHand.client.getBlock()
        const statement: Statement = {
          version: 1,
          signer,
          ed25519PublicKey: keccak256(utf8('ed25519')),
          stream,
          release: keccak256(utf8('release')),
          anchorChainId: BigInt(hubChain.chainId),
          registry: identity.registry,
        }
        const quote = platform.mintQuote({
          reportData: fromHex(statementReportData(statement, block.hash), 'reportData', 64),
        })
        const { gasUsed } = await hubHand.send('register', {
          to: contracts.enclaveRegistry,
          gas: 2_000_000n,
          data: encodeFunctionData({
            abi: enclaveRegistryAbi,
            functionName: 'register',
            args: [
              statement,
              block.number,
              signDigest(possessionDigest(statement), enclaveKey),
              packQuoteEvidence(quote),
            ],
          }),
        })
        return { signer, gasUsed, sign: (batch) => signDigest(batchDigest(batch), enclaveKey) }
      },

      async registrationOf(signer) {
        const registry = { address: contracts.enclaveRegistry, abi: enclaveRegistryAbi } as const
        const args = [signer] as const
        const [stated, heldImage, expiresAt] = await hubHand.client.readContract({
          ...registry,
          functionName: 'signerStatus',
          args,
        })
        const [, , ppid, attestedAt] = await hubHand.client.readContract({
          ...registry,
          functionName: 'signerRecord',
          args,
        })
        return { signer, stream: stated, imageId: heldImage, ppid, attestedAt, expiresAt }
      },

      async endorse(registration, count = threshold) {
        const digest = endorsementDigest(identity, registration)
        const signatures = await Promise.all(
          endorserKeys
            .slice(0, count)
            .map(async (privateKey) =>
              serializeSignature(await sign({ hash: digest, privateKey })),
            ),
        )
        const ordered = orderEndorsements(identity, registration, signatures)
        return concatHex(ordered.map(({ signature }) => signature))
      },

      async warp(unixSeconds) {
        for (const { rpcUrl } of chains) {
          const control = createTestClient({ mode: 'anvil', transport: http(rpcUrl) })
          await control.setNextBlockTimestamp({ timestamp: unixSeconds })
          await control.mine({ blocks: 1 })
        }
      },

      stop: end,
    }
  }
}
