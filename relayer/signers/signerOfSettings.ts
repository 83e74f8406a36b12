import type { Hex } from '#schemas/bytes.ts'
import { createLocalSigner } from '../chain/localSigner.ts'
import type { Fetch, Now, TransactionSigner } from '../ports.ts'
import type { AwsKmsOptions } from './awsKmsSigner.ts'
import type { RemoteSignerOptions } from './remoteSigner.ts'
import { SignerSettingsError } from './signerErrors.ts'

/** Names of settings that describe signers, each also with `_<chain id>` for one chain. */
export const signerSettingNames = [
  'SENDER_KEY',
  'SIGNER_ADDRESS',
  'SIGNER_URL',
  'SIGNER_TOKEN',
  'AWS_KMS_KEY_ID',
  'AWS_KMS_ENDPOINT',
  'AWS_REGION',
  'AWS_ACCESS_KEY_ID',
  'AWS_SECRET_ACCESS_KEY',
  'AWS_SESSION_TOKEN',
] as const
export type SignerSettingName = (typeof signerSettingNames)[number]

/** Whether a variable belongs to the settings above. */
export function isSignerSetting(name: string): boolean {
  return signerSettingNames.some(
    (known) => name === known || new RegExp(`^${known}_[1-9][0-9]{0,15}$`).test(name),
  )
}

/** A signer whose code is loaded by the first signature: most relayers have a local key. */
function onDemand(address: Hex, load: () => Promise<TransactionSigner>): TransactionSigner {
  let loaded: Promise<TransactionSigner> | undefined
  return {
    address,
    async sign(transaction) {
      loaded ??= load()
      return (await loaded).sign(transaction)
    },
  }
}

/**
 * The signer of one chain, from settings: a local key, a remote signer, or a key in AWS KMS. Exactly
 * one of the three has to be named; what is set for the chain itself goes before what is set for all.
 *
 * @param read - Reads one setting by its full name; an empty text counts as absent.
 * @throws {@link SignerSettingsError} | {@link SenderKeyError}; neither holds any secret
 */
export function signerOfSettings(
  chainId: number,
  read: (name: string) => string | undefined,
  { fetch, now }: { readonly fetch: Fetch; readonly now: Now },
): TransactionSigner {
  const given = (name: string): string | undefined => {
    const value = read(name)?.trim()
    return value === '' ? undefined : value
  }
  const setting = (name: SignerSettingName): string | undefined =>
    given(`${name}_${chainId}`) ?? given(name)
  const required = (name: SignerSettingName): string => {
    const value = setting(name)
    if (value !== undefined) return value
    throw new SignerSettingsError(`The signer of chain ${chainId} lacks a setting.`, {
      field: name,
      remedy: `Set ${name}, or ${name}_${chainId} for this chain alone.`,
    })
  }
  const address = (): Hex => {
    const text = required('SIGNER_ADDRESS').toLowerCase()
    if (/^0x[0-9a-f]{40}$/.test(text)) return text as Hex
    throw new SignerSettingsError('The signer’s address is not an address.', {
      field: 'SIGNER_ADDRESS',
      remedy: 'Set it to 0x and 40 hex digits: the address that belongs to the signer’s key.',
    })
  }
  const kinds = ['SENDER_KEY', 'SIGNER_URL', 'AWS_KMS_KEY_ID'] as const
  // What is set for the chain itself decides alone; only where nothing is, what is set for all.
  const own = kinds.filter((name) => given(`${name}_${chainId}`) !== undefined)
  const named = own.length > 0 ? own : kinds.filter((name) => given(name) !== undefined)
  const [kind, ...others] = named
  if (kind === undefined) {
    throw new SignerSettingsError(`There is no sender key for chain ${chainId}.`, {
      field: `SENDER_KEY_${chainId}`,
      remedy: `Set SENDER_KEY, SIGNER_URL or AWS_KMS_KEY_ID, for every chain or with _${chainId}.`,
    })
  }
  if (others.length > 0) {
    throw new SignerSettingsError(`Chain ${chainId} has more than one signer.`, {
      field: named.join(', '),
      remedy: 'Keep one of them; a lane has one sender.',
    })
  }
  switch (kind) {
    case 'SENDER_KEY':
      return createLocalSigner(required('SENDER_KEY'), `SENDER_KEY_${chainId}`)
    case 'SIGNER_URL': {
      const token = setting('SIGNER_TOKEN')
      const options: RemoteSignerOptions = {
        url: required('SIGNER_URL'),
        address: address(),
        fetch,
        ...(token === undefined ? {} : { token }),
      }
      return onDemand(options.address, async () => {
        const { createRemoteSigner } = await import('./remoteSigner.ts')
        return createRemoteSigner(options)
      })
    }
    case 'AWS_KMS_KEY_ID': {
      const endpoint = setting('AWS_KMS_ENDPOINT')
      const sessionToken = setting('AWS_SESSION_TOKEN')
      if (endpoint !== undefined && !URL.canParse(endpoint)) {
        throw new SignerSettingsError('The address of the key service is not a URL.', {
          field: 'AWS_KMS_ENDPOINT',
          remedy: 'Give it with https://, or leave it out for the region’s own.',
        })
      }
      const options: AwsKmsOptions = {
        region: required('AWS_REGION'),
        keyId: required('AWS_KMS_KEY_ID'),
        address: address(),
        credentials: {
          accessKeyId: required('AWS_ACCESS_KEY_ID'),
          secretAccessKey: required('AWS_SECRET_ACCESS_KEY'),
          ...(sessionToken === undefined ? {} : { sessionToken }),
        },
        fetch,
        now,
        ...(endpoint === undefined ? {} : { endpoint }),
      }
      return onDemand(options.address, async () => {
        const { createAwsKmsSigner } = await import('./awsKmsSigner.ts')
        return createAwsKmsSigner(options)
      })
    }
  }
}
