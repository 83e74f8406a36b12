import { keccak_256 } from '@noble/hashes/sha3'
import {
  type Abi,
  type ContractFunctionName,
  type ContractFunctionReturnType,
  decodeFunctionResult,
  encodeFunctionData,
} from 'viem'
import { collateralStoreAbi } from '#schemas/abi/collateralStoreCalls.ts'
import { type Hex, toHex } from '#schemas/bytes.ts'
import type { Collateral } from '#verifier/collateral/collateral.ts'
import { parseQeIdentity } from '#verifier/collateral/qeIdentity.ts'
import { parseTcbInfo } from '#verifier/collateral/tcbInfo.ts'
import { parseCertificate } from '#verifier/x509/certificate.ts'
import { parseCrl } from '#verifier/x509/crl.ts'
import { type CollateralItems, collateralItems } from './collateralItems.ts'

/** Calls the store without changing it: calldata in, what it returned out. */
export type StoreCall = (data: Hex) => Promise<Hex>

/** One call that brings a store nearer to some collateral. */
export type CollateralUpload = {
  /** The item, for people. */
  readonly label: string
  /** Calldata for the store. */
  readonly data: Hex
  /** Gas beyond what the size of the call suggests. */
  readonly extraGas: bigint
}

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
  callStore: StoreCall,
  collateral: Collateral,
): Promise<CollateralUpload[]> {
  const items = collateralItems(collateral)
  const uploads: CollateralUpload[] = []
  const upload = (label: string, data: Hex, extraGas = 0n) => {
    uploads.push({ label, data, extraGas })
  }

  const [, rootNotAfter, rootCrlThisUpdate] = await read(callStore, 'rootState', [])
  if (rootNotAfter === 0) {
    upload('root certificate', call('uploadRootCertificate', [toHex(items.rootCertificate)]))
  }
  const rootCrl = parseCrl(items.rootCrl, 'The root revocation list')
  if (rootCrlThisUpdate < rootCrl.thisUpdateUnixSeconds) {
    upload('root revocation list', call('uploadRootCrl', [toHex(items.rootCrl)]))
  }

  const authority = parseCertificate(items.pckCa, 'The PCK CA certificate')
  const name = toHex(keccak_256(authority.subject))
  const [, caNotBefore, crlThisUpdate] = await read(callStore, 'authorityState', [name])
  const isNewAuthority = caNotBefore < authority.notBeforeUnixSeconds
  if (isNewAuthority) upload('PCK CA certificate', call('uploadPckCa', [toHex(items.pckCa)]))
  const pckCrl = parseCrl(items.pckCrl, 'The PCK revocation list')
  if (isNewAuthority || crlThisUpdate < pckCrl.thisUpdateUnixSeconds) {
    // A list that changed is written anew, 20 bytes an entry.
    const extraGas = 6_000n * BigInt(pckCrl.revokedSerials.size)
    upload('PCK revocation list', call('uploadPckCrl', [toHex(items.pckCrl)]), extraGas)
  }
  return [...uploads, ...(await missingDocuments(callStore, items))]
}

async function missingDocuments(
  callStore: StoreCall,
  items: CollateralItems,
): Promise<CollateralUpload[]> {
  const tcbInfo = parseTcbInfo(decoder.decode(items.tcbInfo.text))
  const qeIdentity = parseQeIdentity(decoder.decode(items.qeIdentity.text))
  const documents = [
    {
      label: 'TCB info',
      functionName: 'uploadTcbInfo',
      signing: items.tcbSigning,
      document: items.tcbInfo,
      isNeeded: isNewer(tcbInfo, await read(callStore, 'tcbInfoState', [toHex(tcbInfo.fmspc)])),
    },
    {
      label: 'QE identity',
      functionName: 'uploadQeIdentity',
      signing: items.qeSigning,
      document: items.qeIdentity,
      isNeeded: isNewer(qeIdentity, await read(callStore, 'qeIdentityState', [])),
    },
  ] as const

  const uploads: CollateralUpload[] = []
  const signers = new Set<string>()
  for (const { label, functionName, signing, document, isNeeded } of documents) {
    if (!isNeeded) continue
    const serial = serialNumber(signing)
    const [, notAfter] = await read(callStore, 'tcbSigningState', [serial])
    if (notAfter === 0 && !signers.has(toHex(signing))) {
      signers.add(toHex(signing))
      const data = call('uploadTcbSigning', [toHex(signing)])
      uploads.push({ label: 'TCB signing certificate', data, extraGas: 0n })
    }
    const data = call(functionName, [serial, toHex(document.text), toHex(document.signature)])
    uploads.push({ label, data, extraGas: 0n })
  }
  return uploads
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

type ViewName = ContractFunctionName<typeof collateralStoreAbi, 'view'>

async function read<const name extends ViewName>(
  callStore: StoreCall,
  functionName: name,
  args: readonly unknown[],
): Promise<ContractFunctionReturnType<typeof collateralStoreAbi, 'view', name>> {
  const data = await callStore(call(functionName, args))
  const wanted: string = functionName
  return decodeFunctionResult({
    abi: looseAbi,
    functionName: wanted,
    data,
  }) as ContractFunctionReturnType<typeof collateralStoreAbi, 'view', name>
}

/** Without the literal types: the names and arguments here are pairs that they cannot follow. */
const looseAbi: Abi = collateralStoreAbi

function call(functionName: string, args: readonly unknown[]): Hex {
  return encodeFunctionData({ abi: looseAbi, functionName, args })
}
