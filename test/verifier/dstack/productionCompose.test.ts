import { describe, expect, it } from 'vitest'
import { developmentCompose } from '#localnet/agent/developmentCompose.ts'
import { utf8 } from '#schemas/bytes.ts'
import { NotForProductionError } from '#verifier/appraisal/notForProductionError.ts'
import { assertProductionCompose } from '#verifier/dstack/productionCompose.ts'

const digest = `sha256:${'ab'.repeat(32)}`
const service = (line: string) => `services:\n  worker:\n    ${line}\n    restart: always\n`
const compose = {
  manifest_version: 2,
  name: 'plumbline-worker',
  runner: 'docker-compose',
  docker_compose_file: service(`image: ghcr.io/plumbline/worker@${digest}`),
  kms_enabled: true,
  allowed_envs: [] as string[],
}

function settingOf(value: unknown): string {
  try {
    assertProductionCompose(utf8(typeof value === 'string' ? value : JSON.stringify(value)))
    return 'accepted'
  } catch (error) {
    if (!(error instanceof NotForProductionError)) throw error
    return error.setting
  }
}

describe('assertProductionCompose', () => {
  it.each([
    ['digest', {}],
    ['a quoted digest', { docker_compose_file: service(`image: "a/b@${digest}" # 1.0.0`) }],
    ['KMS by the newer name', { kms_enabled: false, key_provider: 'kms' }],
  ])('accepts %s', (_, changes) => {
    expect(settingOf({ ...compose, ...changes })).toBe('accepted')
  })

  it.each([
    ['no KMS', { kms_enabled: false }, 'DevelopmentKeyProvider'],
    ['no word about a KMS', { kms_enabled: undefined }, 'DevelopmentKeyProvider'],
    ['the key provider none', { key_provider: 'none' }, 'DevelopmentKeyProvider'],
    ['the key provider local', { key_provider: 'local' }, 'DevelopmentKeyProvider'],
    ['variables from outside', { allowed_envs: ['RPC_URL'] }, 'HostSuppliesSettings'],
    [
      'an environment file',
      service(`image: a@${digest}\n    env_file: .env`),
      'HostSuppliesSettings',
    ],
    ['a tag', service('image: ghcr.io/plumbline/worker:latest'), 'ImageNotPinned'],
    [
      'a tag beside a pinned image',
      service(`image: a@${digest}\n  b:\n    image: b`),
      'ImageNotPinned',
    ],
    ['a tag in a flow mapping', `services: { a: { image: b } }`, 'ImageNotPinned'],
    ['a tag under a quoted key', service('"image": b:1'), 'ImageNotPinned'],
    ['a digest that is short', service('image: a@sha256:abcd'), 'ImageNotPinned'],
    ['a variable for the image', service('image: ${IMAGE}'), 'ImageNotPinned'],
    ['a build in the guest', service(`image: a@${digest}\n    build: .`), 'ImageNotPinned'],
    ['no image', 'services: {}\n', 'ImageNotPinned'],
    ['no compose file', { docker_compose_file: undefined }, 'ComposeMalformed'],
    ['one that is too long', 'x'.repeat(200 * 1024 + 1), 'ComposeMalformed'],
  ])('refuses %s', (_, changes, setting) => {
    const given = typeof changes === 'string' ? { docker_compose_file: changes } : changes
    expect(settingOf({ ...compose, ...given })).toBe(setting)
  })

  it.each(['', '[]', '{', '{"docker_compose_file":1}'])(
    'refuses %s, which is no app-compose',
    (file) => {
      expect(settingOf(file)).toBe('ComposeMalformed')
    },
  )

  it('refuses the compose file of the local agent', () => {
    expect(settingOf(developmentCompose)).toBe('ImageNotPinned')
  })
})
