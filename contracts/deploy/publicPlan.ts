import { z } from 'zod'
import { BaseError } from '#schemas/errors.ts'

const address = z
  .string()
  .regex(/^0x[\dA-Fa-f]{40}$/, 'an address: 0x and 40 hex digits')
  .refine((text) => !/^0x0{40}$/.test(text), 'not the zero address')
  .transform((text) => text as `0x${string}`)
const word = z
  .string()
  .regex(/^0x[\dA-Fa-f]{64}$/, '32 bytes: 0x and 64 hex digits')
  .transform((text) => text.toLowerCase() as `0x${string}`)
const uint32 = z.int().min(0).max(0xffff_ffff)

/** Below a day nobody has the time to look at what is about to be allowed. */
const delay = z
  .int()
  .min(86_400)
  .max(90 * 86_400)
const twoDays = 172_800

const rulesSchema = z.strictObject({
  evaluationNumberFloor: uint32,
  qeEvaluationNumberFloor: uint32,
  maximumCollateralAgeSeconds: uint32,
  acceptedTcbStatuses: z.int().min(1).max(0x3f),
  requiresAllowedPlatform: z.boolean(),
  requiresImage: z.boolean(),
  allowedTdAttributes: z
    .string()
    .regex(/^0x[\dA-Fa-f]{16}$/, '8 bytes: 0x and 16 hex digits')
    .transform((text) => text as `0x${string}`),
})

/**
 * What a deployment on a public chain is to be. There is nothing in it about a root: production pins
 * Intel's.
 */
export const publicPlanSchema = z.strictObject({
  version: z.literal(1),
  /** Tells deployments of one deployer apart; part of every address. */
  name: z
    .string()
    .regex(/^[a-z\d-]{1,32}$/, 'at most 32 lower-case letters, digits and hyphens')
    .default('main'),
  /** Holds the authority in the end: a multisig or a timelock, never the deployer. */
  admin: address,
  guardian: address,
  curator: address,
  underwriter: address,
  registrar: address,
  /** Between what an adding role schedules and what it may execute. */
  additionDelaySeconds: delay.default(twoDays),
  /** Images allowed from the start. */
  images: z.array(word).max(64),
  imageDelaySeconds: delay.default(twoDays),
  maxBatchAgeSeconds: z
    .int()
    .min(3600)
    .max(365 * 86_400)
    .default(30 * 86_400),
  /** Rules of an `AppraisalPolicy`; none without them. */
  appraisal: rulesSchema.optional(),
  /** Parametric cover pays in one token; none without it. */
  cover: z
    .strictObject({
      asset: address,
      noticeSeconds: z
        .int()
        .min(86_400)
        .max(90 * 86_400),
    })
    .optional(),
})

export type PublicPlan = z.output<typeof publicPlanSchema>

/** Raised when a deployment plan is not one. */
export class InvalidDeploymentPlanError extends BaseError {
  override readonly name = 'InvalidDeploymentPlanError'
}

/**
 * Reads a plan.
 *
 * @throws {@link InvalidDeploymentPlanError} naming the first field at fault.
 */
export function readPublicPlan(text: string): PublicPlan {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (cause) {
    throw new InvalidDeploymentPlanError('The deployment plan is not JSON.', {
      cause,
      field: 'plan',
    })
  }
  const result = publicPlanSchema.safeParse(value)
  if (result.success) return result.data
  const [issue] = result.error.issues
  throw new InvalidDeploymentPlanError('The deployment plan is not well formed.', {
    field: ['plan', ...(issue?.path ?? [])].join('.'),
    ...(issue === undefined ? {} : { metaMessages: [`Expected: ${issue.message}`] }),
    remedy: 'docs/onchain-attestation.md, Deploying, has an example.',
  })
}
