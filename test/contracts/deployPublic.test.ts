import { readFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { privateKeyToAccount } from 'viem/accounts'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { intelRootFingerprint } from '#contracts/deploy/attestation.ts'
import {
  deployPublic,
  inspectPublic,
  publicAddresses,
  verifyPublic,
} from '#contracts/deploy/deployPublic.ts'
import { type PublicPlan, readPublicPlan } from '#contracts/deploy/publicPlan.ts'
import { openChain } from '#contracts/deploy/sender.ts'
import { root } from '#tools/paths.ts'
import { type Anvil, anvilKey, startAnvil } from './anvil.ts'
import { startEvm } from './dcap/evm.ts'

const account = (digit: string): `0x${string}` => `0x${digit.repeat(40)}`
const planText = JSON.stringify({
  version: 1,
  admin: account('a'),
  guardian: account('b'),
  curator: account('c'),
  underwriter: account('d'),
  registrar: account('e'),
  images: [`0x${'17'.repeat(32)}`],
})
const plan = readPublicPlan(planText)
const deployer = privateKeyToAccount(anvilKey).address

/** Every file that a module can reach by imports. */
function reachable(entry: string, seen = new Set<string>()): Set<string> {
  if (seen.has(entry)) return seen
  seen.add(entry)
  const aliases = (
    JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
      imports: Record<string, string>
    }
  ).imports
  const text = readFileSync(join(root, entry), 'utf8')
  for (const [, specifier = ''] of text.matchAll(/from '([#.][^']+)'/g)) {
    const alias = Object.entries(aliases).find(([name]) => specifier.startsWith(name.slice(0, -1)))
    const target =
      alias === undefined
        ? relative(root, resolve(root, dirname(entry), specifier))
        : join(alias[1].slice(0, -1), specifier.slice(alias[0].length - 1))
    reachable(target, seen)
  }
  return seen
}

describe('a deployment on a public chain', () => {
  let anvil: Anvil

  beforeAll(async () => {
    anvil = await startAnvil(8_453, Date.UTC(2026, 8, 1) / 1000)
  })
  afterAll(() => anvil.stop())

  const place = () => ({ rpcUrl: anvil.rpcUrl, chainId: anvil.chainId })

  it('tries everything and changes nothing before it is told to', async () => {
    const client = await openChain(place())
    const before = await client.getBlockNumber({ cacheTime: 0 })
    const { missing, repairs, hasPrecompile } = await inspectPublic(client, deployer, plan)
    expect(missing.map(({ label }) => label)).toEqual([
      'authority',
      'collateralStore',
      'dcapQuoteVerifier',
      'enclaveRegistry',
      'proofRegistry',
      'quorumRegistry',
      'performanceEscrow',
      'carbonCredit',
    ])
    expect(missing.every(({ gas }) => gas > 500_000n && gas < 16_777_216n)).toBe(true)
    expect(repairs.length).toBeGreaterThan(15)
    expect(hasPrecompile).toBe(true)
    expect(await client.getBlockNumber({ cacheTime: 0 })).toBe(before)
  })

  it('pins Intel’s root, hands the authority over and reads all of it back', async () => {
    const { addresses, findings } = await deployPublic({ ...place(), key: anvilKey, plan })
    expect(addresses).toEqual(publicAddresses(deployer, plan))
    expect(findings.filter(({ isRight }) => !isRight)).toEqual([])
    expect(findings.find(({ what }) => what === 'collateralStore.rootFingerprint')?.actual).toBe(
      intelRootFingerprint,
    )
    expect(findings.at(-1)).toMatchObject({ what: 'the deployer holds no role', isRight: true })
  })

  it('changes nothing when it runs again', async () => {
    const client = await openChain(place())
    const before = await client.getBlockNumber({ cacheTime: 0 })
    await deployPublic({ ...place(), key: anvilKey, plan })
    expect(await client.getBlockNumber({ cacheTime: 0 })).toBe(before)
  })

  it('finds out when somebody else holds a role that the plan gives away', async () => {
    const client = await openChain(place())
    const other: PublicPlan = { ...plan, guardian: account('f') }
    const wrong = (await verifyPublic(client, deployer, other)).filter(({ isRight }) => !isRight)
    expect(wrong.map(({ what }) => what)).toEqual([`guardian is ${account('f')}`])
    await expect(deployPublic({ ...place(), key: anvilKey, plan: other })).rejects.toThrow(
      'The authority is handed over, and not as the plan says.',
    )
  })

  it('has a policy and cover where the plan has them', async () => {
    const rich = readPublicPlan(
      JSON.stringify({
        ...(JSON.parse(planText) as object),
        name: 'strict',
        imageDelaySeconds: 604_800,
        appraisal: {
          evaluationNumberFloor: 20,
          qeEvaluationNumberFloor: 20,
          maximumCollateralAgeSeconds: 0,
          acceptedTcbStatuses: 1,
          requiresAllowedPlatform: true,
          requiresImage: true,
          allowedTdAttributes: '0x0000000000000000',
        },
        cover: { asset: account('1'), noticeSeconds: 604_800 },
      }),
    )
    const { addresses, findings } = await deployPublic({ ...place(), key: anvilKey, plan: rich })
    expect(Object.keys(addresses)).toContain('appraisalPolicy')
    expect(Object.keys(addresses)).toContain('parametricCover')
    expect(findings.every(({ isRight }) => isRight)).toBe(true)
  })

  it('takes a chain without the precompile, and says so', async () => {
    const evm = await startEvm('prague')
    try {
      const client = await openChain({ rpcUrl: evm.url, chainId: 31_337 })
      expect((await inspectPublic(client, deployer, plan)).hasPrecompile).toBe(false)
    } finally {
      await evm.stop()
    }
  })

  it.each([
    ['the deployer as admin', { admin: deployer }, 'The deployer must hold no role in the end.'],
    ['one account that adds and takes away', { curator: account('b') }, 'must not be the same'],
  ])('refuses %s', async (_, change, message) => {
    const client = await openChain(place())
    await expect(inspectPublic(client, deployer, { ...plan, ...change })).rejects.toThrow(message)
  })

  it.each([
    ['a root of one’s own', { rootCertificate: '0x00' }, 'Unrecognized key'],
    ['no delay for what is added', { additionDelaySeconds: 0 }, 'additionDelaySeconds'],
    ['the zero address', { guardian: account('0') }, 'guardian'],
    ['an image that is none', { images: ['0x12'] }, 'images.0'],
  ])('cannot be given %s', (_, change, message) => {
    const text = JSON.stringify({ ...(JSON.parse(planText) as object), ...change })
    expect(() => readPublicPlan(text)).toThrow(message)
  })

  it('reaches nothing that believes a local platform', () => {
    const files = [...reachable('contracts/deploy/deployPublic.ts')]
    expect(files).toContain('contracts/artifacts/CollateralStore.ts')
    expect(files.filter((file) => /localnet|TestToken/i.test(file))).toEqual([])
  })
})
