import { sha256 } from '@noble/hashes/sha2'
import { concatBytes, utf8 } from '#schemas/bytes.ts'
import { p256KeyFromSecret, pkcs8 } from '../tdx/keys.ts'
import { toPem } from '../tdx/pem.ts'
import type { Application } from './application.ts'
import type { Attester } from './attester.ts'
import { AgentRequestError } from './errors.ts'
import { stripEvents } from './eventLog.ts'
import { deriveAppKey, publicKeyOf, keyAlgorithm, signWithAppKey, verifyWithKey } from './keys.ts'
import type { AppKeys } from './keys.ts'
import { defaultNotBefore, issueTlsCertificate, raTlsReportData } from './raTls.ts'
import type { AgentDistortion } from './negatives.ts'
import type { CertificateAuthority } from './raTls.ts'
import { RequestFields } from './requestFields.ts'
import { encodeAttestationV0 } from './scale.ts'

/** Everything that an agent's answers depend on. */
export type AgentState = {
  readonly application: Application
  readonly attester: Attester
  readonly keys: AppKeys
  readonly authority: CertificateAuthority
  /** Leave digests out of quotes' logs, as agents since 0.5.6 do. */
  readonly stripsDigests: boolean
  readonly version: string
  readonly vmConfig: string
  readonly distortion: AgentDistortion
  /** Unix seconds. */
  readonly clock: () => number
  /** A secret for a fresh TLS key: a scalar below the order of P-256. */
  readonly createTlsSecret: () => Uint8Array
}

export type AgentMethod = (state: AgentState, fields: RequestFields) => Record<string, unknown>

const tlsLifeSeconds = 10 * 365 * 86_400

/** Methods of `dstack.sock`, by path. */
export const guestMethods: Readonly<Record<string, AgentMethod>> = {
  '/GetKey': (state, fields) => {
    const { key, signatureChain } = deriveAppKey(state.keys, {
      path: fields.text('path'),
      purpose: fields.text('purpose'),
      algorithm: fields.text('algorithm'),
    })
    return {
      key: hex(key),
      signature_chain: state.distortion.signatureChain(signatureChain).map(hex),
    }
  },
  '/GetTlsKey': (state, fields) => {
    const now = state.clock()
    return issueTls(state, p256KeyFromSecret(state.createTlsSecret()), fields, {
      notBefore: fields.integer('not_before') ?? defaultNotBefore,
      notAfter: fields.integer('not_after') ?? now + tlsLifeSeconds,
      withAppInfo: fields.flag('with_app_info'),
    })
  },
  '/GetQuote': (state, fields) => quoteAnswer(state, reportDataOf(fields)),
  '/Attest': (state, fields) => {
    const { quote, reportData } = state.attester.quote(reportDataOf(fields))
    const attestation = encodeAttestationV0({
      quote,
      events: state.attester.events(),
      reportData,
      config: JSON.stringify({ vm_config: state.vmConfig }),
    })
    return { attestation: hex(attestation) }
  },
  '/Info': (state) => infoAnswer(state, false),
  '/Sign': (state, fields) => {
    const { signature, signatureChain, publicKey } = signWithAppKey(
      state.keys,
      fields.text('algorithm'),
      fields.bytes('data'),
    )
    return {
      signature: hex(signature),
      signature_chain: signatureChain.map(hex),
      public_key: hex(publicKey),
    }
  },
  '/Verify': (_, fields) => ({
    valid: verifyWithKey(fields.text('algorithm'), {
      data: fields.bytes('data'),
      signature: fields.bytes('signature'),
      publicKey: fields.bytes('public_key'),
    }),
  }),
  '/Version': (state) => ({ version: state.version, rev: '' }),
  '/EmitEvent': (state, fields) => {
    const name = fields.text('event')
    if (name === '') throw new AgentRequestError('event must have a name', { field: 'event' })
    state.attester.extend(name, fields.bytes('payload'))
    return {}
  },
}

/** Methods of `tappd.sock`, kept by dstack for clients older than 0.5. */
const tappdMethods: Readonly<Record<string, AgentMethod>> = {
  '/prpc/Tappd.DeriveKey': (state, fields) => {
    const secret = fields.flag('random_seed')
      ? state.createTlsSecret()
      : tappdSecret(state.keys, fields.text('path'))
    return issueTls(state, p256KeyFromSecret(secret), fields, {
      notBefore: defaultNotBefore,
      notAfter: state.clock() + tlsLifeSeconds,
      withAppInfo: false,
    })
  },
  '/prpc/Tappd.DeriveK256Key': (state, fields) => {
    const { key, signatureChain } = deriveAppKey(state.keys, {
      path: fields.text('path'),
      purpose: fields.text('purpose'),
      algorithm: 'secp256k1',
    })
    return { k256_key: hex(key), k256_signature_chain: signatureChain.map(hex) }
  },
  '/prpc/Tappd.RawQuote': (state, fields) => tappdQuote(state, reportDataOf(fields)),
  '/prpc/Tappd.TdxQuote': (state, fields) => {
    if (fields.text('hash_algorithm') !== 'raw') {
      throw new AgentRequestError('Only hash_algorithm raw is served here', {
        field: 'hash_algorithm',
        remedy: 'Hash the report data yourself and ask for raw.',
      })
    }
    return tappdQuote(state, reportDataOf(fields))
  },
  '/prpc/Tappd.Info': (state) => infoAnswer(state, false),
}

/** Methods that dstack serves to the outside on port 8090. */
const workerMethods: Readonly<Record<string, AgentMethod>> = {
  '/prpc/Worker.Info': (state) => infoAnswer(state, true),
  '/prpc/Worker.Version': (state) => ({ version: state.version, rev: '' }),
  '/prpc/Worker.GetAttestationForAppKey': (state, fields) => {
    const isPrehashed = fields.text('algorithm') === 'secp256k1_prehashed'
    const algorithm = keyAlgorithm(isPrehashed ? 'secp256k1' : fields.text('algorithm'))
    const { key } = deriveAppKey(state.keys, { path: 'vms', purpose: 'signing', algorithm })
    const label = algorithm === 'ed25519' ? 'ed25519-pk' : 'secp256k1c-pk'
    const publicKey = Buffer.from(publicKeyOf(key, algorithm)).toString('base64url')
    return quoteAnswer(state, padReportData(utf8(`dip1::${label}:${publicKey}`)))
  },
}

export const agentMethods: Readonly<Record<string, AgentMethod>> = {
  ...guestMethods,
  ...tappdMethods,
  ...workerMethods,
}

function quoteAnswer(state: AgentState, requested: Uint8Array) {
  const { quote, reportData } = state.attester.quote(requested)
  return {
    quote: hex(quote),
    event_log: quoteLog(state),
    report_data: hex(reportData),
    vm_config: state.vmConfig,
  }
}

function tappdQuote(state: AgentState, requested: Uint8Array) {
  const { quote } = state.attester.quote(requested)
  return { quote: hex(quote), event_log: quoteLog(state), hash_algorithm: 'raw', prefix: '' }
}

function quoteLog(state: AgentState): string {
  const events = state.attester.events()
  // Lies are told after stripping: a digest that is stated has to be seen.
  const shown = state.distortion.log(state.stripsDigests ? stripEvents(events) : events)
  return JSON.stringify(shown)
}

function infoAnswer(state: AgentState, isExternal: boolean) {
  const { application, attester } = state
  const registers = attester.registers()
  const isHidden = isExternal && !application.isTcbInfoPublic
  const mrAggregated = hex(aggregateMeasurement(registers))
  const tcbInfo = {
    mrtd: hex(registers.mrTd),
    rtmr0: hex(registers.rtmr0),
    rtmr1: hex(registers.rtmr1),
    rtmr2: hex(registers.rtmr2),
    rtmr3: hex(registers.rtmr3),
    mr_aggregated: mrAggregated,
    os_image_hash: hex(application.osImageHash),
    compose_hash: hex(application.composeHash),
    device_id: unknownDeviceId,
    event_log: state.distortion.log(attester.events()),
    app_compose: application.compose,
  }
  return {
    app_id: hex(application.appId),
    instance_id: hex(application.instanceId),
    app_cert: applicationCertificate(state),
    tcb_info: isHidden ? '' : JSON.stringify(tcbInfo, undefined, 2),
    app_name: application.name,
    device_id: unknownDeviceId,
    mr_aggregated: mrAggregated,
    os_image_hash: hex(application.osImageHash),
    key_provider_info: application.keyProviderInfo,
    compose_hash: hex(application.composeHash),
    vm_config: isHidden ? '' : state.vmConfig,
    cloud_vendor: '',
    cloud_product: '',
  }
}

/** What a guest reports on TDX: SHA-256 of nothing, because it does not verify itself. */
const unknownDeviceId = hex(sha256(new Uint8Array(0)))

/** dstack's digest over all registers; configuration and owner enter once one of them is set. */
function aggregateMeasurement(registers: ReturnType<Attester['registers']>): Uint8Array {
  const owned = concatBytes(registers.mrConfigId, registers.mrOwner, registers.mrOwnerConfig)
  return sha256(
    concatBytes(
      registers.mrTd,
      registers.rtmr0,
      registers.rtmr1,
      registers.rtmr2,
      registers.rtmr3,
      ...(owned.every((byte) => byte === 0) ? [] : [owned]),
    ),
  )
}

type TlsValidity = { notBefore: number; notAfter: number; withAppInfo: boolean }

function issueTls(
  state: AgentState,
  key: ReturnType<typeof p256KeyFromSecret>,
  fields: RequestFields,
  { notBefore, notAfter, withAppInfo }: TlsValidity,
) {
  const { application, attester, authority, distortion } = state
  const isAttested = fields.flag('usage_ra_tls')
  const boundKey = distortion.tlsBoundKey(key.publicKey)
  const request = distortion.tls({
    key,
    appId: application.appId,
    subject: fields.text('subject'),
    altNames: fields.texts('alt_names'),
    isServer: fields.flag('usage_server_auth'),
    isClient: fields.flag('usage_client_auth'),
    notBefore,
    notAfter,
    ...(isAttested
      ? {
          attestation: {
            quote: attester.quote(raTlsReportData(boundKey)).quote,
            eventLog: quoteLog(state),
          },
        }
      : {}),
    ...(withAppInfo
      ? {
          appInfo: {
            app_id: application.appId,
            compose_hash: application.composeHash,
            instance_id: application.instanceId,
            device_id: sha256(new Uint8Array(0)),
            mr_aggregated: aggregateMeasurement(attester.registers()),
            os_image_hash: application.osImageHash,
            key_provider_info: utf8(application.keyProviderInfo),
          },
        }
      : {}),
  })
  const [leaf, ...authorities] = issueTlsCertificate(authority, request)
  return {
    key: toPem('PRIVATE KEY', pkcs8(key)),
    certificate_chain: [distortion.tlsCertificate(leaf), ...authorities].map((der) =>
      toPem('CERTIFICATE', der),
    ),
  }
}

const certificates = new WeakMap<AgentState, string>()

/** The RA-TLS certificate that `Info` shows; made once, its key is thrown away. */
function applicationCertificate(state: AgentState): string {
  const known = certificates.get(state)
  if (known !== undefined) return known
  const { certificate_chain } = issueTls(
    state,
    p256KeyFromSecret(state.createTlsSecret()),
    new RequestFields({ subject: 'demo-cert', usage_ra_tls: true, usage_client_auth: true }),
    {
      notBefore: defaultNotBefore,
      notAfter: state.clock() + tlsLifeSeconds,
      withAppInfo: false,
    },
  )
  const pem = certificate_chain.join('\n')
  certificates.set(state, pem)
  return pem
}

function tappdSecret(keys: AppKeys, path: string): Uint8Array {
  return deriveAppKey(keys, { path, purpose: '', algorithm: 'secp256k1' }).key
}

function reportDataOf(fields: RequestFields): Uint8Array {
  return padReportData(fields.bytes('report_data'))
}

/** Zeros on the right up to 64 bytes; no hash, no prefix. */
function padReportData(data: Uint8Array): Uint8Array {
  if (data.length > 64) {
    throw new AgentRequestError('Report data is too long', {
      field: 'report_data',
      metaMessages: ['Expected: at most 64 bytes', `Actual: ${data.length} bytes`],
    })
  }
  return concatBytes(data, new Uint8Array(64 - data.length))
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex')
}
