/**
 * JSON that keeps integers of any size: a bigint is written as `{"#":"123"}`. For our own rows only;
 * what others read uses decimal text (`workerApi.ts`).
 */
export function writeExactJson(value: unknown): string {
  return JSON.stringify(value, (_, item: unknown) =>
    typeof item === 'bigint' ? { '#': item.toString() } : item,
  )
}

/** Reads what {@link writeExactJson} wrote. The caller vouches for the type: only own rows come here. */
export function readExactJson(text: string): unknown {
  return JSON.parse(text, (_, item: unknown) => {
    if (typeof item === 'object' && item !== null && '#' in item && typeof item['#'] === 'string') {
      return BigInt(item['#'])
    }
    return item
  }) as unknown
}
