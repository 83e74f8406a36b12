import { describe, expect, it } from 'vitest'
import { createNodeSignatures } from '#schemas/adapters/nodeSignatures.ts'
import { concatBytes } from '#schemas/bytes.ts'
import { decodePack, packMark } from '#schemas/pack/decodePack.ts'
import { encodePack } from '#schemas/pack/encodePack.ts'
import { noPrevious } from '#schemas/pack/packProfile.ts'
import { splitPackSequence } from '#schemas/pack/packSequence.ts'
import { createDeviceSigner, portableSignatures } from '#schemas/pack/portableSignatures.ts'
import { verifyPack } from '#schemas/pack/verifyPack.ts'
import { trustTiers } from '#schemas/trustTier.ts'

const stream = `0x${'5a'.repeat(32)}` as const

describe.each(['ES256', 'Ed25519', 'ES256K'] as const)('a pack signed with %s', (algorithm) => {
  const signer = createDeviceSigner(algorithm, new Uint8Array(32).fill(7))
  const pack = encodePack({
    claims: {
      stream,
      sequence: 1n,
      previous: noPrevious,
      bootCount: 3n,
      firmware: `0x${'0f'.repeat(32)}`,
    },
    kid: signer.key.id,
    algorithm,
    records: [
      { name: 'cold:temp', unit: 'Cel', timeMs: 1_700_000_000_000, valueMicro: 4_200_000 },
      { name: 'cold:door', unit: '/', timeMs: 1_700_000_000_500, valueMicro: 1_000_000 },
      { name: 'cold:temp', unit: 'Cel', timeMs: 1_700_000_060_000, valueMicro: null },
    ],
    sign: signer.sign,
  })

  it.each([
    ['portable', portableSignatures],
    ['Node', createNodeSignatures()],
  ])('decodes to what was sent and verifies by the %s adapter', (_, verifier) => {
    const decoded = verifyPack(decodePack(pack.bytes), { key: signer.key, stream, verifier })
    expect(decoded.packHash).toBe(pack.packHash)
    expect(packMark(decoded)).toEqual({
      device: signer.key.id,
      sequence: 1n,
      previous: noPrevious,
      hash: pack.packHash,
      bootCount: 3n,
      firstTimeMs: 1_700_000_000_000,
      lastTimeMs: 1_700_000_060_000,
    })
    expect(decoded.readings(trustTiers.hardware)).toEqual([
      expect.objectContaining({ series: 'cold:temp', unit: 'Cel', valueMicro: 4_200_000 }),
      expect.objectContaining({ series: 'cold:door', unit: '/', timeMs: 1_700_000_000_500 }),
      expect.objectContaining({ series: 'cold:temp', valueMicro: null, tier: 1 }),
    ])
  })

  it('is found in a sequence of packs', () => {
    expect(splitPackSequence(concatBytes(pack.bytes, pack.bytes))).toEqual([pack.bytes, pack.bytes])
  })
})
