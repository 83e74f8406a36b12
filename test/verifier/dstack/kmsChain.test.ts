import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { secp256k1 } from '@noble/curves/secp256k1'
import { describe, expect, it } from 'vitest'
import { fromHex, toHex, type Hex } from '#schemas/bytes.ts'
import { describeShared } from '#test/shared.ts'
import { createAppKeys, deriveAppKey, publicKeyOf } from '#localnet/agent/keys.ts'
import { verifyKmsKey, type KmsKeyClaim } from '#verifier/dstack/kmsChain.ts'
import { refusalOf } from '../vectors.ts'

const appId: Hex = `0x${'5b'.repeat(20)}`
const { keys, rootPublicKey } = createAppKeys('kms chain test', fromHex(appId, 'appId'))

function claim(algorithm: 'secp256k1' | 'ed25519'): KmsKeyClaim {
  const { key, signatureChain } = deriveAppKey(keys, { path: 'seal', purpose: 'state', algorithm })
  return {
    publicKey: toHex(publicKeyOf(key, algorithm)),
    purpose: 'state',
    appId,
    signatureChain: signatureChain.map(toHex),
    kmsRoot: toHex(rootPublicKey),
  }
}

const honest = claim('secp256k1')
const [overKey = '0x', overApp = '0x'] = honest.signatureChain

/** The other signature that says the same: s negated, recovery id turned. */
function negated(signature: Hex): Hex {
  const n = secp256k1.CURVE.n
  const s = n - BigInt(`0x${signature.slice(66, 130)}`)
  const recovery = signature.endsWith('00') ? '01' : '00'
  return `0x${signature.slice(2, 66)}${s.toString(16).padStart(64, '0')}${recovery}`
}

describe('a key from the KMS', () => {
  it.each(['secp256k1', 'ed25519'] as const)('of kind %s leads to the pinned root', (kind) => {
    expect(verifyKmsKey(claim(kind)).appPublicKey).toBe(
      toHex(secp256k1.getPublicKey(keys.k256Key, true)),
    )
  })

  it.each<[string, Partial<KmsKeyClaim>, string]>([
    ['another purpose', { purpose: 'other' }, 'KmsRootMismatch'],
    ['another app', { appId: `0x${'5c'.repeat(20)}` }, 'KmsRootMismatch'],
    ['another key', { publicKey: claim('ed25519').publicKey }, 'KmsRootMismatch'],
    ['another root', { kmsRoot: `0x02${'11'.repeat(32)}` }, 'KmsRootMismatch'],
    ['its signatures swapped', { signatureChain: [overApp, overKey] }, 'KmsRootMismatch'],
    ['one signature', { signatureChain: [overKey] }, 'KmsChainMalformed'],
    ['three signatures', { signatureChain: [overKey, overApp, overApp] }, 'KmsChainMalformed'],
    ['a short signature', { signatureChain: ['0x00', overApp] }, 'KmsChainMalformed'],
    [
      'a recovery id of 2',
      { signatureChain: [`${overKey.slice(0, -2)}02` as Hex, overApp] },
      'KmsChainMalformed',
    ],
    ['an uncompressed key', { publicKey: `0x04${'11'.repeat(64)}` }, 'KmsChainMalformed'],
    ['a short app id', { appId: '0x5b' }, 'KmsChainMalformed'],
    ['no hex', { publicKey: '0xzz' }, 'KmsChainMalformed'],
    [
      'a signature of zeros',
      { signatureChain: [`0x${'00'.repeat(65)}`, overApp] },
      'KmsSignatureInvalid',
    ],
    [
      'a signature in high form',
      { signatureChain: [negated(overKey), overApp] },
      'KmsSignatureInvalid',
    ],
  ])('is refused with %s', (_, change, code) => {
    expect(refusalOf(() => verifyKmsKey({ ...honest, ...change }))).toBe(code)
  })
})

describeShared('upstream’s public development keys', 'vectors/tdx', (folder) => {
  it('lead to the constants of upstream’s own test', () => {
    const published = JSON.parse(
      readFileSync(join(folder, 'dstack/simulator_appkeys.json'), 'utf8'),
    ) as { k256_key: string; k256_signature: string }
    const app = {
      k256Key: fromHex(published.k256_key, 'k256_key'),
      k256Signature: fromHex(published.k256_signature, 'k256_signature'),
    }
    const derived = deriveAppKey(app, { path: 'vms', purpose: 'signing', algorithm: 'secp256k1' })
    const { appPublicKey } = verifyKmsKey({
      publicKey: toHex(publicKeyOf(derived.key, 'secp256k1')),
      purpose: 'signing',
      appId: '0x5bb4ff9a3837357f19dc176407a5709c62eb6c56',
      signatureChain: derived.signatureChain.map(toHex),
      kmsRoot: '0x0321529e458424ab1f710a3a57ec4dad2fb195ddca572f7469242ba6c7563085b6',
    })
    expect(appPublicKey).toBe(
      '0x02818494263695e8839122dbd88e281d7380622999df4e60a14befa0f2d096fc7c',
    )
  })
})
