/** The door of the policy language: type, decoder, identity, templates. */
export { decodePolicy } from './decode.ts'
export {
  type Ambiguity,
  AmbiguousPolicyError,
  InvalidPolicyError,
  type PolicyProblem,
  PolicySyntaxError,
} from './errors.ts'
export { explainPolicy } from './explain.ts'
export { policyAdvice } from './lint.ts'
export { policyBytes, policyExclusiveTo, policyId } from './id.ts'
export { type MeasureDefinition, measureCatalogue } from './measures.ts'
export { type Policy, policySchema, policyVersion } from './schema.ts'
export { type TemplateName, templates } from './templates.ts'
export { TimeZoneError, timeZoneTable, timeZones } from './timeZones.ts'
export {
  NotAWindowError,
  TooManyWindowsError,
  type Window,
  assertWindow,
  windowsWithin,
} from './windows.ts'
