import { BaseError } from '#schemas/errors.ts'

/** Raised when an app-compose.json would not survive being written again by the platform. */
export class ComposeNotPortableError extends BaseError {
  override readonly name = 'ComposeNotPortableError'
}

export type AppComposeOptions = {
  /** 5 to 63 letters, digits and hyphens, a letter first. */
  readonly name: string
  /** docker-compose.yaml, as it is. */
  readonly dockerCompose: string
}

/**
 * The app-compose.json of a worker: keys from the KMS, nothing let in from the host, no public logs,
 * measurements public so that anybody can ask for the compose file that was measured.
 *
 * It is written the way `@phala/cloud` writes it (keys in order, four spaces, no space behind the
 * colon), so that a platform that parses and writes it again arrives at the same bytes.
 *
 * @throws {@link ComposeNotPortableError} when the compose file holds `": `, which that form eats.
 */
export function writeAppCompose({ name, dockerCompose }: AppComposeOptions): string {
  if (!/^[A-Za-z][A-Za-z0-9-]{4,62}$/.test(name)) {
    throw new ComposeNotPortableError(`${name} is no name for a CVM.`, {
      field: '--name',
      remedy: 'Take 5 to 63 letters, digits and hyphens, a letter first.',
    })
  }
  const line = dockerCompose.split('\n').findIndex((text) => text.includes('": '))
  if (line !== -1) {
    throw new ComposeNotPortableError(
      'The compose file holds a quotation mark, a colon and a space in a row.',
      {
        field: '--docker-compose',
        metaMessages: [`Line: ${line + 1}`],
        remedy: 'Write JSON without spaces behind colons; Phala Cloud’s SDK removes them unasked.',
      },
    )
  }
  return dumpAppCompose({
    allowed_envs: [],
    docker_compose_file: dockerCompose,
    gateway_enabled: true,
    kms_enabled: true,
    local_key_provider_enabled: false,
    manifest_version: 2,
    name,
    no_instance_id: false,
    public_logs: false,
    public_sysinfo: false,
    public_tcbinfo: true,
    runner: 'docker-compose',
    secure_time: true,
  })
}

function dumpAppCompose(fields: Readonly<Record<string, unknown>>): string {
  const ordered = Object.fromEntries(
    Object.entries(fields).toSorted(([a], [b]) => (a < b ? -1 : 1)),
  )
  return JSON.stringify(ordered, undefined, 4).replaceAll(/^( {4}"[^"]+"): /gm, '$1:')
}
