import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { answerCertificationRequest } from './certificationService.ts'
import type { Platform } from './platform.ts'

/** A caching service of the platform's collateral (PCCS) on a free port of 127.0.0.1. */
export async function serveCertification(
  platform: Platform,
): Promise<{ readonly url: string; readonly close: () => Promise<void> }> {
  const server = createServer((request, response) => {
    const url = new URL(request.url ?? '/', 'http://localhost')
    const nowSeconds = Math.floor(Date.now() / 1000)
    const answer = answerCertificationRequest(platform, url, nowSeconds)
    response.writeHead(answer?.status ?? 404, answer?.headers)
    response.end(answer?.body)
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', resolve)
  })
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => {
          resolve()
        })
        server.closeAllConnections()
      }),
  }
}
