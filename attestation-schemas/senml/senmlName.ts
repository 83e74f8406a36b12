import { maxNameLength } from './senmlLabels.ts'

const namePattern = /^[A-Za-z0-9][A-Za-z0-9\-:./_]*$/

/** Whether a full name is one that SenML allows (RFC 8428 §4.5.1) and at most 255 characters long. */
export function isSenmlName(name: string): boolean {
  return name.length <= maxNameLength && namePattern.test(name)
}
