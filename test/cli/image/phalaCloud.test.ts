import { createServer, type IncomingMessage, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { dumpAppCompose } from '@phala/cloud'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { writeAppCompose } from '#cli/image/appCompose.ts'
import {
  ComposeHashDiffersError,
  createPhalaCloud,
  DevelopmentOsImageError,
  PhalaCloudError,
} from '#cli/image/phalaCloud.ts'
import { utf8 } from '#schemas/bytes.ts'
import { NotForProductionError } from '#verifier/appraisal/notForProductionError.ts'
import { composeHash } from '#verifier/dstack/composeHash.ts'

/**
 * A stand-in for Phala Cloud's API on this machine. It proves paths, headers and bodies of our
 * requests as `@phala/cloud` forms them, and what we do with answers of the documented shape; it
 * proves nothing about the real service.
 */
type Seen = { method: string; url: string; apiKey: string | undefined; body: unknown }
const seen: Seen[] = []
let answer: (request: Seen) => { status: number; body: unknown }
let server: Server
let baseUrl: string

async function bodyOf(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  const text = Buffer.concat(chunks).toString('utf8')
  return text === '' ? undefined : JSON.parse(text)
}

beforeAll(async () => {
  server = createServer((request, response) => {
    void bodyOf(request).then((body) => {
      const { method = '', url = '' } = request
      const apiKey = request.headers['x-api-key']
      const entry = { method, url, apiKey: apiKey === undefined ? apiKey : String(apiKey), body }
      seen.push(entry)
      const { status, body: content } = answer(entry)
      response.writeHead(status, { 'content-type': 'application/json' })
      response.end(JSON.stringify(content))
    })
  })
  const listening = Promise.withResolvers<void>()
  server.listen(0, '127.0.0.1', listening.resolve)
  await listening.promise
  baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}/api/v1`
})
afterAll(() => {
  server.close()
  server.closeAllConnections()
})
beforeEach(() => {
  seen.length = 0
})

const dockerCompose = `services:\n  worker:\n    image: a/b@sha256:${'ab'.repeat(32)}\n`
const appCompose = utf8(writeAppCompose({ name: 'plumbline-worker', dockerCompose }))
const expected = composeHash(appCompose)
const other = '11'.repeat(32)
const deployment = { appCompose, name: 'plumbline-worker', instanceType: 'tdx.medium' }
const cloud = () => createPhalaCloud({ apiKey: 'a-key', baseUrl })
const provisioned = (hash: string) => ({
  app_id: 'ee'.repeat(20),
  app_env_encrypt_pubkey: 'aa'.repeat(32),
  compose_hash: hash,
  os_image_hash: 'bb'.repeat(32),
  fmspc: 'B0C06F000000',
  device_id: 'cc'.repeat(32),
})
const cvm = {
  id: 42,
  name: 'plumbline-worker',
  status: 'creating',
  teepod_id: 3,
  teepod: null,
  user_id: 1,
  app_id: 'ee'.repeat(20),
  vm_uuid: null,
  instance_id: null,
  base_image: null,
  vcpu: 2,
  memory: 4096,
  disk_size: 40,
  docker_compose_file: null,
  created_at: '2026-11-01T00:00:00Z',
}

describe('a new CVM', () => {
  it('is provisioned with what was measured, and started under the hash that was predicted', async () => {
    answer = ({ url }) => ({
      status: 200,
      body: url.endsWith('/provision') ? provisioned(expected.slice(2)) : cvm,
    })
    const phala = cloud()
    const provision = await phala.provision(deployment)
    expect(provision.composeHash).toBe(expected)
    expect(await phala.commit(deployment, provision)).toBe('42')
    expect(seen.map(({ method, url, apiKey }) => [method, url, apiKey])).toEqual([
      ['POST', '/api/v1/cvms/provision', 'a-key'],
      ['POST', '/api/v1/cvms', 'a-key'],
    ])
    expect(seen[0]?.body).toMatchObject({
      name: 'plumbline-worker',
      instance_type: 'tdx.medium',
      kms: 'PHALA',
      listed: false,
      compose_file: {
        docker_compose_file: dockerCompose,
        kms_enabled: true,
        allowed_envs: [],
        public_logs: false,
        gateway_enabled: true,
      },
    })
    expect(seen[1]?.body).toEqual({ app_id: 'ee'.repeat(20), compose_hash: expected.slice(2) })
  })

  it('is not started under another hash, unless that very hash was accepted', async () => {
    answer = ({ url }) => ({
      status: 200,
      body: url.endsWith('/provision') ? provisioned(other) : cvm,
    })
    const phala = cloud()
    const provision = await phala.provision(deployment)
    await expect(phala.commit(deployment, provision)).rejects.toThrow(ComposeHashDiffersError)
    const another = { ...deployment, acceptedHash: `0x${'22'.repeat(32)}` as const }
    await expect(phala.commit(another, provision)).rejects.toThrow(ComposeHashDiffersError)
    expect(seen).toHaveLength(1)
    expect(await phala.commit({ ...deployment, acceptedHash: `0x${other}` }, provision)).toBe('42')
  })

  it('is refused before a request is sent when production refuses it', async () => {
    const phala = cloud()
    const tagged = utf8(
      writeAppCompose({ name: 'plumbline-worker', dockerCompose: 'image: a:1\n' }),
    )
    await expect(phala.provision({ ...deployment, appCompose: tagged })).rejects.toThrow(
      NotForProductionError,
    )
    await expect(phala.provision({ ...deployment, osImage: 'dstack-dev-0.5.11' })).rejects.toThrow(
      DevelopmentOsImageError,
    )
    expect(seen).toEqual([])
  })

  it('fails in plain words when the platform refuses or answers something else', async () => {
    answer = () => ({ status: 403, body: { detail: 'quota exceeded' } })
    const failure = await cloud()
      .provision(deployment)
      .catch((error: unknown) => error)
    expect(failure).toBeInstanceOf(PhalaCloudError)
    expect(String(failure)).not.toContain('a-key')
    answer = () => ({ status: 200, body: { compose_hash: 'none' } })
    await expect(cloud().provision(deployment)).rejects.toThrow(
      'Phala Cloud answered no compose hash.',
    )
    answer = () => ({ status: 200, body: {} })
    await expect(cloud().provision(deployment)).rejects.toThrow(PhalaCloudError)
  })

  it('needs an app id from the platform', async () => {
    answer = () => ({ status: 200, body: { ...provisioned(expected.slice(2)), app_id: null } })
    const phala = cloud()
    const provision = await phala.provision(deployment)
    await expect(phala.commit(deployment, provision)).rejects.toThrow('Phala Cloud gave no app id.')
  })
})

it('an update is provisioned and committed by id', async () => {
  answer = () => ({ status: 200, body: provisioned(expected.slice(2)) })
  const update = { ...deployment, cvmId: 'cvm-7' }
  const phala = cloud()
  expect(await phala.commit(update, await phala.provision(update))).toBe('cvm-7')
  expect(seen.map(({ method, url }) => [method, url])).toEqual([
    ['POST', '/api/v1/cvms/cvm-7/compose_file/provision'],
    ['PATCH', '/api/v1/cvms/cvm-7/compose_file'],
  ])
  expect(seen[0]?.body).toMatchObject({ docker_compose_file: dockerCompose, manifest_version: 2 })
  expect(seen[1]?.body).toEqual({ compose_hash: expected.slice(2) })
})

it('app-compose.json is written as the SDK of Phala Cloud writes it', () => {
  const text = writeAppCompose({ name: 'plumbline-worker', dockerCompose })
  expect(text).toBe(dumpAppCompose(JSON.parse(text) as Record<string, string>))
})
