/**
 * JSON that keeps integers of any size: a bigint is written as `{"#":"123"}`. For our own rows only;
 * what others read uses decimal text (`workerApi.ts`).
 */
export function writeExactJson(value: unknown): string {
  return JSON.stringify(withoutBigints(value))
}

/** Reads what {@link writeExactJson} wrote. The caller vouches for the type: only own rows come here. */
export function readExactJson(text: string): unknown {
  return withBigints(JSON.parse(text))
}

// A walk of our own and then the platform's writer: with a replacer, it is five times slower.
function withoutBigints(value: unknown): unknown {
  if (typeof value === 'bigint') return { '#': value.toString() }
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return value.map(withoutBigints)
  const copy: Record<string, unknown> = {}
  for (const [key, item] of Object.entries(value)) copy[key] = withoutBigints(item)
  return copy
}

/** Puts bigints back in place: the value has just been read and belongs to nobody else. */
function withBigints(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value
  if ('#' in value && typeof value['#'] === 'string') return BigInt(value['#'])
  const fields = value as Record<string, unknown>
  for (const [key, item] of Object.entries(fields)) {
    if (typeof item === 'object' && item !== null) fields[key] = withBigints(item)
  }
  return fields
}
