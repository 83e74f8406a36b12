import { readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import { BaseError } from '#schemas/errors.ts'
import { createNodeSignatures } from '#schemas/adapters/nodeSignatures.ts'
import { plainQuotePolicy } from '#verifier/appraisal/plainQuotePolicy.ts'
import { createQuotePolicy } from '#verifier/appraisal/policy.ts'
import type { BundleOptions } from '#verifier/bundle/verifyBundle.ts'
import { intelRootCertificate } from '#verifier/collateral/intelRootCertificate.ts'
import { nodeCrypto } from '#verifier/crypto/adapters/nodeCrypto.ts'
import { readPemCertificates } from '#verifier/x509/pem.ts'

/** Raised when a file that the command needs is not there or not readable. */
export class UnreadableFileError extends BaseError {
  override readonly name = 'UnreadableFileError'
}

export function readText(file: string, field: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (cause) {
    throw new UnreadableFileError(`${file} cannot be read.`, {
      cause,
      field,
      remedy: 'Check the path and the permissions.',
    })
  }
}

export function readJson(file: string, field: string): unknown {
  const text = readText(file, field)
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new UnreadableFileError(`${file} is not JSON.`, { cause, field })
  }
}

/** More than any bundle takes: 16 MiB of packs as hex, and the rest. A bomb is larger. */
const maxBundleBytes = 64 * 1024 * 1024

/**
 * A bundle's JSON from its file, compressed (`.gz`) or not. Says nothing about whether it holds.
 *
 * @throws {@link UnreadableFileError}
 */
export function readBundleFile(file: string): { readonly value: unknown; readonly bytes: number } {
  let content: Buffer
  try {
    content = readFileSync(file)
  } catch (cause) {
    throw new UnreadableFileError(`${file} cannot be read.`, {
      cause,
      field: 'bundle',
      remedy: 'Check the path and the permissions.',
    })
  }
  try {
    const text = file.endsWith('.gz')
      ? gunzipSync(content, { maxOutputLength: maxBundleBytes })
      : content
    return { value: JSON.parse(text.toString()), bytes: content.length }
  } catch (cause) {
    throw new UnreadableFileError(`${file} is not JSON.`, { cause, field: 'bundle' })
  }
}

/** Files that say what an auditor trusts; without them Intel's root and up-to-date platforms. */
export type TrustFiles = { readonly root?: string; readonly quotePolicy?: string }

/** What bundles are examined under, with Node's own cryptography. */
export function readTrust({ root, quotePolicy }: TrustFiles): BundleOptions {
  const [rootCertificate] =
    root === undefined
      ? [intelRootCertificate]
      : readPemCertificates(readText(root, '--root'), '--root', 8)
  if (rootCertificate === undefined) {
    throw new UnreadableFileError('The root file holds no certificate.', { field: '--root' })
  }
  return {
    rootCertificate,
    quotePolicy: createQuotePolicy(
      quotePolicy === undefined ? plainQuotePolicy : readJson(quotePolicy, '--quote-policy'),
    ),
    crypto: nodeCrypto,
    signatures: createNodeSignatures(),
  }
}
