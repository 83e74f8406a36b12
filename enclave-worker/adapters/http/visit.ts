const timeoutMs = 10_000

/**
 * Visits an address that was judged before and answers the status. It follows no redirect: where it
 * leads was not judged.
 */
export async function visit(url: string): Promise<number> {
  const response = await fetch(url, { redirect: 'manual', signal: AbortSignal.timeout(timeoutMs) })
  await response.body?.cancel()
  return response.status
}
