import { sha256 } from '@noble/hashes/sha2'
import { type Address, zeroHash } from 'viem'
import { privateKeyToAccount } from 'viem/accounts'
import { authorityArtifact } from '#contracts/artifacts/Authority.ts'
import { enclaveRegistryArtifact } from '#contracts/artifacts/EnclaveRegistry.ts'
import {
  type AppraisalRules,
  placeAttestation,
  quoteVerifierOf,
} from '#contracts/deploy/attestation.ts'
import { create2Proxy, place } from '#contracts/deploy/create2.ts'
import { type SenderOptions, createSender, openChain } from '#contracts/deploy/sender.ts'
import type { Platform } from '#localnet/tdx/platform.ts'
import { type Hex, fromHex, toHex, utf8 } from '#schemas/bytes.ts'
import {
  type Statement,
  possessionDigest,
  statementReportData,
  statementVersion,
} from '#schemas/statement.ts'
import type { Attestation } from '#schemas/workerApi.ts'
import type { Collateral } from '#verifier/collateral/collateral.ts'
import { imageId } from '#verifier/quote/imageId.ts'
import { parseQuote } from '#verifier/quote/parseQuote.ts'

export const stream: Hex = `0x${'57'.repeat(32)}`

/**
 * A registry that takes quotes under a local platform's root, by the contracts of production. The
 * platform's own image is allowed.
 *
 * @param name - Tells registries on one chain apart.
 */
export async function deployDcapRegistry(
  sender: SenderOptions,
  {
    name,
    platform,
    appraisal,
  }: {
    readonly name: string
    readonly platform: Platform
    readonly appraisal?: AppraisalRules | undefined
  },
): Promise<Address> {
  const salt = toHex(sha256(utf8(name)))
  const founder = await createSender(sender)
  const authority = place(authorityArtifact, [founder.account.address], salt)
  const placed = placeAttestation(
    {
      rootFingerprint: toHex(sha256(platform.rootCertificateDer)),
      authority: authority.address,
      appraisal,
    },
    salt,
  )
  const sample = platform.mintQuote({ reportData: new Uint8Array(64) })
  const registry = place(
    enclaveRegistryArtifact,
    [quoteVerifierOf(placed), authority.address, 0n, [imageId(parseQuote(sample))]],
    salt,
  )
  await founder.sendAll(
    [authority, ...Object.values(placed), registry].map(({ data }) => ({
      label: 'deployment',
      to: create2Proxy,
      data,
    })),
  )
  return registry.address
}

/** What a worker would serve: a statement of its key and a quote over that and the newest block. */
export async function attestEnclave(
  chain: Pick<SenderOptions, 'rpcUrl' | 'chainId'>,
  {
    platform,
    registry,
    key = `0x${'e1'.repeat(32)}`,
    collateral = platform.collateral(),
  }: {
    readonly platform: Platform
    readonly registry: Address
    readonly key?: Hex
    readonly collateral?: Collateral
  },
): Promise<Attestation> {
  const client = await openChain(chain)
  const enclave = privateKeyToAccount(key)
  const statement: Statement = {
    version: statementVersion,
    signer: enclave.address.toLowerCase() as Hex,
    ed25519PublicKey: `0x${'ed'.repeat(32)}`,
    stream,
    release: zeroHash,
    anchorChainId: BigInt(chain.chainId),
    registry: registry.toLowerCase() as Hex,
  }
  const { number, hash } = await client.getBlock()
  const reportData = fromHex(statementReportData(statement, hash), 'reportData', 64)
  return {
    statement,
    possession: await enclave.sign({ hash: possessionDigest(statement) }),
    quote: toHex(platform.mintQuote({ reportData })),
    blockNumber: number,
    blockHash: hash,
    collateral,
  }
}
