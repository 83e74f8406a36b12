import { z } from 'zod'
import { hexSchema, unsignedSchema } from './workerApi.ts'

/**
 * What an explorer has to be told about the place that it looks at: `deployment.json` beside the page.
 * Nothing here is proof of anything but the root certificate and the appraisal policy, which are what
 * whoever serves the page trusts.
 */
export const deploymentSchema = z.strictObject({
  version: z.literal(1),
  name: z.string().min(1).max(200),
  streamName: z.string().min(1).max(200),
  /** Root certificate of the platform, PEM; Intel's in production. */
  rootCertificate: z.string().min(64).max(8192),
  /** Whose root that is, in words. */
  rootName: z.string().min(1).max(200),
  /** Appraisal policy document; `null` until the image is known. */
  quotePolicy: z.unknown(),
  chains: z
    .array(
      z.strictObject({
        chainId: z.int().min(1),
        name: z.string().min(1).max(100),
        enclaveRegistry: hexSchema(20),
        proofRegistry: hexSchema(20),
      }),
    )
    .max(64),
  agreements: z
    .array(
      z.strictObject({
        label: z.string().min(1).max(200),
        kind: z.string().min(1).max(100),
        chainId: z.int().min(1),
        contract: hexSchema(20),
        agreementId: unsignedSchema,
        subject: hexSchema(32),
        policyId: hexSchema(32),
        /** How amounts of `ReportSettled` are to be read. */
        unit: z.string().max(50),
        decimals: z.int().min(0).max(36),
      }),
    )
    .max(10_000),
})

export type Deployment = z.output<typeof deploymentSchema>
