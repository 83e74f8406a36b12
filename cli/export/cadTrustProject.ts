import { z } from 'zod'
import { explainPolicy } from '#schemas/policy/policy.ts'
import { readMessage } from '#schemas/workerApi.ts'
import {
  cadTrustIssuance,
  cadTrustIssuanceSchema,
  earnedTonnes,
  verificationFacts,
} from './cadTrustIssuance.ts'
import type { ExaminedBundle } from './examined.ts'

const text = z.string().min(1).max(500)
const covered = ['Inside NDC', 'Outside NDC', 'Unknown'] as const
const statuses = ['Listed', 'Registered', 'Completed', 'Transitioned'] as const

const projectFields = {
  projectId: text,
  originProjectId: text,
  registryOfOrigin: text,
  currentRegistry: text.optional(),
  program: text.optional(),
  projectName: text,
  projectLink: z.url(),
  projectDeveloper: text,
  sector: text,
  projectType: text,
  coveredByNDC: z.enum(covered),
  ndcInformation: text.optional(),
  projectStatus: z.enum(statuses),
  projectStatusDate: z.iso.date(),
  methodology: text,
  validationBody: text.optional(),
  validationDate: z.iso.date().optional(),
} as const

/** What the registry knows of the project and no measurement tells. */
export const projectFactsSchema = z.strictObject({ ...projectFields, ...verificationFacts })

export type ProjectFacts = z.output<typeof projectFactsSchema>

/**
 * A project record with the issuance of this report, as the Climate Action Data Trust's API takes it.
 *
 * @see Chia-Network/cadt, data model 1, `src/validations/projects.validations.js` and its pick lists
 */
export const cadTrustProjectSchema = z.strictObject({
  ...projectFields,
  unitMetric: z.literal('tCO2e'),
  projectTags: text,
  description: z.string().min(1).max(5000),
  issuances: z.array(cadTrustIssuanceSchema).min(1),
})

export type CadTrustProject = z.output<typeof cadTrustProjectSchema>

/**
 * The project that a report belongs to, the policy in plain words as its description and the report's
 * period as an issuance.
 *
 * @throws {@link NotExportableError} unless the report passed, in kgCO2e or tCO2e.
 */
export function cadTrustProject(examined: ExaminedBundle, facts: ProjectFacts): CadTrustProject {
  const { bundle, policy } = examined
  // Whatever could not become units is no issuance either.
  earnedTonnes(examined)
  const { verificationBody, verificationReportDate, ...project } = facts
  return readMessage(
    cadTrustProjectSchema,
    {
      ...project,
      unitMetric: 'tCO2e',
      projectTags: `plumbline subject ${bundle.report.subject}, policy ${bundle.report.policyId}`,
      description: explainPolicy(policy).join(' '),
      issuances: [cadTrustIssuance(examined, { verificationBody, verificationReportDate })],
    },
    'project record',
  )
}
