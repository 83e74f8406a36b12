import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Hex, toHex } from '#schemas/bytes.ts'
import {
  decodeMessage,
  encodeMessage,
  endorsementDigest,
  orderEndorsements,
} from '#schemas/crosschain.ts'
import { addressOf, signDigest } from '#schemas/signatures.ts'
import { secp256k1 } from '@noble/curves/secp256k1'

const bytes = (length: number) =>
  fc.uint8Array({ minLength: length, maxLength: length }).map((value) => toHex(value))
const uint64 = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n })
const registration = fc.record({
  signer: bytes(20),
  stream: bytes(32),
  imageId: bytes(32),
  ppid: bytes(16),
  attestedAt: uint64,
  expiresAt: uint64,
})
const messages = fc.oneof(
  fc.record({
    kind: fc.constant('batch' as const),
    batch: fc.record({
      stream: bytes(32),
      sequence: uint64,
      previous: bytes(32),
      reportRoot: bytes(32),
      reportCount: fc.nat(2 ** 31 - 1),
      rosterRoot: bytes(32),
      rosterCount: fc.nat(2 ** 31 - 1),
      closedAtMs: uint64,
      anchorNumber: uint64,
      anchorHash: bytes(32),
    }),
    signature: bytes(65),
  }),
  fc.record({
    kind: fc.constant('registration' as const),
    registration,
    endorsements: fc.array(bytes(65), { minLength: 1, maxLength: 16 }),
  }),
  fc.record({
    kind: fc.constant('revocation' as const),
    signers: fc.array(bytes(20), { minLength: 1, maxLength: 64 }),
  }),
)

describe('attestation-schemas/crosschain', () => {
  it('a message comes back as it went out', () => {
    fc.assert(
      fc.property(messages, (message) => {
        expect(decodeMessage(encodeMessage(message))).toEqual(message)
      }),
    )
  })

  it('a message that is cut off, or has a byte too many, is refused', () => {
    fc.assert(
      fc.property(messages, fc.nat(2_000), (message, at) => {
        const whole = encodeMessage(message)
        const length = 1 + (at % (whole.length / 2 - 2))
        const part = whole.slice(0, 2 + length * 2) as Hex
        if (message.kind !== 'batch') {
          // A whole number of its parts is a shorter message of the same kind.
          const start = message.kind === 'registration' ? 194 : 2
          const partLength = message.kind === 'registration' ? 65 : 20
          if (length > start && (length - start) % partLength === 0) return
        }
        expect(() => decodeMessage(part)).toThrow('wrong length')
        expect(() => decodeMessage(`${whole}00`)).toThrow('wrong length')
      }),
    )
  })

  it('another version and an unknown kind are refused by name', () => {
    expect(() => decodeMessage('0x0201')).toThrow('another version')
    expect(() => decodeMessage('0x0104')).toThrow('unknown kind')
  })

  it('endorsements stand in the order of their signers, each once', () => {
    const keys = [1, 2, 3].map((byte) => new Uint8Array(32).fill(byte))
    const hub = { chainId: 1n, registry: `0x${'11'.repeat(20)}` } as const
    const value = {
      signer: `0x${'22'.repeat(20)}`,
      stream: `0x${'33'.repeat(32)}`,
      imageId: `0x${'44'.repeat(32)}`,
      ppid: `0x${'55'.repeat(16)}`,
      attestedAt: 1n,
      expiresAt: 2n,
    } as const
    const digest = endorsementDigest(hub, value)
    const signatures = keys.map((key) => signDigest(digest, key))
    const ordered = orderEndorsements(hub, value, [...signatures, ...signatures])
    expect(ordered.map(({ endorser }) => endorser)).toEqual(
      keys.map((key) => addressOf(secp256k1.getPublicKey(key))).toSorted(),
    )
    expect(endorsementDigest({ ...hub, chainId: 2n }, value)).not.toBe(digest)
  })
})
