import { z } from 'zod'
import { bundleSchema } from '#schemas/bundle.ts'
import { calibrationMediaType } from '#schemas/calibration/calibrationCertificate.ts'
import {
  calibrationAnswerSchema,
  countersignatureSchema,
  deviceListSchema,
  deviceStatusSchema,
  enrolmentAnswerSchema,
  enrolmentNonceSchema,
  equivocationListSchema,
  healthSchema,
  packAnswersSchema,
  packTreeAnswerSchema,
  policyListSchema,
  problemSchema,
  proofsSchema,
  reportListSchema,
  retirementAnswerSchema,
  rosterPlaceSchema,
  rosterSchema,
  transferAnswerSchema,
} from '#schemas/workerAnswers.ts'
import {
  attestationSchema,
  batchPageSchema,
  reportPageSchema,
  signedBatchSchema,
  unsignedSchema,
  wholeBatchReports,
} from '#schemas/workerApi.ts'
import { enrolmentRequestSchema, transferRequestSchema } from '../../enrolment/enrol.ts'
import { packBodyTypes } from './packForms.ts'

const rawTypes = [
  'text/event-stream',
  'application/openmetrics-text',
  'application/cbor-seq',
  'nothing',
] as const

type Parameter = {
  readonly name: string
  readonly in: 'query' | 'path' | 'header'
  readonly kind: 'integer' | 'hex32' | 'hex20' | 'mode' | 'flag' | 'text'
  readonly says: string
}

type Call = {
  readonly method: 'get' | 'post' | 'options'
  readonly path: string
  readonly summary: string
  readonly parameters?: readonly Parameter[]
  readonly answer: z.core.$ZodType | (typeof rawTypes)[number] | 'document'
  readonly takesPacks?: true
  readonly takesCertificate?: true
  readonly takesJson?: z.core.$ZodType
  /** Statuses besides 200 that a caller has to expect. */
  readonly problems: readonly number[]
}

const after: Parameter = {
  name: 'after',
  in: 'query',
  kind: 'integer',
  says: 'Go on behind this one.',
}
const limit: Parameter = { name: 'limit', in: 'query', kind: 'integer', says: 'At most this many.' }
const from: Parameter = {
  name: 'from',
  in: 'query',
  kind: 'integer',
  says: 'Place in the batch to go on from.',
}
const sequence: Parameter = { name: 'sequence', in: 'path', kind: 'integer', says: 'Of the batch.' }
const device: Parameter = {
  name: 'device',
  in: 'path',
  kind: 'hex32',
  says: 'COSE Key Thumbprint.',
}

/** Every call there is: the document, and the test that holds it against the worker, read this. */
export const calls: readonly Call[] = [
  {
    method: 'post',
    path: '/v1/enrolments/nonce',
    summary: 'A nonce for a device to sign.',
    answer: enrolmentNonceSchema,
    problems: [],
  },
  {
    method: 'post',
    path: '/v1/enrolments',
    summary: 'Enrol a device that its maker vouches for; needs a capability.',
    answer: enrolmentAnswerSchema,
    takesJson: enrolmentRequestSchema,
    problems: [400, 401, 403, 404, 409, 429],
  },
  {
    method: 'post',
    path: '/v1/calibrations',
    summary: 'Hand in a calibration certificate that a pinned laboratory has signed.',
    answer: calibrationAnswerSchema,
    takesCertificate: true,
    problems: [400, 403, 404, 409, 413, 415, 429, 503, 507],
  },
  {
    method: 'post',
    path: '/v1/admin/devices/{device}/retire',
    summary: 'Take a device out of service; needs a capability.',
    parameters: [device],
    answer: retirementAnswerSchema,
    problems: [400, 401, 403, 404],
  },
  {
    method: 'post',
    path: '/v1/admin/devices/{device}/transfer',
    summary: 'Move a device to another subject from an instant on; needs a capability.',
    parameters: [device],
    answer: transferAnswerSchema,
    takesJson: transferRequestSchema,
    problems: [400, 401, 403, 404, 409, 413, 429, 503, 507],
  },
  {
    method: 'post',
    path: '/v1/admin/close',
    summary: 'Close what is due now; needs a capability.',
    answer: z.strictObject({ sequence: z.optional(unsignedSchema) }),
    problems: [401, 403, 503],
  },
  {
    method: 'post',
    path: '/v1/packs',
    summary: 'Hand signed packs in; a receipt or a refusal for each, in order.',
    parameters: [
      {
        name: 'receipts',
        in: 'query',
        kind: 'mode',
        says: '"each" (default) or "tree": one signature for all.',
      },
      {
        name: 'x-signature',
        in: 'header',
        kind: 'text',
        says: 'Signature of a pack in application/json, detached JWS of one in application/senml+json.',
      },
    ],
    answer: z.union([packAnswersSchema, packTreeAnswerSchema]),
    takesPacks: true,
    problems: [400, 413, 415, 429, 503, 507],
  },
  {
    method: 'post',
    path: '/v1/doors/aws-iot',
    summary: 'The HTTPS action of an AWS IoT rule, and the confirmation of its destination.',
    answer: z.union([
      packAnswersSchema,
      z.strictObject({ confirmation: z.enum(['told', 'visited']) }),
    ]),
    takesJson: z.unknown(),
    problems: [400, 401, 403, 404, 413, 429, 503, 507],
  },
  {
    method: 'options',
    path: '/v1/doors/event-grid',
    summary: 'Who may deliver CloudEvents: the handshake of CloudEvents web hooks.',
    answer: 'nothing',
    problems: [400, 401, 403, 404],
  },
  {
    method: 'post',
    path: '/v1/doors/event-grid',
    summary: 'Azure Event Grid’s deliveries, and the validation of its subscriptions.',
    answer: z.union([packAnswersSchema, z.strictObject({ validationResponse: z.string() })]),
    takesJson: z.unknown(),
    problems: [400, 401, 404, 413, 415, 429, 503, 507],
  },
  {
    method: 'get',
    path: '/v1/batches',
    summary: `Signed batches with their reports, ascending; one of more than ${wholeBatchReports} without them.`,
    parameters: [after, limit],
    answer: batchPageSchema,
    problems: [400],
  },
  {
    method: 'get',
    path: '/v1/batches/stream',
    summary: 'The same as server-sent events, as they are signed.',
    parameters: [after],
    answer: 'text/event-stream',
    problems: [400],
  },
  {
    method: 'get',
    path: '/v1/batches/{sequence}',
    summary: 'One signed batch.',
    parameters: [sequence],
    answer: signedBatchSchema,
    problems: [400, 404],
  },
  {
    method: 'get',
    path: '/v1/batches/{sequence}/reports',
    summary: 'Reports of a batch with their proofs, by pages.',
    parameters: [sequence, from, limit],
    answer: reportPageSchema,
    problems: [400, 404],
  },
  {
    method: 'get',
    path: '/v1/batches/{sequence}/signature',
    summary: 'A batch’s digest signed by the key of this boot.',
    parameters: [sequence],
    answer: countersignatureSchema,
    problems: [400, 404],
  },
  {
    method: 'get',
    path: '/v1/batches/{sequence}/roster',
    summary: 'Who was expected and who was heard.',
    parameters: [sequence],
    answer: rosterSchema,
    problems: [400, 404],
  },
  {
    method: 'get',
    path: '/v1/batches/{sequence}/roster/{device}',
    summary: 'One line of a roster with its proof.',
    parameters: [sequence, device],
    answer: rosterPlaceSchema,
    problems: [400, 404],
  },
  {
    method: 'get',
    path: '/v1/proofs/{subject}',
    summary: 'The newest reports on a subject, each provable alone.',
    parameters: [{ name: 'subject', in: 'path', kind: 'hex32', says: 'Subject id.' }, limit],
    answer: proofsSchema,
    problems: [400],
  },
  {
    method: 'get',
    path: '/v1/bundles/{subject}',
    summary: 'The newest report on a subject with everything that proves it: a proof bundle.',
    parameters: [
      { name: 'subject', in: 'path', kind: 'hex32', says: 'Subject id.' },
      { name: 'policy', in: 'query', kind: 'hex32', says: 'Only under this policy id.' },
      { name: 'batch', in: 'query', kind: 'integer', says: 'Only of this batch.' },
      { name: 'packs', in: 'query', kind: 'flag', says: '1: with the devices’ packs, if public.' },
    ],
    answer: bundleSchema,
    problems: [400, 403, 404, 413, 429, 503],
  },
  {
    method: 'get',
    path: '/v1/reports',
    summary: 'Reports in the order of their batches.',
    parameters: [
      after,
      from,
      limit,
      { name: 'subject', in: 'query', kind: 'hex32', says: 'Only this subject.' },
      { name: 'policy', in: 'query', kind: 'hex32', says: 'Only this policy id.' },
    ],
    answer: reportListSchema,
    problems: [400],
  },
  {
    method: 'get',
    path: '/v1/policies',
    summary: 'The policies that are judged by.',
    answer: policyListSchema,
    problems: [],
  },
  {
    method: 'get',
    path: '/v1/devices',
    summary: 'Enrolled devices, ascending by id.',
    parameters: [{ ...after, kind: 'hex32' }, limit],
    answer: deviceListSchema,
    problems: [400],
  },
  {
    method: 'get',
    path: '/v1/devices/{device}',
    summary: 'One enrolled device.',
    parameters: [device],
    answer: deviceStatusSchema,
    problems: [400, 404],
  },
  {
    method: 'get',
    path: '/v1/devices/{device}/packs',
    summary: 'A device’s packs as they were received, where readings are public.',
    parameters: [device, after, limit],
    answer: 'application/cbor-seq',
    problems: [400, 403],
  },
  {
    method: 'get',
    path: '/v1/equivocations',
    summary: 'Devices that signed two histories, with both packs.',
    parameters: [after, limit],
    answer: equivocationListSchema,
    problems: [400],
  },
  {
    method: 'get',
    path: '/v1/attestation',
    summary: 'What a registry needs to register a signer.',
    parameters: [
      { name: 'chain', in: 'query', kind: 'integer', says: 'Chain id; default the anchor chain.' },
      { name: 'signer', in: 'query', kind: 'hex20', says: 'Of an earlier boot.' },
      { name: 'nonce', in: 'query', kind: 'hex32', says: 'A fresh quote that covers it.' },
    ],
    answer: attestationSchema,
    problems: [400, 404, 429, 503],
  },
  {
    method: 'get',
    path: '/v1/openapi.json',
    summary: 'This document.',
    answer: 'document',
    problems: [],
  },
  {
    method: 'get',
    path: '/healthz',
    summary: 'Whether the worker takes packs and signs batches.',
    answer: healthSchema,
    problems: [],
  },
  {
    method: 'get',
    path: '/metrics',
    summary: 'OpenMetrics.',
    answer: 'application/openmetrics-text',
    problems: [],
  },
]

function jsonSchema(schema: z.core.$ZodType): unknown {
  return z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any', target: 'draft-2020-12' })
}

const parameterSchema = {
  integer: { type: 'string', pattern: '^(0|[1-9][0-9]{0,18})$' },
  hex32: { type: 'string', pattern: '^(0x)?[0-9a-fA-F]{64}$' },
  hex20: { type: 'string', pattern: '^(0x)?[0-9a-fA-F]{40}$' },
  mode: { type: 'string', enum: ['each', 'tree'] },
  flag: { type: 'string', enum: ['0', '1'] },
  text: { type: 'string', maxLength: 8192 },
} as const

function contentOf(answer: Call['answer']): Record<string, unknown> {
  if (answer === 'nothing') return {}
  if (answer === 'document') return { 'application/json': { schema: { type: 'object' } } }
  if (typeof answer === 'string') return { [answer]: { schema: { type: 'string' } } }
  return { 'application/json': { schema: jsonSchema(answer) } }
}

function operationOf(call: Call): Record<string, unknown> {
  const problem = { 'application/json': { schema: { $ref: '#/components/schemas/Problem' } } }
  return {
    summary: call.summary,
    parameters: (call.parameters ?? []).map(({ name, in: place, kind, says }) => ({
      name,
      in: place,
      required: place === 'path',
      description: says,
      schema: parameterSchema[kind],
    })),
    ...(call.takesPacks === undefined
      ? {}
      : {
          requestBody: {
            required: true,
            description: 'Signed packs; the media type says in which form.',
            content: Object.fromEntries(
              Object.entries(packBodyTypes).map(([type, says]) => [
                type,
                { schema: { type: 'string', format: 'binary', description: says } },
              ]),
            ),
          },
        }),
    ...(call.takesCertificate === undefined
      ? {}
      : {
          requestBody: {
            required: true,
            description: 'A calibration certificate: COSE_Sign1.',
            content: { [calibrationMediaType]: { schema: { type: 'string', format: 'binary' } } },
          },
        }),
    ...(call.takesJson === undefined
      ? {}
      : {
          requestBody: {
            required: true,
            content: { 'application/json': { schema: jsonSchema(call.takesJson) } },
          },
        }),
    responses: {
      200: { description: 'Done.', content: contentOf(call.answer) },
      ...Object.fromEntries(
        call.problems.map((status) => [status, { description: 'Refused.', content: problem }]),
      ),
    },
  }
}

function pathsOf(): Record<string, Record<string, unknown>> {
  const paths: Record<string, Record<string, unknown>> = {}
  for (const call of calls) {
    paths[call.path] = { ...paths[call.path], [call.method]: operationOf(call) }
  }
  return paths
}

/** @see OpenAPI Specification 3.1.1 */
export const openApiDocument = {
  openapi: '3.1.1',
  info: {
    title: 'Plumbline enclave worker',
    version: '1',
    description:
      'Everything here is public by design: what is signed is meant to be checked by anybody, and no answer holds a key; readings are answered only where the operator publishes them.',
    license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
  },
  paths: pathsOf(),
  components: { schemas: { Problem: jsonSchema(problemSchema) } },
}
