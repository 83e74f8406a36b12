import { hmac } from '@noble/hashes/hmac'
import { sha256 } from '@noble/hashes/sha2'
import { bytesToHex } from '@noble/hashes/utils'
import { utf8 } from '#schemas/bytes.ts'

export type AwsCredentials = {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly sessionToken?: string
}

/** A request before its signature. Header names in lower case. */
export type AwsRequest = {
  readonly method: 'GET' | 'POST'
  readonly host: string
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

/** `20150830T123600Z`. */
function amzDate(nowMs: number): string {
  return new Date(nowMs).toISOString().replaceAll(/[-:]|\.\d{3}/g, '')
}

function hashed(text: string): string {
  return bytesToHex(sha256(utf8(text)))
}

/**
 * Headers that authorise a request to AWS, Signature Version 4, for paths without a query.
 *
 * @returns all headers to send, `authorization` among them
 * @see AWS, "Signature Version 4 signing process": canonical request, string to sign, derived key
 */
export function signedHeaders(
  request: AwsRequest,
  scope: { readonly region: string; readonly service: string },
  credentials: AwsCredentials,
  nowMs: number,
): Readonly<Record<string, string>> {
  const date = amzDate(nowMs)
  const day = date.slice(0, 8)
  const headers: Record<string, string> = {
    ...request.headers,
    host: request.host,
    'x-amz-date': date,
    ...(credentials.sessionToken === undefined
      ? {}
      : { 'x-amz-security-token': credentials.sessionToken }),
  }
  const names = Object.keys(headers).sort()
  const canonicalRequest = [
    request.method,
    request.path,
    '',
    ...names.map((name) => `${name}:${(headers[name] ?? '').trim()}`),
    '',
    names.join(';'),
    hashed(request.body),
  ].join('\n')
  const credentialScope = `${day}/${scope.region}/${scope.service}/aws4_request`
  const stringToSign = ['AWS4-HMAC-SHA256', date, credentialScope, hashed(canonicalRequest)].join(
    '\n',
  )
  const key = [day, scope.region, scope.service, 'aws4_request'].reduce(
    (derived, part) => hmac(sha256, derived, utf8(part)),
    utf8(`AWS4${credentials.secretAccessKey}`),
  )
  const signature = bytesToHex(hmac(sha256, key, utf8(stringToSign)))
  return {
    ...headers,
    authorization: `AWS4-HMAC-SHA256 Credential=${credentials.accessKeyId}/${credentialScope}, SignedHeaders=${names.join(';')}, Signature=${signature}`,
  }
}
