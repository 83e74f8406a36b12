import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, get } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { developmentCompose } from '#localnet/agent/developmentCompose.ts'
import { startGuestAgent } from '#localnet/agent/server.ts'
import type { GuestAgent } from '#localnet/agent/server.ts'
import { createNegativePlatform } from '#localnet/tdx/negatives.ts'
import { createPlatform } from '#localnet/tdx/platform.ts'

const now = Date.UTC(2026, 8, 1, 12) / 1000
const platform = createPlatform({ now })
const folder = mkdtempSync(join(tmpdir(), 'agent-'))

afterAll(() => {
  rmSync(folder, { recursive: true })
})

describe('localnet/agent/server', () => {
  let agent: GuestAgent
  beforeAll(async () => {
    agent = await startGuestAgent({
      platform,
      composeFile: developmentCompose,
      clock: () => now,
      failingMethods: ['Attest'],
    })
  })
  afterAll(() => agent.close())

  async function post(path: string, body: unknown) {
    const response = await fetch(`${agent.endpoint}${path}`, {
      method: 'POST',
      body: typeof body === 'string' ? body : JSON.stringify(body),
    })
    const answer = (await response.json()) as Record<string, unknown>
    return { status: response.status, ...answer } as Record<string, unknown>
  }

  it.each([
    ['/GetQuote', { report_data: '00'.repeat(65) }, 'Report data is too long'],
    ['/GetQuote', { report_data: '0xab' }, 'report_data must be bare hex of whole bytes'],
    ['/GetQuote', { report_data: 'abc' }, 'report_data must be bare hex of whole bytes'],
    ['/GetQuote', { report_data: 1 }, 'report_data must be a string'],
    ['/GetKey', { algorithm: 'rsa' }, 'Unsupported algorithm'],
    ['/Sign', { algorithm: 'p256', data: '' }, 'Unsupported algorithm'],
    [
      '/Sign',
      { algorithm: 'secp256k1_prehashed', data: 'ab' },
      'Pre-hashed signing requires a 32-byte digest, but received 1 bytes',
    ],
    ['/Verify', { algorithm: 'ed25519', signature: 'ab' }, 'signature must be 64 bytes'],
    [
      '/Verify',
      { algorithm: 'ed25519', signature: '00'.repeat(64), public_key: 'ff' },
      'invalid public key or signature',
    ],
    ['/GetTlsKey', { alt_names: 'x' }, 'alt_names must be an array of strings'],
    ['/GetTlsKey', { alt_names: ['no space'] }, '"no space" is not a DNS name'],
    ['/GetTlsKey', { usage_ra_tls: 'yes' }, 'usage_ra_tls must be a boolean'],
    ['/GetTlsKey', { not_after: -1 }, 'not_after must be a non-negative integer'],
    ['/GetTlsKey', { not_before: now, not_after: now }, 'not_after must be later than not_before'],
    [
      '/GetTlsKey',
      { not_after: 300_000_000_000 },
      'not_after must not be later than the year 9999',
    ],
    ['/EmitEvent', { event: '' }, 'event must have a name'],
    ['/Attest', {}, 'Failed to get quote: the quoting enclave is not available'],
    ['/GetQuote', '{', 'Failed to parse the request body as JSON'],
    ['/GetQuote', '[]', 'The request body must be a JSON object'],
    [
      '/prpc/Tappd.TdxQuote',
      { hash_algorithm: 'sha512' },
      'Only hash_algorithm raw is served here',
    ],
    ['/GetQuote', `{"x":"${'a'.repeat(1 << 20)}"}`, 'Request body is too large'],
  ])('POST %s with %o is answered 400 and the reason', async (path, body, error) => {
    expect(await post(path, body)).toEqual({ status: 400, error })
  })

  it('an unknown method is answered 404 and an error', async () => {
    expect(await post('/GpuInfo', {})).toEqual({ status: 404, error: 'Service not found: GpuInfo' })
    expect(await post('/constructor', {})).toMatchObject({ status: 404 })
  })

  it('absent and null fields have the default of their type', async () => {
    const empty = await post('/GetKey', {})
    expect(empty).toEqual(await post('/GetKey', { path: null, purpose: '', algorithm: 'k256' }))
    expect(empty).toEqual(await post('/GetKey', ''))
  })

  it('GET with query parameters answers what POST answers', async () => {
    const get = async (path: string) =>
      (await (await fetch(`${agent.endpoint}${path}`)).json()) as Record<string, unknown>
    const { status: _, ...posted } = await post('/GetKey', { path: 'a', purpose: 'b' })
    expect(await get('/GetKey?path=a&purpose=b&json')).toEqual(posted)
    const tls = await get('/GetTlsKey?subject=a&alt_names=a&alt_names=b&usage_ra_tls=true')
    expect(tls['certificate_chain']).toHaveLength(3)
    expect(await get('/GetTlsKey?usage_ra_tls=maybe')).toEqual({
      error: 'usage_ra_tls must be a boolean',
    })
  })

  it('other verbs and protobuf bodies are refused with a reason', async () => {
    const put = await fetch(`${agent.endpoint}/Info`, { method: 'PUT' })
    expect({ status: put.status, body: await put.json() }).toEqual({
      status: 400,
      body: { error: 'Use POST with a JSON body, or GET' },
    })
    const protobuf = await fetch(`${agent.endpoint}/Info`, {
      method: 'POST',
      headers: { 'content-type': 'application/octet-stream' },
      body: 'x',
    })
    expect(await protobuf.json()).toEqual({
      error: 'Protobuf bodies are not served here; send JSON',
    })
  })

  it('a name that merely resolves to this machine is not answered', async () => {
    const { port, hostname } = new URL(agent.endpoint)
    const answered = (host: string) =>
      new Promise<string>((resolve, reject) => {
        get({ port, hostname, path: '/Version', headers: { host } }, (response) => {
          let body = ''
          response.on('data', (chunk: Buffer) => {
            body += chunk.toString()
          })
          response.on('end', () => {
            resolve(body)
          })
        }).on('error', reject)
      })
    expect(await answered('attacker.example:80')).toBe(
      '{"error":"attacker.example is not a name of this machine"}',
    )
    expect(await answered(`localhost:${port}`)).toContain('0.5.11')
  })

  it('answers are pure ASCII, whatever the compose file holds', async () => {
    const exotic = await startGuestAgent({ platform, composeFile: '{"name":"日本 ü 🌡"}' })
    const text = await (await fetch(`${exotic.endpoint}/Info`)).text()
    // eslint-disable-next-line no-control-regex -- the whole ASCII range is what is asserted
    expect(text).toMatch(/^[\u0000-\u007f]*$/)
    expect((JSON.parse(text) as { app_name: string }).app_name).toBe('日本 ü 🌡')
    await exotic.close()
  })

  it('outsiders see TCB info only of applications that publish it', async () => {
    const closed = await startGuestAgent({ platform, composeFile: '{"name":"x"}' })
    const info = async (url: string) =>
      (await (await fetch(`${url}/prpc/Worker.Info`)).json()) as Record<string, string>
    expect(await info(closed.endpoint)).toMatchObject({ tcb_info: '', vm_config: '' })
    expect((await info(agent.endpoint))['tcb_info']).toContain('rtmr3')
    await closed.close()
  })

  it("the app key's attestation carries its public key as report data", async () => {
    const answer = await post('/prpc/Worker.GetAttestationForAppKey', { algorithm: 'secp256k1' })
    const reportData = Buffer.from(String(answer['report_data']), 'hex').toString('latin1')
    const signed = await post('/Sign', { algorithm: 'secp256k1', data: '' })
    const encoded = Buffer.from(String(signed['public_key']), 'hex').toString('base64url')
    expect(reportData).toBe(`dip1::secp256k1c-pk:${encoded}`)
  })

  it('digests of RTMR3 are stripped as since 0.5.6, or kept on request', async () => {
    const logOf = async (url: string) => {
      const answer = (await (await fetch(`${url}/GetQuote`)).json()) as { event_log: string }
      return JSON.parse(answer.event_log) as {
        imr: number
        digest: string
        event_payload: string
      }[]
    }
    const stripped = await logOf(agent.endpoint)
    expect(stripped.every(({ imr, digest }) => (imr === 3) === (digest === ''))).toBe(true)
    const keeping = await startGuestAgent({
      platform,
      composeFile: developmentCompose,
      stripsDigests: false,
    })
    expect((await logOf(keeping.endpoint)).every(({ digest }) => digest.length === 96)).toBe(true)
    await keeping.close()
  })

  it('a stale socket file is replaced, a live one is refused and left alone', async () => {
    const socketPath = join(folder, 'live.sock')
    const first = await startGuestAgent({ platform, composeFile: '{}', socketPath })
    await expect(startGuestAgent({ platform, composeFile: '{}', socketPath })).rejects.toThrow(
      `Another process serves ${socketPath}.`,
    )
    await first.close()
    const stalePath = join(folder, 'stale.sock')
    // A process that is killed leaves its socket behind.
    const dying = `require('net').createServer().listen(process.argv[1], () => process.kill(process.pid, 'SIGKILL'))`
    spawnSync(process.execPath, ['-e', dying, stalePath])
    expect(existsSync(stalePath)).toBe(true)
    const second = await startGuestAgent({ platform, composeFile: '{}', socketPath: stalePath })
    expect(second.endpoint).toBe(stalePath)
    await second.close()
    expect(existsSync(stalePath)).toBe(false)
  })

  it('a file that is no socket is left alone', async () => {
    const socketPath = join(folder, 'letter.txt')
    writeFileSync(socketPath, 'dear reader')
    await expect(startGuestAgent({ platform, composeFile: '{}', socketPath })).rejects.toThrow(
      'letter.txt is a file of another kind.',
    )
    expect(readFileSync(socketPath, 'utf8')).toBe('dear reader')
  })

  it('a failed start leaves nothing listening', async () => {
    const taken = createServer()
    await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve))
    const address = taken.address()
    const port = typeof address === 'object' && address !== null ? address.port : 0
    const socketPath = join(folder, 'never.sock')
    await expect(
      startGuestAgent({ platform, composeFile: '{}', socketPath, port }),
    ).rejects.toThrow('EADDRINUSE')
    expect(existsSync(socketPath)).toBe(false)
    await new Promise((resolve) => taken.close(resolve))
  })

  it('what does not fit together is refused before anything listens', async () => {
    await expect(startGuestAgent({ composeFile: '{}' })).rejects.toThrow(
      'Mode minted needs a platform.',
    )
    await expect(startGuestAgent({ composeFile: '{}', mode: 'fixture' })).rejects.toThrow(
      'Mode fixture needs a fixture.',
    )
    await expect(startGuestAgent({ platform, composeFile: 'services: {}' })).rejects
      .toThrowErrorMatchingInlineSnapshot(`
      [AgentConfigurationError: The compose file is not a JSON object.
      Field: composeFile
      Remedy: Pass the content of app-compose.json, not of docker-compose.yaml.]
    `)
    await expect(
      startGuestAgent({ platform, composeFile: '{}', failingMethods: ['GetQuotes'] }),
    ).rejects.toThrow('There is no method /GetQuotes that could fail.')
  })

  it('a lie about time stays a lie while the agent runs', async () => {
    let clock = now
    const liar = await startGuestAgent({
      platform: (instant) => createNegativePlatform('tcbInfoNotYetValid', { now: instant }),
      composeFile: developmentCompose,
      clock: () => clock,
    })
    const issued = async () => {
      const path = '/tdx/certification/v4/tcb?fmspc=4C4F43414C00'
      const answer = (await (await fetch(`${liar.endpoint}${path}`)).json()) as {
        tcbInfo: { issueDate: string }
      }
      return Date.parse(answer.tcbInfo.issueDate) / 1000
    }
    expect(await issued()).toBe(now + 1)
    clock += 1_000
    expect(await issued()).toBe(clock + 1)
    await liar.close()
  })

  it('platform and agent start on less than a second of processor time', async () => {
    // Processor time: what the clock says depends on who else is running.
    const before = process.cpuUsage()
    const fresh = await startGuestAgent({
      platform: createPlatform({ now, seed: 'fresh' }),
      composeFile: developmentCompose,
    })
    const { user, system } = process.cpuUsage(before)
    expect((user + system) / 1000).toBeLessThan(1_000)
    await fresh.close()
  })
})
