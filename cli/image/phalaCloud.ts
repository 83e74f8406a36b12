import {
  commitCvmComposeFileUpdate,
  commitCvmProvision,
  createClient,
  provisionCvm,
  provisionCvmComposeFileUpdate,
} from '@phala/cloud'
import { fromHex, type Hex, toHex } from '#schemas/bytes.ts'
import { BaseError } from '#schemas/errors.ts'
import { composeHash } from '#verifier/dstack/composeHash.ts'
import { assertProductionCompose } from '#verifier/dstack/productionCompose.ts'

/** Raised when Phala Cloud does not answer, refuses, or answers what its SDK does not expect. */
export class PhalaCloudError extends BaseError {
  override readonly name = 'PhalaCloudError'
}

/** Raised before anything is started: the platform would run another compose file than the one given. */
export class ComposeHashDiffersError extends BaseError {
  override readonly name = 'ComposeHashDiffersError'
  readonly expected: Hex
  readonly actual: Hex

  constructor(expected: Hex, actual: Hex) {
    super('Phala Cloud would measure another compose hash; nothing was started.', {
      field: 'compose_hash',
      metaMessages: [`Expected: ${expected}`, `Actual: ${actual}`],
      remedy:
        'The platform adds fields of its own. Pass --accept-hash with the actual one to start it, and allow-list nothing before `plumbline image measure` has read the compose file that the guest then tells.',
    })
    this.expected = expected
    this.actual = actual
  }
}

export type PhalaCloudOptions = {
  readonly apiKey: string
  /** Only for tests; the SDK knows the real one. */
  readonly baseUrl?: string | undefined
}

export type Deployment = {
  /** app-compose.json, byte for byte. */
  readonly appCompose: Uint8Array
  readonly name: string
  /** CVM to update; absent: a new one. */
  readonly cvmId?: string | undefined
  readonly instanceType?: string | undefined
  readonly region?: string | undefined
  readonly nodeId?: number | undefined
  /** OS image, for example `dstack-0.5.11`; never one with `dev` in its name. */
  readonly osImage?: string | undefined
  /** A compose hash besides the predicted one under which it may start. */
  readonly acceptedHash?: Hex | undefined
}

export type Provision = {
  readonly expectedHash: Hex
  readonly composeHash: Hex
  readonly appId: string | undefined
  readonly osImageHash: string | undefined
  readonly fmspc: string | undefined
}

/** Raised for an OS image that lets its operator in. */
export class DevelopmentOsImageError extends BaseError {
  override readonly name = 'DevelopmentOsImageError'
}

/**
 * Puts a worker on Phala Cloud in the platform's two steps: `provision` reserves and answers the
 * compose hash, `commit` starts what was provisioned. Between the two stands the comparison.
 */
export function createPhalaCloud({ apiKey, baseUrl }: PhalaCloudOptions) {
  const client = createClient({ apiKey, ...(baseUrl === undefined ? {} : { baseURL: baseUrl }) })

  async function ask<Answer>(step: string, call: () => Promise<Answer>): Promise<Answer> {
    try {
      return await call()
    } catch (cause) {
      const problem = cause instanceof Error ? cause.message : String(cause)
      throw new PhalaCloudError(`Phala Cloud did not ${step}.`, {
        // The SDK's messages name fields and codes; keys stand in headers, which they leave out.
        metaMessages: [`Answer: ${problem.slice(0, 500)}`],
        remedy: 'Check PHALA_CLOUD_API_KEY, the quota and the fields named.',
        cause,
      })
    }
  }

  async function provisionNew(deployment: Deployment, compose: ComposeFields) {
    const answer = await ask('provision the CVM', async () =>
      provisionCvm(client, {
        name: deployment.name,
        compose_file: { ...compose, name: deployment.name },
        listed: false,
        kms: 'PHALA',
        ...(deployment.instanceType === undefined
          ? {}
          : { instance_type: deployment.instanceType }),
        ...(deployment.region === undefined ? {} : { region: deployment.region }),
        ...(deployment.nodeId === undefined ? {} : { node_id: deployment.nodeId }),
        ...(deployment.osImage === undefined ? {} : { image: deployment.osImage }),
      }),
    )
    return answer
  }

  return {
    /**
     * Asks the platform what it would measure. Starts nothing.
     *
     * @throws {@link NotForProductionError} for a compose file that production refuses,
     *   {@link DevelopmentOsImageError}, {@link PhalaCloudError}
     */
    async provision(deployment: Deployment): Promise<Provision> {
      assertProductionCompose(deployment.appCompose)
      if (/dev/i.test(deployment.osImage ?? '')) {
        throw new DevelopmentOsImageError('The OS image is one for development.', {
          field: '--os-image',
          metaMessages: [`Image: ${deployment.osImage}`],
          remedy: 'Take a release: development images let in whoever has an SSH key.',
        })
      }
      const compose = JSON.parse(new TextDecoder().decode(deployment.appCompose)) as ComposeFields
      const { cvmId } = deployment
      const answer =
        cvmId === undefined
          ? await provisionNew(deployment, compose)
          : await ask('provision the update', async () =>
              provisionCvmComposeFileUpdate(client, { id: cvmId, app_compose: compose }),
            )
      return {
        expectedHash: composeHash(deployment.appCompose),
        composeHash: readHash(answer.compose_hash),
        appId: answer.app_id ?? undefined,
        osImageHash: textOf(answer, 'os_image_hash'),
        fmspc: textOf(answer, 'fmspc'),
      }
    },

    /**
     * Starts what was provisioned, if it is what was predicted or expressly accepted.
     *
     * @returns The CVM's id.
     * @throws {@link ComposeHashDiffersError}, {@link PhalaCloudError}
     */
    async commit(deployment: Deployment, provision: Provision): Promise<string> {
      const { expectedHash, composeHash: actual, appId } = provision
      if (actual !== expectedHash && actual !== deployment.acceptedHash?.toLowerCase()) {
        throw new ComposeHashDiffersError(expectedHash, actual)
      }
      const hash = actual.slice(2)
      const { cvmId } = deployment
      if (cvmId !== undefined) {
        await ask('start the update', async () =>
          commitCvmComposeFileUpdate(client, {
            id: cvmId,
            compose_hash: hash,
            // Nothing is let in from outside of what is measured.
            encrypted_env: undefined,
            env_keys: undefined,
          }),
        )
        return cvmId
      }
      if (appId === undefined) {
        throw new PhalaCloudError('Phala Cloud gave no app id.', {
          field: 'app_id',
          remedy: 'A KMS on a chain needs its contract deployed first; use the platform’s CLI.',
        })
      }
      const cvm = await ask('start the CVM', async () =>
        commitCvmProvision(client, { app_id: appId, compose_hash: hash }),
      )
      return String(cvm.id)
    },
  }
}

type ComposeFields = {
  readonly docker_compose_file: string
  readonly [name: string]: unknown
}

function readHash(text: string): Hex {
  try {
    return toHex(fromHex(text, 'compose_hash', 32))
  } catch (cause) {
    throw new PhalaCloudError('Phala Cloud answered no compose hash.', {
      field: 'compose_hash',
      cause,
    })
  }
}

function textOf(answer: object, name: string): string | undefined {
  const value = (answer as Readonly<Record<string, unknown>>)[name]
  return typeof value === 'string' ? value : undefined
}
