import { createHash, createPrivateKey, sign as signWithNode } from 'node:crypto'
import { type Server, createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { secp256k1 } from '@noble/curves/secp256k1'
import fc from 'fast-check'
import { keccak256, parseTransaction, recoverTransactionAddress } from 'viem'
import { privateKeyToAccount } from 'viem/accounts'
import { afterEach, describe, expect, it } from 'vitest'
import type { UnsignedTransaction } from '#relayer/ports.ts'
import { createAwsKmsSigner } from '#relayer/signers/awsKmsSigner.ts'
import { signatureOfDer } from '#relayer/signers/derSignature.ts'
import { createRemoteSigner } from '#relayer/signers/remoteSigner.ts'
import { signedHeaders } from '#relayer/signers/sigV4.ts'
import { isSignerSetting, signerOfSettings } from '#relayer/signers/signerOfSettings.ts'
import { type Hex, fromHex, toHex } from '#schemas/bytes.ts'
import { addressOf } from '#schemas/signatures.ts'
import { developmentKeys } from '../support/anvil.ts'

const [key] = developmentKeys
const account = privateKeyToAccount(key)
const address = account.address.toLowerCase() as Hex
const order = secp256k1.CURVE.n

const transaction: UnsignedTransaction = {
  chainId: 31_337,
  nonce: 0,
  to: `0x${'cc'.repeat(20)}`,
  data: '0xdeadbeef',
  gasLimit: 60_000n,
  maxFeePerGasWei: 2_000_000_000n,
  maxPriorityFeePerGasWei: 1_000_000n,
}

let server: Server | undefined

type Seen = { readonly headers: Readonly<Record<string, unknown>>; readonly body: string }

/** A real HTTP server that answers as told and keeps what it was asked. */
async function serve(
  answer: (body: Readonly<Record<string, unknown>>) => unknown,
  status = 200,
): Promise<{ readonly url: string; readonly seen: Seen[] }> {
  const seen: Seen[] = []
  server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const body = Buffer.concat(chunks).toString()
      seen.push({ headers: request.headers, body })
      const parsed = JSON.parse(body) as Readonly<Record<string, unknown>>
      void Promise.resolve(answer(parsed)).then((value) => {
        response.writeHead(status, { 'content-type': 'application/json' })
        response.end(JSON.stringify(value))
      })
    })
  })
  await new Promise<void>((resolve) => {
    server?.listen(0, '127.0.0.1', resolve)
  })
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`, seen }
}

afterEach(async () => {
  await new Promise<void>((resolve) => {
    if (server === undefined) resolve()
    else {
      server.close(() => {
        resolve()
      })
    }
  })
  server = undefined
})

function nodeKey(secret: Hex) {
  const point = secp256k1.getPublicKey(secret.slice(2), false)
  const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64url')
  return createPrivateKey({
    key: {
      kty: 'EC',
      crv: 'secp256k1',
      d: text(fromHex(secret, 'secret')),
      x: text(point.subarray(1, 33)),
      y: text(point.subarray(33)),
    },
    format: 'jwk',
  })
}

describe('relayer/signers', () => {
  it('a published signature in DER becomes r, s and the parity of its signer', () => {
    // Deterministic ECDSA over secp256k1 with key 1 and the text "Satoshi Nakamoto": the vector that
    // Bitcoin implementations share (Trezor, bitcoinjs).
    const digest = createHash('sha256').update('Satoshi Nakamoto').digest()
    const r = '934b1ea10a4b3c1757e2b0c017d0b6143ce3c9a7e6a4a49860d7a6ab210ee3d8'
    const s = '2442ce9d2b916064108014783e923ec36b49743e2ffa1c4496f01a512aafd9e5'
    const signer = addressOf(secp256k1.getPublicKey(1n))
    const low = fromHex(`0x3045022100${r}0220${s}`, 'der')
    expect(signatureOfDer(low, digest, signer)).toEqual({
      r: `0x${r}`,
      s: `0x${s}`,
      yParity: expect.toBeOneOf([0, 1]),
    })
    // The same signature as a service may give it: s in the upper half, which chains refuse.
    const upper = (order - BigInt(`0x${s}`)).toString(16)
    const high = fromHex(`0x3046022100${r}022100${upper}`, 'der')
    expect(signatureOfDer(high, digest, signer)).toEqual(signatureOfDer(low, digest, signer))
  })

  it('whatever OpenSSL signs comes back as a signature of the same key, s in the lower half', () => {
    const privateKey = nodeKey(key)
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 64 }), (message) => {
        const digest = createHash('sha256').update(message).digest()
        const der = signWithNode('sha256', message, privateKey)
        const { r, s, yParity } = signatureOfDer(der, digest, address)
        expect(BigInt(s)).toBeLessThanOrEqual(order / 2n)
        const point = new secp256k1.Signature(BigInt(r), BigInt(s))
          .addRecoveryBit(yParity)
          .recoverPublicKey(digest)
        expect(addressOf(point.toRawBytes(false))).toBe(address)
      }),
      { numRuns: 40 },
    )
  })

  it('a signature of another key, trailing bytes and an r beyond the curve are refused', () => {
    const message = new Uint8Array([1, 2, 3])
    const digest = createHash('sha256').update(message).digest()
    const der = signWithNode('sha256', message, nodeKey(developmentKeys[1]))
    expect(() => signatureOfDer(der, digest, address)).toThrow(
      'The signer signed with another key than the lane’s sender.',
    )
    const beyond = `0x3026022100${'ff'.repeat(32)}020101` as const
    for (const bad of [
      Buffer.concat([der, Buffer.from([0])]),
      Buffer.alloc(0),
      fromHex(beyond, 'der'),
    ]) {
      expect(() => signatureOfDer(bad, digest, address)).toThrow(
        'The signer’s answer is not an ECDSA signature in DER.',
      )
    }
  })

  it('requests to AWS are signed as its published test suite wants it', () => {
    // aws-sig-v4-test-suite: get-vanilla and post-vanilla.
    const credentials = {
      accessKeyId: 'AKIDEXAMPLE',
      secretAccessKey: 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY',
    }
    const scope = { region: 'us-east-1', service: 'service' }
    const at = Date.UTC(2015, 7, 30, 12, 36, 0)
    const request = { host: 'example.amazonaws.com', path: '/', headers: {}, body: '' }
    const authorization = (method: 'GET' | 'POST') =>
      signedHeaders({ ...request, method }, scope, credentials, at)['authorization']
    const prefix =
      'AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders=host;x-amz-date, Signature='
    expect(authorization('GET')).toBe(
      `${prefix}5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31`,
    )
    expect(authorization('POST')).toBe(
      `${prefix}5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b`,
    )
  })

  it('a key in AWS KMS signs a transaction that recovers to its address', async () => {
    const { url, seen } = await serve(({ Message }) => {
      // As KMS does with MessageType DIGEST: the message is signed as it is, no hash before it.
      const digest = Buffer.from(String(Message), 'base64')
      const compact = secp256k1.sign(digest, key.slice(2)).toDERRawBytes()
      return { KeyId: 'arn', Signature: Buffer.from(compact).toString('base64') }
    })
    const signer = createAwsKmsSigner({
      region: 'eu-central-1',
      keyId: 'alias/plumbline',
      address,
      credentials: { accessKeyId: 'AKID', secretAccessKey: 'secret of aws', sessionToken: 'st' },
      fetch: (target, init) => fetch(target, init),
      now: () => Date.UTC(2026, 0, 2, 3, 4, 5),
      endpoint: url,
    })
    const { raw, hash } = await signer.sign(transaction)
    expect(hash).toBe(keccak256(raw))
    const sender = await recoverTransactionAddress({
      serializedTransaction: raw as `0x02${string}`,
    })
    expect(sender.toLowerCase()).toBe(address)
    expect(raw).toBe(
      await account.signTransaction({
        type: 'eip1559',
        chainId: transaction.chainId,
        nonce: 0,
        to: transaction.to,
        data: transaction.data,
        gas: transaction.gasLimit,
        maxFeePerGas: transaction.maxFeePerGasWei,
        maxPriorityFeePerGas: transaction.maxPriorityFeePerGasWei,
      }),
    )
    expect(seen[0]?.headers).toMatchObject({
      'x-amz-target': 'TrentService.Sign',
      'content-type': 'application/x-amz-json-1.1',
      'x-amz-date': '20260102T030405Z',
      'x-amz-security-token': 'st',
      authorization: expect.stringContaining(
        'Credential=AKID/20260102/eu-central-1/kms/aws4_request, SignedHeaders=content-type;host;x-amz-date;x-amz-security-token;x-amz-target, ',
      ),
    })
    expect(JSON.parse(seen[0]?.body ?? '')).toMatchObject({
      KeyId: 'alias/plumbline',
      MessageType: 'DIGEST',
      SigningAlgorithm: 'ECDSA_SHA_256',
    })
  })

  it('what KMS refuses is named by its kind, without the words that may hold account numbers', async () => {
    const { url } = await serve(
      () => ({ __type: 'com.amazonaws.kms#DisabledException', message: 'arn:aws:kms:1234' }),
      400,
    )
    const signer = createAwsKmsSigner({
      region: 'eu-central-1',
      keyId: 'k',
      address,
      credentials: { accessKeyId: 'AKID', secretAccessKey: 'secret of aws' },
      fetch: (target, init) => fetch(target, init),
      now: () => 0,
      endpoint: url,
    })
    const failure = signer.sign(transaction)
    await expect(failure).rejects.toMatchObject({
      shortMessage: 'AWS KMS did not sign: HTTP 400, DisabledException.',
      retryable: true,
    })
    await expect(failure).rejects.not.toThrow('1234')
  })

  /** What Web3signer does, as far as a lane can see it. */
  async function signed(change: Record<string, unknown> = {}, by = account): Promise<Hex> {
    return by.signTransaction({
      type: 'eip1559',
      chainId: transaction.chainId,
      nonce: 0,
      to: transaction.to,
      data: transaction.data,
      gas: transaction.gasLimit,
      maxFeePerGas: transaction.maxFeePerGasWei,
      maxPriorityFeePerGas: transaction.maxPriorityFeePerGasWei,
      ...change,
    })
  }

  const remote = (url: string) =>
    createRemoteSigner({
      url,
      address: account.address,
      token: 'of the signer',
      fetch: (target, init) => fetch(target, init),
    })

  it('a remote signer is asked in JSON-RPC and its bytes are taken as they are', async () => {
    const raw = await signed()
    const { url, seen } = await serve(() => ({ jsonrpc: '2.0', id: 1, result: raw }))
    expect(await remote(url).sign(transaction)).toEqual({ raw, hash: keccak256(raw) })
    expect(seen[0]?.headers['authorization']).toBe('Bearer of the signer')
    expect(JSON.parse(seen[0]?.body ?? '')).toMatchInlineSnapshot(`
      {
        "id": 1,
        "jsonrpc": "2.0",
        "method": "eth_signTransaction",
        "params": [
          {
            "chainId": "0x7a69",
            "data": "0xdeadbeef",
            "from": "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266",
            "gas": "0xea60",
            "maxFeePerGas": "0x77359400",
            "maxPriorityFeePerGas": "0xf4240",
            "nonce": "0x0",
            "to": "0xcccccccccccccccccccccccccccccccccccccccc",
            "value": "0x0",
          },
        ],
      }
    `)
  })

  it('an object around the bytes, as geth and clef give it, is understood too', async () => {
    const raw = await signed()
    const { url } = await serve(() => ({ jsonrpc: '2.0', id: 1, result: { raw, tx: {} } }))
    expect(await remote(url).sign(transaction)).toMatchObject({ raw })
    expect(parseTransaction(raw as `0x02${string}`).gas).toBe(transaction.gasLimit)
  })

  it.each([
    ['sender', () => signed({}, privateKeyToAccount(developmentKeys[1]))],
    ['chainId', () => signed({ chainId: 1 })],
    ['nonce', () => signed({ nonce: 1 })],
    ['to', () => signed({ to: `0x${'dd'.repeat(20)}` })],
    ['data', () => signed({ data: '0xdeadbeee' })],
    ['value', () => signed({ value: 1n })],
    ['gas', () => signed({ gas: 60_001n })],
    ['maxFeePerGas', () => signed({ maxFeePerGas: 2_000_000_001n })],
    ['maxPriorityFeePerGas', () => signed({ maxPriorityFeePerGas: 1n })],
    ['accessList', () => signed({ accessList: [{ address: transaction.to, storageKeys: [] }] })],
  ] as const)('a remote signer that signs another %s is not believed', async (field, make) => {
    const raw = await make()
    const { url } = await serve(() => ({ result: raw }))
    await expect(remote(url).sign(transaction)).rejects.toMatchObject({
      name: 'WrongSignatureError',
      field,
    })
  })

  it('a remote signer that refuses, fails or talks nonsense is named, and may be asked again', async () => {
    const refusing = await serve(() => ({ error: { code: -32_000, message: 'key 0xsecret' } }))
    await expect(remote(refusing.url).sign(transaction)).rejects.toMatchObject({
      shortMessage: 'The remote signer refused with code -32000.',
      retryable: true,
    })
    await expect(remote('http://127.0.0.1:9').sign(transaction)).rejects.toMatchObject({
      shortMessage: 'The remote signer could not be reached.',
    })
    server?.close()
    const nonsense = await serve(() => ({ result: '0x02' }))
    await expect(remote(nonsense.url).sign(transaction)).rejects.toMatchObject({
      name: 'WrongSignatureError',
    })
  })

  describe('settings', () => {
    const world = {
      fetch: (target: string, init: RequestInit) => fetch(target, init),
      now: () => 0,
    }
    const of = (settings: Record<string, string>) =>
      signerOfSettings(7, (name) => settings[name], world)

    it('what is set for a chain goes before what is set for all', () => {
      const [first, second] = developmentKeys
      expect(of({ SENDER_KEY: second, SENDER_KEY_7: first }).address).toBe(address)
      expect(of({ SENDER_KEY: first, SENDER_KEY_8: second }).address).toBe(address)
      const remoteOnly = `0x${'ab'.repeat(20)}`
      const settings = {
        SENDER_KEY: first,
        SIGNER_URL_7: 'http://signer',
        SIGNER_ADDRESS: remoteOnly,
      }
      expect(of(settings).address).toBe(remoteOnly)
    })

    it('none, two at once, half of one and a malformed address are refused by name', () => {
      const [first] = developmentKeys
      const message = (settings: Record<string, string>): string => {
        try {
          of(settings)
          return 'accepted'
        } catch (error) {
          return error instanceof Error ? error.message : 'no error'
        }
      }
      expect(message({ SENDER_KEY: ' ' })).toMatchInlineSnapshot(`
        "There is no sender key for chain 7.
        Field: SENDER_KEY_7
        Remedy: Set SENDER_KEY, SIGNER_URL or AWS_KMS_KEY_ID, for every chain or with _7."
      `)
      const two = message({ SENDER_KEY: first, SIGNER_URL: 'http://signer' })
      expect(two).not.toContain(first.slice(2))
      expect(two).toMatchInlineSnapshot(`
        "Chain 7 has more than one signer.
        Field: SENDER_KEY, SIGNER_URL
        Remedy: Keep one of them; a lane has one sender."
      `)
      expect(message({ AWS_KMS_KEY_ID: 'k', SIGNER_ADDRESS: address })).toMatchInlineSnapshot(`
        "The signer of chain 7 lacks a setting.
        Field: AWS_REGION
        Remedy: Set AWS_REGION, or AWS_REGION_7 for this chain alone."
      `)
      expect(message({ SIGNER_URL: 'http://signer', SIGNER_ADDRESS: '0x1' })).toContain(
        'The signer’s address is not an address.',
      )
      expect(message({ SENDER_KEY: toHex(new Uint8Array(32)) })).toContain('outside the range')
    })

    it('only names of settings are taken from an environment', () => {
      const names = [
        'SENDER_KEY',
        'SIGNER_URL_31337',
        'AWS_REGION',
        'PATH',
        'SENDER_KEY_x',
        'AWS_PROFILE',
      ]
      expect(names.filter(isSignerSetting)).toEqual([
        'SENDER_KEY',
        'SIGNER_URL_31337',
        'AWS_REGION',
      ])
    })
  })
})
