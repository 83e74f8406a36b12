import { keccak_256 } from '@noble/hashes/sha3'
import { type Abi, type Address, type Hex, type PublicClient, encodeFunctionData } from 'viem'
import { collateralStoreAbi } from '#schemas/abi/collateralStore.ts'
import { toHex } from '#schemas/bytes.ts'
import type { Collateral } from '#verifier/collateral/collateral.ts'
import { parseQeIdentity } from '#verifier/collateral/qeIdentity.ts'
import { parseTcbInfo } from '#verifier/collateral/tcbInfo.ts'
import { parseCertificate } from '#verifier/x509/certificate.ts'
import { parseCrl } from '#verifier/x509/crl.ts'
import { type CollateralItems, collateralItems } from '../attestation/dcap/collateralItems.ts'
import { type Call, type SenderOptions, createSender } from './sender.ts'

/** Where collateral goes. */
export type StorePlace = { readonly client: PublicClient; readonly store: Address }

const decoder = new TextDecoder()

/**
 * The uploads that bring a store up to this collateral, in the order in which it takes them. What the
 * store has already, or has newer, is left out; with nothing to do the list is empty.
 *
 * Nothing is verified here: the store does that, whoever uploads.
 *
 * @throws {@link CollateralRefusedError} when the outer form is not that of collateral.
 */
export async function missingUploads(
  { client, store }: StorePlace,
  collateral: Collateral,
): Promise<Call[]> {
  const items = collateralItems(collateral)
  const read = { address: store, abi: collateralStoreAbi } as const
  const uploads: Call[] = []
  const upload = (label: string, data: Hex, extraGas: bigint) => {
    uploads.push({ label, to: store, data, extraGas })
  }

  const [, rootNotAfter, rootCrlThisUpdate] = await client.readContract({
    ...read,
    functionName: 'rootState',
  })
  if (rootNotAfter === 0) {
    upload('root certificate', call('uploadRootCertificate', [toHex(items.rootCertificate)]), 0n)
  }
  const rootCrl = parseCrl(items.rootCrl, 'The root revocation list')
  if (rootCrlThisUpdate < rootCrl.thisUpdateUnixSeconds) {
    upload('root revocation list', call('uploadRootCrl', [toHex(items.rootCrl)]), 0n)
  }

  const authority = parseCertificate(items.pckCa, 'The PCK CA certificate')
  const [, caNotBefore, crlThisUpdate] = await client.readContract({
    ...read,
    functionName: 'authorityState',
    args: [toHex(keccak_256(authority.subject))],
  })
  const isNewAuthority = caNotBefore < authority.notBeforeUnixSeconds
  if (isNewAuthority) upload('PCK CA certificate', call('uploadPckCa', [toHex(items.pckCa)]), 0n)
  const pckCrl = parseCrl(items.pckCrl, 'The PCK revocation list')
  if (isNewAuthority || crlThisUpdate < pckCrl.thisUpdateUnixSeconds) {
    // A list that changed is written anew, 20 bytes an entry.
    const extraGas = 6_000n * BigInt(pckCrl.revokedSerials.size)
    upload('PCK revocation list', call('uploadPckCrl', [toHex(items.pckCrl)]), extraGas)
  }
  return [...uploads, ...(await missingDocuments({ client, store }, items))]
}

async function missingDocuments(
  { client, store }: StorePlace,
  items: CollateralItems,
): Promise<Call[]> {
  const read = { address: store, abi: collateralStoreAbi } as const
  const tcbInfo = parseTcbInfo(decoder.decode(items.tcbInfo.text))
  const qeIdentity = parseQeIdentity(decoder.decode(items.qeIdentity.text))
  const tcbInfoState = await client.readContract({
    ...read,
    functionName: 'tcbInfoState',
    args: [toHex(tcbInfo.fmspc)],
  })
  const qeIdentityState = await client.readContract({ ...read, functionName: 'qeIdentityState' })
  const documents = [
    {
      label: 'TCB info',
      functionName: 'uploadTcbInfo',
      signing: items.tcbSigning,
      document: items.tcbInfo,
      isNeeded: isNewer(tcbInfo, tcbInfoState),
    },
    {
      label: 'QE identity',
      functionName: 'uploadQeIdentity',
      signing: items.qeSigning,
      document: items.qeIdentity,
      isNeeded: isNewer(qeIdentity, qeIdentityState),
    },
  ] as const

  const calls: Call[] = []
  const signers = new Set<string>()
  for (const { label, functionName, signing, document, isNeeded } of documents) {
    if (!isNeeded) continue
    const serial = serialNumber(signing)
    const [, notAfter] = await client.readContract({
      ...read,
      functionName: 'tcbSigningState',
      args: [serial],
    })
    if (notAfter === 0 && !signers.has(toHex(signing))) {
      signers.add(toHex(signing))
      const data = call('uploadTcbSigning', [toHex(signing)])
      calls.push({ label: 'TCB signing certificate', to: store, data })
    }
    const data = call(functionName, [serial, toHex(document.text), toHex(document.signature)])
    calls.push({ label, to: store, data })
  }
  return calls
}

/**
 * Uploads what a store lacks of this collateral. Anybody may; who does pays the gas.
 *
 * @returns Labels of what was uploaded.
 * @throws {@link TransactionFailedError} when the store refused an item.
 */
export async function uploadCollateral(
  options: SenderOptions & { readonly store: Address },
  collateral: Collateral,
): Promise<string[]> {
  const sender = await createSender(options)
  const calls = await missingUploads({ client: sender.client, store: options.store }, collateral)
  await sender.sendAll(calls)
  return calls.map(({ label }) => label)
}

/** Serial number of a certificate, by which the store knows the signer of a document. */
export function serialNumber(der: Uint8Array): bigint {
  return BigInt(`0x${parseCertificate(der, 'The signing certificate').serial}`)
}

type Document = { readonly evaluationDataNumber: number; readonly issueDateUnixSeconds: number }

/** By evaluation number first, as the store orders them. */
function isNewer(
  document: Document,
  [evaluationNumber, issueDate]: readonly [number, number, number],
): boolean {
  if (document.evaluationDataNumber !== evaluationNumber) {
    return document.evaluationDataNumber > evaluationNumber
  }
  return document.issueDateUnixSeconds > issueDate
}

type UploadName = Extract<
  (typeof collateralStoreAbi)[number],
  { type: 'function'; stateMutability: 'nonpayable' }
>['name']

/** Without the literal types: the names and arguments above are pairs that they cannot follow. */
const uploadAbi: Abi = collateralStoreAbi

function call(functionName: UploadName, args: readonly unknown[]): Hex {
  return encodeFunctionData({ abi: uploadAbi, functionName, args })
}
