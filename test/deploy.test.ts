import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { writeAppCompose } from '#cli/image/appCompose.ts'
import { utf8 } from '#schemas/bytes.ts'
import { root } from '#tools/paths.ts'
import { assertProductionCompose } from '#verifier/dstack/productionCompose.ts'
import { readConfig } from '#worker/config.ts'
import { importClosure } from './support/importClosure.ts'

const read = (file: string): string => readFileSync(join(root, file), 'utf8')
const dockerfile = read('deploy/Dockerfile')
const compose = read('deploy/docker-compose.yaml')
const manifest = JSON.parse(read('package.json')) as { dependencies: Record<string, string> }
const copied = [...dockerfile.matchAll(/^COPY (?!--from)(.+) \S+$/gm)].flatMap(([, sources = '']) =>
  sources.split(' '),
)

/** The template as an operator fills it in. */
const filled = compose
  .replace('REPLACE_REGISTRY', 'ghcr.io/somebody')
  .replace('REPLACE_DIGEST', 'ab'.repeat(32))
  .replace('REPLACE_STREAM', 'plant-7')
  .replace('REPLACE_KMS_ROOT', `0x02${'ab'.repeat(32)}`)
  .replace('REPLACE_RELEASE', `0x${'22'.repeat(32)}`)
  .replace('REPLACE_RPC_URL', 'https://rpc.example')
  .replaceAll(/REPLACE_(ENCLAVE_REGISTRY|PROOF_REGISTRY|OPERATOR)/g, `0x${'cd'.repeat(20)}`)

describe('the image of the worker', () => {
  const { files, packages } = importClosure('enclave-worker/main.ts')

  it('holds every file that the worker runs, and no room that it does not', () => {
    const rooms = new Set(files.map((file) => file.split('/')[0] ?? ''))
    const isRoom = (name: string): boolean => !name.includes('.') && name !== 'LICENSE'
    expect(copied.filter(isRoom).toSorted()).toEqual([...rooms].toSorted())
  })

  it('installs every package that the worker runs: none is for development or optional', () => {
    expect(packages.filter((name) => !Object.hasOwn(manifest.dependencies, name))).toEqual([])
    expect(dockerfile).toContain('npm ci --omit=dev --omit=optional --ignore-scripts')
  })

  it('is built from a base by digest and from the lock file alone', () => {
    expect([...dockerfile.matchAll(/^FROM (\S+)/gm)].map(([, base]) => base)).toEqual([
      '${NODE_IMAGE}',
      '${NODE_IMAGE}',
    ])
    // Without a default: whoever builds says which.
    expect(dockerfile).toMatch(/^ARG NODE_IMAGE$/m)
    expect(dockerfile).not.toMatch(/^\s*(ADD|RUN .*(apt|curl|wget|git|npm install))/m)
  })

  it('is built from nothing that its context leaves out, and the context holds nothing else', () => {
    const [first, ...rest] = read('.dockerignore')
      .split('\n')
      .filter((line) => line !== '' && !line.startsWith('#'))
    expect(first).toBe('*')
    const letIn = rest.filter((line) => line.startsWith('!')).map((line) => line.slice(1))
    expect(letIn.toSorted()).toEqual([...new Set(copied)].toSorted())
  })
})

describe('the compose file of the worker', () => {
  it('is refused as it is in the repository: somebody has to fill it in', () => {
    const text = writeAppCompose({ name: 'plumbline-worker', dockerCompose: compose })
    expect(() => {
      assertProductionCompose(utf8(text))
    }).toThrow('A container image is named by something else than its digest.')
  })

  it('is fit for production once it is filled in, and nothing is left to fill in', () => {
    expect(filled.replaceAll(/^#.*$/gm, '')).not.toContain('REPLACE_')
    const text = writeAppCompose({ name: 'plumbline-worker', dockerCompose: filled })
    expect(() => {
      assertProductionCompose(utf8(text))
    }).not.toThrow()
  })

  it('carries a configuration that a worker of production reads', () => {
    const config = readConfig(JSON.parse(configOf(filled)))
    expect(config).toMatchObject({
      production: true,
      sealing: 'kms',
      guestAgent: '/var/run/dstack.sock',
      listen: { host: '0.0.0.0', port: 8080 },
    })
  })

  it('holds the folder and the socket that the configuration names, and nothing of the host besides', () => {
    const { dataFolder, guestAgent } = readConfig(JSON.parse(configOf(filled)))
    const mounts = [...compose.matchAll(/^ {6}- (\S+:\/\S+)$/gm)].map(([, mount]) => mount)
    expect(mounts).toEqual([`${guestAgent}:${guestAgent}`, `data:${dataFolder}`])
  })
})

/** The block text of `content: |`, as YAML reads it. */
function configOf(yaml: string): string {
  const [, block = ''] = yaml.split('    content: |\n')
  return block.replaceAll(/^ {6}/gm, '')
}
