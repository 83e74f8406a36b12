import { describe, expect, it } from 'vitest'
import { templates } from '#schemas/policy/policy.ts'
import { zeroHash } from '#schemas/report.ts'
import { readConfig } from '#worker/config.ts'
import { createMaker } from './maker.ts'
import { anchorChainId, createTestDevice, testConfig, testPolicy, testStream } from './rig.ts'

const device = createTestDevice('meter', testStream)
const nowhere = { rpcUrl: 'http://127.0.0.1:1', guestAgent: '/var/run/dstack.sock' } as never
const config = (overrides: Record<string, unknown> = {}): Record<string, unknown> =>
  testConfig(nowhere, '/data', [device], overrides)

const period = { startMs: 1_700_000_000_000, endMs: 1_700_000_060_000 }
const later = { startMs: 1_700_000_060_000, endMs: 1_700_000_120_000 }
const place = (chainId: number): Record<string, unknown> => ({
  chainId,
  contract: `0x${'cc'.repeat(20)}`,
  right: 'carbon',
})
const onPlant = (changes: Record<string, unknown>): Record<string, unknown> => ({
  subject: 'plant',
  policy: testPolicy.name,
  periods: [period],
  ...changes,
})

describe('a configuration', () => {
  it('is read with what it leaves out filled in', () => {
    expect(readConfig(config())).toMatchObject({
      quietMs: 0,
      sealing: 'kms',
      anchorChainId: BigInt(anchorChainId),
      makers: [],
      limits: { verifyThreads: 1, maxBodyBytes: 8_388_608 },
    })
  })

  it('assigns rights to their places and facts to none', () => {
    const { assignments } = readConfig(
      config({
        assignments: [
          onPlant({}),
          onPlant({ exclusiveTo: place(1) }),
          onPlant({ exclusiveTo: place(2), periods: [later] }),
        ],
      }),
    )
    expect(assignments[0]?.exclusiveTo).toBe(zeroHash)
    expect(new Set(assignments.map(({ exclusiveTo }) => exclusiveTo)).size).toBe(3)
    expect(assignments[0]?.impactClass).toBeUndefined()
    expect(assignments[1]?.impactClass).toBe(assignments[2]?.impactClass)
  })

  it.each([
    ['an unknown key', { extra: 1 }, 'config'],
    ['a port that is none', { listen: { host: '127.0.0.1', port: 70_000 } }, 'config.listen.port'],
    ['no registry', { registries: [] }, 'config.registries'],
    ['an anchor chain without registry', { anchorChainId: 7 }, 'config.anchorChainId'],
    [
      'a node that is no URL',
      {
        registries: [
          { chainId: anchorChainId, registry: `0x${'ab'.repeat(20)}`, rpcUrl: 'ftp://x' },
        ],
      },
      'config.registries.0.rpcUrl',
    ],
    [
      'a chain that is there twice',
      {
        registries: [1, 2].map(() => ({
          chainId: anchorChainId,
          registry: `0x${'ab'.repeat(20)}`,
          rpcUrl: 'http://127.0.0.1:1',
        })),
      },
      'config.registries',
    ],
    [
      'a lateness beyond a month',
      { allowedLatenessMs: 32 * 86_400_000 },
      'config.allowedLatenessMs',
    ],
    [
      'a policy that is not there',
      { assignments: [onPlant({ policy: 'none' })] },
      'config.assignments.0.policy',
    ],
    [
      'a subject that nothing observes',
      { assignments: [onPlant({ subject: 'moon' })] },
      'config.assignments.0.subject',
    ],
    [
      'an assignment that is there twice',
      { assignments: [onPlant({}), onPlant({})] },
      'config.assignments.1',
    ],
    [
      'a period that ends before it begins',
      { assignments: [onPlant({ periods: [{ startMs: 2, endMs: 1 }] })] },
      'config.assignments.0.periods[0].endMs',
    ],
    [
      'periods that nobody wrote',
      { assignments: [{ subject: 'plant', policy: testPolicy.name }] },
      'config.assignments.0.periods',
    ],
    [
      'a maker whose root is no certificate',
      {
        makers: [
          {
            name: 'acme',
            root: `0x${'00'.repeat(64)}`,
            models: [{ hwType: '1.2.3', name: 'm', quantity: 1, intervalMs: 1 }],
          },
        ],
      },
      'config.makers.0.root',
    ],
    [
      'makers without an operator',
      { makers: [createMaker('acme', 1_700_000_000).statement()] },
      'config.operator',
    ],
  ] as const)('with %s is refused by the name of the field', (_, overrides, field) => {
    expect(() => readConfig(config(overrides))).toThrowError(expect.objectContaining({ field }))
  })

  it('with a policy that is none is refused as the policy language refuses it', () => {
    expect(() => readConfig(config({ policies: [{ version: 1 }] }))).toThrowError(
      expect.objectContaining({ name: 'InvalidPolicyError' }),
    )
  })

  it('with a private key for a device is refused without repeating it', () => {
    const secret = 'c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2U'
    const jwk = { kty: 'EC', crv: 'P-256', x: secret, y: secret, d: secret }
    const devices = [
      { publicKey: jwk, algorithm: 'ES256', subject: 'plant', tier: 'hardware', intervalMs: 1 },
    ]
    let message = ''
    try {
      readConfig(config({ devices }))
    } catch (error) {
      message = String(error)
    }
    expect(message).toMatch(/^InvalidConfigError/)
    expect(message).not.toContain(secret)
  })

  it('with one key for two devices is refused', () => {
    const base = config() as { devices: unknown[] }
    expect(() => readConfig({ ...base, devices: [...base.devices, ...base.devices] })).toThrowError(
      expect.objectContaining({ field: 'config.devices.1.publicKey' }),
    )
  })

  describe('that grants one impact twice is refused', () => {
    it.each([
      ['in one period', [onPlant({ exclusiveTo: place(1) }), onPlant({ exclusiveTo: place(2) })]],
      [
        'in overlapping periods',
        [
          onPlant({ exclusiveTo: place(1) }),
          onPlant({
            exclusiveTo: place(2),
            periods: [{ startMs: period.endMs - 1, endMs: later.endMs }],
          }),
        ],
      ],
      [
        'within one assignment',
        [
          onPlant({
            exclusiveTo: place(1),
            periods: [period, { startMs: period.startMs + 1, endMs: later.endMs }],
          }),
        ],
      ],
    ])('%s', (_, assignments) => {
      expect(() => readConfig(config({ assignments }))).toThrowError(
        expect.objectContaining({ name: 'OverlappingRightsError', field: 'assignments' }),
      )
    })

    it('by windows that follow each other for ever', () => {
      const tumbling = { ...testPolicy, window: { kind: 'tumbling', length: '1h', anchorMs: 0 } }
      const assignments = [1, 2].map((chainId) => ({
        subject: 'plant',
        policy: tumbling.name,
        exclusiveTo: place(chainId),
      }))
      expect(() => readConfig(config({ policies: [tumbling], assignments })))
        .toThrowErrorMatchingInlineSnapshot(`
        [OverlappingRightsError: Two rights would be granted for one impact at one time.
        Field: assignments
        Subject: plant
        Policies: At least 1 Wh, At least 1 Wh
        Remedy: Leave one right for each subject, impact class and period.]
      `)
    })

    it('by a window that slides over the same impact', () => {
      const sliding = {
        ...testPolicy,
        window: { kind: 'sliding', length: '1h', step: '1m', anchorMs: 0 },
      }
      const assignments = [{ subject: 'plant', policy: sliding.name, exclusiveTo: place(1) }]
      expect(() => readConfig(config({ policies: [sliding], assignments }))).toThrowError(
        expect.objectContaining({ name: 'OverlappingRightsError' }),
      )
    })
  })

  it('takes every published template as a policy', () => {
    const policies = Object.values(templates)
    expect(readConfig(config({ policies })).policies).toHaveLength(policies.length)
  })
})
