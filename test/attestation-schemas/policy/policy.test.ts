import { describe, expect, it } from 'vitest'
import { decodePolicy, policyId, templates } from '#schemas/policy/policy.ts'

describe('policy templates', () => {
  it.each(Object.entries(templates))('%s is a valid policy, also as text', (_name, template) => {
    const policy = decodePolicy(template)
    expect(policy).toStrictEqual(template)
    expect(policyId(decodePolicy(JSON.stringify(template, undefined, 2)))).toBe(policyId(policy))
  })
})
