import { Options, addressToBytes32 } from '@layerzerolabs/lz-v2-utilities'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  encodeLzReceiveOptions,
  lzReceiveGas,
  readLzReceiveOptions,
} from '#relayer/transports/layerzero/options.ts'
import {
  addressWord,
  createPacket,
  decodePacket,
  encodePacket,
  packetHeader,
} from '#relayer/transports/layerzero/packet.ts'
import { type Hex, toHex } from '#schemas/bytes.ts'

const address = fc.uint8Array({ minLength: 20, maxLength: 20 }).map((bytes) => toHex(bytes))
const message = fc.uint8Array({ minLength: 0, maxLength: 400 }).map((bytes) => toHex(bytes))
const eid = fc.integer({ min: 1, max: 0xffff_ffff })
const nonce = fc.bigInt({ min: 1n, max: 2n ** 64n - 1n })
const packets = fc
  .record({ srcEid: eid, sender: address, dstEid: eid, receiver: address, nonce, message })
  .map(({ nonce: number, message: body, ...path }) => createPacket(path, number, body))

describe('relayer/transports/layerzero/options', () => {
  it('options come back as they went in, and are what the library writes', () => {
    fc.assert(
      fc.property(
        fc.bigInt({ min: 1n, max: 100_000_000n }),
        fc.bigInt({ min: 0n, max: 10n ** 24n }),
        (gas, valueWei) => {
          const options = encodeLzReceiveOptions({ gas, valueWei })
          expect(lzReceiveGas(options)).toEqual({ gas, valueWei })
          expect(options).toBe(
            Options.newOptions().addExecutorLzReceiveOption(gas, valueWei).toHex(),
          )
        },
      ),
    )
  })

  it('negative gas, which the library writes as 2^128 − 1, is refused', () => {
    expect(Options.newOptions().addExecutorLzReceiveOption(-1n).toHex()).toContain('f'.repeat(32))
    expect(() => encodeLzReceiveOptions({ gas: -1n })).toThrow(
      'Gas for lzReceive is out of range.\n',
    )
    expect(() => encodeLzReceiveOptions({ gas: 1n, valueWei: -1n })).toThrow('value')
  })

  it('no gas at all, which an executor refuses, and more than any chain has, are refused', () => {
    expect(() => encodeLzReceiveOptions({ gas: 0n })).toThrow('out of range')
    expect(() => encodeLzReceiveOptions({ gas: 2n ** 64n })).toThrow('out of range')
    expect(() => lzReceiveGas('0x0003')).toThrow('out of range')
    expect(() =>
      lzReceiveGas(Options.newOptions().addExecutorLzReceiveOption(-1n).toHex() as Hex),
    ).toThrow('out of range')
  })

  it('options that stand twice are seen as two, and as the sum that an executor gives', () => {
    const twice = `${encodeLzReceiveOptions({ gas: 60_000n })}${encodeLzReceiveOptions({
      gas: 30_000n,
    }).slice(6)}` as Hex
    expect(readLzReceiveOptions(twice).map(({ gas }) => gas)).toEqual([60_000n, 30_000n])
    expect(lzReceiveGas(twice).gas).toBe(90_000n)
  })

  it('options that are cut off anywhere are refused, and so is a byte too many', () => {
    const whole = encodeLzReceiveOptions({ gas: 60_000n, valueWei: 5n })
    for (let length = 2; length < whole.length; length += 2) {
      // Type alone is a list of no options, which gives no gas.
      expect(() => lzReceiveGas(whole.slice(0, length) as Hex)).toThrow(
        /out of range|is cut off|not of type 3/,
      )
    }
    expect(() => readLzReceiveOptions(`${whole}00`)).toThrow('An option is cut off.')
  })

  it('a length that claims more than there is, is refused', () => {
    expect(() => readLzReceiveOptions('0x00030100ff0100000000')).toThrow('An option is cut off.')
    expect(() => readLzReceiveOptions('0x000301000201ff')).toThrow('wrong length')
  })

  it('options of another type or for another worker are refused', () => {
    expect(() => readLzReceiveOptions('0x0001')).toThrow('Options are not of type 3.')
    const compose = Options.newOptions().addExecutorComposeOption(0, 1n).toHex() as Hex
    expect(() => readLzReceiveOptions(compose)).toThrow('not one for lzReceive')
    expect(() => readLzReceiveOptions('0x000302000101')).toThrow('not one for lzReceive')
  })
})

describe('relayer/transports/layerzero/packet', () => {
  it('a packet comes back as it went out', () => {
    fc.assert(
      fc.property(packets, (packet) => {
        const encoded = encodePacket(packet)
        expect(decodePacket(encoded)).toEqual(packet)
        expect(packetHeader(encoded)).toHaveLength(2 + 81 * 2)
      }),
    )
  })

  it('a packet in which any byte before its message differs is another packet or none', () => {
    fc.assert(
      fc.property(packets, fc.nat(112), fc.integer({ min: 1, max: 255 }), (packet, at, by) => {
        const bytes = Buffer.from(encodePacket(packet).slice(2), 'hex')
        bytes[at] = (bytes[at] ?? 0) ^ by
        // Path and number make the guid: one of them alone cannot be changed.
        expect(() => decodePacket(toHex(bytes))).toThrow(
          /guid is not the one|no packet of version 1|no address of an EVM chain|out of range|starts at 1/,
        )
      }),
    )
  })

  it('bytes that are no whole packet are refused', () => {
    expect(() => decodePacket('0x')).toThrow('These bytes are no packet of version 1.')
    fc.assert(
      fc.property(packets, fc.integer({ min: 1, max: 112 }), (packet, length) => {
        const cut = encodePacket(packet).slice(0, 2 + length * 2) as Hex
        expect(() => decodePacket(cut)).toThrow('These bytes are no packet of version 1.')
      }),
    )
  })

  it('an address without 0x, which the library takes for base58, is refused', () => {
    const bare = 'a'.repeat(40)
    expect(addressToBytes32(bare).length).not.toBe(20)
    expect(() => addressWord(bare as Hex)).toThrow(
      'An address of a path has 20 bytes of hex behind 0x.',
    )
    expect(addressWord(`0x${'A1'.repeat(20)}`)).toBe(`0x${'0'.repeat(24)}${'a1'.repeat(20)}`)
  })

  it('numbers start at one, and ids fit four bytes', () => {
    const path = {
      srcEid: 1,
      sender: `0x${'01'.repeat(20)}`,
      dstEid: 2,
      receiver: `0x${'02'.repeat(20)}`,
    } as const
    expect(() => createPacket(path, 0n, '0x')).toThrow('starts at 1')
    expect(() => createPacket({ ...path, dstEid: 0 }, 1n, '0x')).toThrow('out of range')
    expect(() => createPacket({ ...path, srcEid: 2 ** 32 }, 1n, '0x')).toThrow('out of range')
  })
})
