import type { Address, PublicClient } from 'viem'
import type { Collateral } from '#verifier/collateral/collateral.ts'
import { missingUploads as missingFrom } from '../attestation/dcap/missingUploads.ts'
import { UnsuitableChainError } from './errors.ts'
import { type Call, type SenderOptions, createSender } from './sender.ts'

/** Where collateral goes. */
export type StorePlace = { readonly client: PublicClient; readonly store: Address }

/**
 * The calls that bring a store up to this collateral, in the order in which it takes them.
 *
 * @throws {@link CollateralRefusedError} when the outer form is not that of collateral.
 * @throws {@link UnsuitableChainError} when no store stands there.
 */
export async function missingUploads(
  { client, store }: StorePlace,
  collateral: Collateral,
): Promise<Call[]> {
  const uploads = await missingFrom(async (data) => {
    const { data: answer } = await client.call({ to: store, data })
    if (answer !== undefined) return answer
    throw new UnsuitableChainError('No collateral store answers at this address.', {
      field: 'store',
      metaMessages: [`Address: ${store}`],
      remedy: 'Check the address against the deployment.',
    })
  }, collateral)
  return uploads.map((upload) => ({ ...upload, to: store }))
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
