import type { Policy } from '#schemas/policy/policy.ts'
import { compilePolicy } from './compile.ts'

/** Unix milliseconds, the end exclusive. */
type Span = { readonly startMs: number; readonly endMs: number }

/**
 * The span of time whose readings can bear on a period: what a held value reaches in from before,
 * what an interpolated one needs from behind. Packs that speak about it are the period's evidence.
 */
export function evidenceSpan(policy: Policy, { startMs, endMs }: Span): Span {
  const { kind, reachMs } = compilePolicy(policy)
  return {
    startMs: kind === 'end' ? startMs : startMs - reachMs,
    endMs: kind === 'hold' ? endMs : endMs + reachMs,
  }
}
