import { sha256 } from '@noble/hashes/sha2'
import { toHex, type Hex } from '#schemas/bytes.ts'

/**
 * Identity of an application: SHA-256 of app-compose.json, byte for byte as it was deployed.
 *
 * Never parse and write the file again first: the SDK's `getComposeHash` sorts keys and so arrives at
 * another hash than the guest measured.
 */
export function composeHash(appCompose: Uint8Array): Hex {
  return toHex(sha256(appCompose))
}

/** App id of a deployment without KMS: the first 20 bytes of its compose hash. */
export function appIdOfComposeHash(hash: Hex): Hex {
  return hash.slice(0, 42) as Hex
}
