import type { Hex } from '#schemas/bytes.ts'

/**
 * What the platforms for development are known by. Constants, since this room must not import the
 * laptop's platform; a test holds them against it (`test/localnet/developmentMarks.test.ts`).
 */

/** Stands in subject and issuer of every certificate that a local platform mints. */
export const localRootMark = 'Plumbline local platform (not Intel)'

/** MRTD of the pretended image of local platforms. */
export const localMrTd: Hex =
  '0xb05a499c3be247e5f86e65a4ec73b707c0e723e6e7b530725bb09c70d69c8765a9decda0df1a0853b1af4a2eb10da6eb'

/** Roots of key management services whose secrets are public, compressed secp256k1. */
export const developmentKmsRoots: readonly Hex[] = [
  // `plumbline agent` with its public development seed
  '0x026e3b47881825f15a2145fd1c48c6b2d72248ea7966db7dd206d9b6f95b64c6aa',
  // dstack's simulator: Dstack-TEE/dstack, `sdk/simulator/appkeys.json`
  '0x0321529e458424ab1f710a3a57ec4dad2fb195ddca572f7469242ba6c7563085b6',
]

/** Ids (SubjectPublicKeyInfo, bare hex) of key providers whose secrets are public. */
export const developmentKeyProviderIds: readonly string[] = [
  // `plumbline agent` with its public development seed
  '3059301306072a8648ce3d020106082a8648ce3d03010703420004874cab68d2bf8e8187085e31dcb945bfa6f8f2df9416cd8461aba36efbceb315b633394d3ea08c4cd4bd81ea629751ad7af2a5859ec892edb7badbc39eb0cc07',
]
