import { utf8 } from '#schemas/bytes.ts'
import { NotForProductionError } from '../appraisal/notForProductionError.ts'
import { InvalidDocumentError, JsonFields } from '../collateral/jsonFields.ts'

/** What Phala Cloud and dstack take at most. */
const maximumComposeBytes = 200 * 1024

/**
 * Refuses an app-compose.json that does not fix what will run, or leaves a part of it to the host:
 * keys from elsewhere than a KMS, container images by tag, settings that arrive outside of what is
 * measured.
 *
 * Of the Docker Compose file only the lines are read that begin with `image:`, `build:` or
 * `env_file:`; it is judged as text, since the guest too hands it on as text.
 *
 * @param appCompose - The file, byte for byte.
 * @throws {@link NotForProductionError} `ComposeMalformed`, `DevelopmentKeyProvider`,
 *   `HostSuppliesSettings` or `ImageNotPinned`.
 * @see Dstack-TEE/dstack, `dstack-types/src/lib.rs`, `AppCompose`
 */
export function assertProductionCompose(appCompose: Uint8Array): void {
  const fields = readCompose(appCompose)
  const flag = (name: string) => fields.has(name) && fields.value(name) === true
  const provider = fields.has('key_provider') ? fields.value('key_provider') : null
  const isKms = provider === null ? flag('kms_enabled') : provider === 'kms'
  if (!isKms) {
    throw new NotForProductionError(
      'DevelopmentKeyProvider',
      'The guest does not have its keys from a KMS.',
      {
        field: 'appCompose.kms_enabled',
        metaMessages: [`Key provider: ${typeof provider === 'string' ? provider : 'none'}`],
        remedy: 'Write "kms_enabled": true, and no other key provider.',
      },
    )
  }
  const allowedEnvs = fields.has('allowed_envs') ? fields.texts('allowed_envs', 256) : []
  if (allowedEnvs.length > 0) {
    throw new NotForProductionError(
      'HostSuppliesSettings',
      'Environment variables are let in whose values nothing measures.',
      {
        field: 'appCompose.allowed_envs',
        metaMessages: [`Variables: ${allowedEnvs.join(', ')}`],
        remedy: 'Write the values into the compose file; the worker needs no secret from outside.',
      },
    )
  }
  assertPinnedImages(text(fields, 'docker_compose_file'))
}

function readCompose(appCompose: Uint8Array): JsonFields {
  try {
    const json = new TextDecoder('utf-8', { fatal: true }).decode(appCompose)
    const fields = new JsonFields(JSON.parse(json), 'appCompose')
    text(fields, 'docker_compose_file')
    if (fields.has('allowed_envs')) fields.texts('allowed_envs', 256)
    return fields
  } catch (cause) {
    throw new NotForProductionError('ComposeMalformed', 'The app-compose.json cannot be read.', {
      field: cause instanceof InvalidDocumentError ? cause.field : 'appCompose',
      remedy: 'Write it with `plumbline image compose`.',
      cause,
    })
  }
}

function text(fields: JsonFields, name: string): string {
  const value = fields.text(name, maximumComposeBytes)
  if (utf8(value).length > maximumComposeBytes) fields.fail(name, 'is longer than 200 KiB')
  return value
}

const field = 'appCompose.docker_compose_file'

function assertPinnedImages(dockerCompose: string): void {
  let images = 0
  for (const [index, line] of dockerCompose.split('\n').entries()) {
    // `image: x`, `"image": x`, `{ image: x }` and `- image: x` alike.
    const found = /(?:^|[\s{,"'-])(image|build|env_file)["']?\s*:(?:\s+|$)(.*)$/.exec(
      line.replace(/^\s*#.*$/, ''),
    )
    if (found === null) continue
    const [, key, rest = ''] = found
    const metaMessages = [`Line ${index + 1}: ${line.trim().slice(0, 200)}`]
    if (key === 'image') images += 1
    if (key === 'image' && /^["']?[^\s"'@]+@sha256:[0-9a-f]{64}["']?\s*(?:[#,}].*)?$/.test(rest)) {
      continue
    }
    if (key === 'env_file') {
      throw new NotForProductionError(
        'HostSuppliesSettings',
        'A service reads its environment from a file that nothing measures.',
        { field, metaMessages, remedy: 'Write the values into the compose file.' },
      )
    }
    throw new NotForProductionError(
      'ImageNotPinned',
      key === 'build'
        ? 'A service is built in the guest, from what nothing measures.'
        : 'A container image is named by something else than its digest.',
      { field, metaMessages, remedy: 'Write image: registry/name@sha256:… with the digest built.' },
    )
  }
  if (images > 0) return
  throw new NotForProductionError('ImageNotPinned', 'The compose file names no image.', {
    field,
    remedy: 'Write image: registry/name@sha256:… for the worker.',
  })
}
