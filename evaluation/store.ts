/**
 * State as text and back, to the last bit: JSON plus the few things that it lacks. Every such thing
 * is an object with one key that no state has otherwise.
 */
type Marked =
  | { $bigint: string }
  | { $map: [unknown, unknown][] }
  | { $set: unknown[] }
  | { $number: string }

export function store(state: unknown): string {
  return JSON.stringify(state, (_key, value: unknown): unknown => {
    if (typeof value === 'bigint') return { $bigint: value.toString() }
    if (value instanceof Map) return { $map: [...(value as Map<unknown, unknown>)] }
    if (value instanceof Set) return { $set: [...(value as Set<unknown>)] }
    if (typeof value === 'number' && (!Number.isFinite(value) || Object.is(value, -0))) {
      return { $number: Object.is(value, -0) ? '-0' : String(value) }
    }
    return value
  })
}

export function restore(text: string): unknown {
  return JSON.parse(text, (_key, value: unknown): unknown => {
    if (typeof value !== 'object' || value === null) return value
    const marked = value as Partial<Record<string, unknown>> & Partial<Marked>
    if ('$bigint' in marked) return BigInt(marked.$bigint as string)
    if ('$map' in marked) return new Map(marked.$map as [unknown, unknown][])
    if ('$set' in marked) return new Set(marked.$set as unknown[])
    if ('$number' in marked) return Number(marked.$number)
    return value
  })
}
