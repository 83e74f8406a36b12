import { type Address, type Hex, toHex } from 'viem'
import { mnemonicToAccount } from 'viem/accounts'

/** The mnemonic that every development node funds. Published, worthless, for local chains only. */
const developmentMnemonic = 'test test test test test test test test test test test junk'

export type LocalAccount = { readonly address: Address; readonly privateKey: Hex }

function localAccount(addressIndex: number): LocalAccount {
  const account = mnemonicToAccount(developmentMnemonic, { addressIndex })
  const secret = account.getHdKey().privateKey
  if (secret === null) throw new TypeError('The development mnemonic gave no private key.')
  return { address: account.address, privateKey: toHex(secret) }
}

/** Who is who in the local world. */
export const accounts = {
  /** Deploys, governs, insures, offers work: everybody who is not paid by a report. */
  founder: localAccount(0),
  /** Pays the relayer's gas on every chain. */
  relayer: localAccount(1),
  plantOwner: localAccount(2),
  plantOperator: localAccount(3),
  carrier: localAccount(4),
} as const
