import { mkdirSync, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import type { SignedBatch } from '#schemas/workerApi.ts'
import { createWorkerClient } from '#schemas/workerClient.ts'
import type { QuotePolicyDocument } from '#verifier/appraisal/policy.ts'
import type { Platform } from './tdx/platform.ts'

/** What is left in the folder for whoever wants to check the story without this machine. */
export type HandOver = {
  /** One proof bundle for each report, packs included. */
  readonly bundles: readonly string[]
  readonly bundleFolder: string
  readonly rootFile: string
  readonly quotePolicyFile: string
  /** Arguments of `plumbline` that examine the first bundle. */
  readonly verifyArguments: readonly string[]
}

function slug(text: string): string {
  return text
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-')
    .replaceAll(/^-|-$/g, '')
}

/** Fetches a bundle of every report and writes it beside what an auditor has to trust. */
export async function handOver(
  folder: string,
  workerUrl: string,
  batch: SignedBatch,
  trust: { readonly platform: Platform; readonly quotePolicy: QuotePolicyDocument },
): Promise<HandOver> {
  const bundleFolder = join(folder, 'bundles')
  const trustFolder = join(folder, 'trust')
  mkdirSync(bundleFolder, { recursive: true })
  mkdirSync(trustFolder, { recursive: true })
  const rootFile = join(trustFolder, 'root.pem')
  const quotePolicyFile = join(trustFolder, 'quote-policy.json')
  writeFileSync(rootFile, trust.platform.rootCertificatePem)
  writeFileSync(quotePolicyFile, `${JSON.stringify(trust.quotePolicy, undefined, 2)}\n`)

  const client = createWorkerClient({
    url: workerUrl,
    fetch: (url, init) => fetch(url, init),
    signal: () => AbortSignal.timeout(60_000),
  })
  const bundles: string[] = []
  for (const { report, subjectName, policyName } of batch.reports) {
    const file = join(bundleFolder, `${slug(`${subjectName} ${policyName}`)}.json`)
    const text = await client.bundleText(report.subject, {
      policyId: report.policyId,
      sequence: batch.batch.sequence,
      withPacks: true,
    })
    writeFileSync(file, `${text}\n`)
    bundles.push(file)
  }
  const near = (file: string): string => {
    const path = relative(process.cwd(), file)
    return path.startsWith('..') ? file : path
  }
  return {
    bundles,
    bundleFolder,
    rootFile,
    quotePolicyFile,
    verifyArguments: [
      'verify',
      near(bundles[0] ?? ''),
      '--root',
      near(rootFile),
      '--quote-policy',
      near(quotePolicyFile),
    ],
  }
}
