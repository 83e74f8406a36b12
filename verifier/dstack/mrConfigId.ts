import { sha256 } from '@noble/hashes/sha2'
import { keccak_256 } from '@noble/hashes/sha3'
import { concatBytes, fromHex, toHex, utf8, type Hex } from '#schemas/bytes.ts'

/**
 * MRCONFIGID as dstack's VMM sets it: a version byte, 32 bytes, 15 zero bytes.
 *
 * @see Dstack-TEE/dstack, `dstack-types/src/mr_config.rs`
 */
export type MrConfigVersion = 1 | 2 | 3

export type KeyProviderKind = 'none' | 'local' | 'kms' | 'tpm'

const kindByte: Record<KeyProviderKind, number> = { none: 0, local: 1, kms: 2, tpm: 3 }

/** Version 1: the compose hash itself. It says nothing of the key provider. */
export function mrConfigIdV1(composeHash: Hex): Hex {
  return mrConfigId(1, fromHex(composeHash, 'composeHash', 32))
}

/** Version 2: Keccak-256 of compose hash ‖ app id ‖ kind of key provider ‖ its id. */
export function mrConfigIdV2(
  composeHash: Hex,
  appId: Hex,
  keyProvider: KeyProviderKind,
  keyProviderId: Hex,
): Hex {
  const digest = keccak_256(
    concatBytes(
      fromHex(composeHash, 'composeHash', 32),
      fromHex(appId, 'appId', 20),
      Uint8Array.of(kindByte[keyProvider]),
      fromHex(keyProviderId, 'keyProviderId'),
    ),
  )
  return mrConfigId(2, digest)
}

/** Version 3: SHA-256 of a tag, a zero byte and the bytes of the configuration document. */
export function mrConfigIdV3(document: string): Hex {
  return mrConfigId(
    3,
    sha256(concatBytes(utf8('dstack-mr-config-v3:'), Uint8Array.of(0), utf8(document))),
  )
}

function mrConfigId(version: MrConfigVersion, digest: Uint8Array): Hex {
  return toHex(concatBytes(Uint8Array.of(version), digest, new Uint8Array(15)))
}
