import { secp256k1 } from '@noble/curves/secp256k1'
import { concatBytes, utf8 } from '#schemas/bytes.ts'
import type { RefusalCode } from '#verifier/appraisal/rules.ts'
import type { MeasuredEvent } from '../tdx/image.ts'
import { deriveP256Key } from '../tdx/keys.ts'
import type { Application } from './application.ts'
import { runtimeEvent } from './eventLog.ts'
import { createAppKeys } from './keys.ts'
import type { AppKeys } from './keys.ts'
import type { TlsCertificateRequest } from './raTls.ts'

/** Where and how a guest agent lies about the application, on a platform that is honest. */
export type AgentDistortion = {
  /** What is measured and told: events extend RTMR3, so a lie here is a faithfully measured one. */
  readonly application: (application: Application) => Application
  /** What the log says, after it was measured. */
  readonly log: (events: readonly MeasuredEvent[]) => readonly MeasuredEvent[]
  readonly keys: (keys: AppKeys, appId: Uint8Array) => AppKeys
  readonly signatureChain: (chain: readonly Uint8Array[]) => readonly Uint8Array[]
  readonly tls: (request: TlsCertificateRequest) => TlsCertificateRequest
  /** Key that the quote of an RA-TLS certificate speaks of; x ‖ y. */
  readonly tlsBoundKey: (publicKey: Uint8Array) => Uint8Array
  /** DER of an issued TLS certificate. */
  readonly tlsCertificate: (der: Uint8Array) => Uint8Array
}

export const honestAgent: AgentDistortion = {
  application: (application) => application,
  log: (events) => events,
  keys: (keys) => keys,
  signatureChain: (chain) => chain,
  tls: (request) => request,
  tlsBoundKey: (publicKey) => publicKey,
  tlsCertificate: (der) => der,
}

export type AgentNegative = {
  readonly rule: RefusalCode
  readonly description: string
} & Partial<AgentDistortion>

const nothing = new Uint8Array(0)

function changeEvents(
  change: (events: readonly MeasuredEvent[]) => readonly MeasuredEvent[],
): Pick<AgentDistortion, 'application'> {
  return { application: (application) => ({ ...application, events: change(application.events) }) }
}

function replaceEvent(name: string, payload: Uint8Array): Pick<AgentDistortion, 'application'> {
  return changeEvents((events) =>
    events.map((event) => (event.event === name ? runtimeEvent(name, payload) : event)),
  )
}

function without(name: string) {
  return (events: readonly MeasuredEvent[]) => events.filter((event) => event.event !== name)
}

/** Changes the first event of a register in the log. */
function alterFirst(imr: number, change: Partial<MeasuredEvent>): Pick<AgentDistortion, 'log'> {
  return {
    log: (events) => {
      const at = events.findIndex((event) => event.imr === imr)
      return events.map((event, index) => (index === at ? { ...event, ...change } : event))
    },
  }
}

function mapFirst(
  change: (signature: Uint8Array) => Uint8Array,
): Pick<AgentDistortion, 'signatureChain'> {
  return {
    signatureChain: ([first = nothing, ...rest]) => [change(first), ...rest],
  }
}

/** Lies of the guest agent: event log, application, KMS chain and RA-TLS certificates. */
export const agentNegatives = {
  logWithFifthRegister: {
    rule: 'EventLogMalformed',
    description: 'An event of the log extends a register that a TD does not have.',
    ...alterFirst(2, { imr: 4 }),
  },
  logDigestExchanged: {
    rule: 'EventDigestMismatch',
    description: 'A runtime event states a digest that is not its own.',
    ...alterFirst(3, { digest: 'ab'.repeat(48) }),
  },
  logEventDropped: {
    rule: 'RtmrMismatch',
    description: 'The log leaves out an event that was measured.',
    log: without('storage-fs'),
  },
  logEventInvented: {
    rule: 'RtmrMismatch',
    description: 'The log holds an event that was never measured.',
    log: (events) => [...events, { ...runtimeEvent('audited', nothing), digest: '' }],
  },
  logPayloadExchanged: {
    rule: 'RtmrMismatch',
    description: 'The log names another compose hash than was measured.',
    log: (events) =>
      events.map((event) =>
        event.event === 'compose-hash'
          ? { ...event, digest: '', event_payload: 'ab'.repeat(32) }
          : event,
      ),
  },
  logFirmwareExchanged: {
    rule: 'RtmrMismatch',
    description: 'The log names another firmware event than was measured.',
    ...alterFirst(0, { digest: 'ab'.repeat(48) }),
  },
  logReordered: {
    rule: 'RtmrMismatch',
    description: 'The log holds the events of RTMR3 backwards.',
    log: (events) => [
      ...events.filter((event) => event.imr !== 3),
      ...events.filter((event) => event.imr === 3).toReversed(),
    ],
  },
  appIdRepeated: {
    rule: 'EventRepeated',
    description: 'The boot measured two app ids.',
    ...changeEvents((events) =>
      events.flatMap((event) =>
        event.event === 'app-id' ? [event, runtimeEvent('app-id', new Uint8Array(20))] : [event],
      ),
    ),
  },
  composeHashTooLate: {
    rule: 'EventTooLate',
    description: 'The compose hash was measured after the boot had measured itself.',
    ...changeEvents((events) => [
      ...without('compose-hash')(events),
      ...events.filter((event) => event.event === 'compose-hash'),
    ]),
  },
  composeHashMissing: {
    rule: 'EventMissing',
    description: 'No compose hash was measured.',
    ...changeEvents(without('compose-hash')),
  },
  systemReadyMissing: {
    rule: 'EventMissing',
    description: 'The boot never ended: whoever runs may still write boot events.',
    ...changeEvents(without('system-ready')),
  },
  composeExchanged: {
    rule: 'ComposeHashMismatch',
    description: 'The compose file shown means the same as the measured one and has a space more.',
    application: (application) => ({ ...application, compose: `${application.compose} ` }),
  },
  appIdForeign: {
    rule: 'AppIdMismatch',
    description: 'The guest booted under the app id of somebody else.',
    ...replaceEvent('app-id', new Uint8Array(20).fill(0xab)),
  },
  keyProviderNone: {
    rule: 'KeyProviderNotAllowed',
    description: 'The guest has its keys from nobody: a development setting.',
    ...replaceEvent('key-provider', utf8('{"name":"none","id":""}')),
  },
  keyProviderForeign: {
    rule: 'KeyProviderNotAllowed',
    description: "The guest has its keys from somebody else's key management service.",
    ...replaceEvent('key-provider', utf8('{"name":"kms","id":"3059abcd"}')),
  },
  applicationUnbound: {
    rule: 'MrConfigIdZero',
    description: 'MRCONFIGID is zero, as hosts before dstack 0.5.4 left it.',
    application: (application) => ({ ...application, mrConfigId: new Uint8Array(48) }),
  },
  applicationBoundElsewhere: {
    rule: 'MrConfigIdMismatch',
    description: 'MRCONFIGID binds another compose hash than the log.',
    application: (application) => ({
      ...application,
      mrConfigId: concatBytes(Uint8Array.of(1), new Uint8Array(32).fill(0xab), new Uint8Array(15)),
    }),
  },
  kmsChainShort: {
    rule: 'KmsChainMalformed',
    description: 'The KMS left its signature over the application key out.',
    signatureChain: (chain) => chain.slice(0, 1),
  },
  kmsRecoveryIdUnknown: {
    rule: 'KmsChainMalformed',
    description: 'The recovery id of a signature is 27, as Ethereum writes it.',
    ...mapFirst((signature) => {
      const changed = signature.slice()
      changed[64] = 27 + (signature[64] ?? 0)
      return changed
    }),
  },
  kmsSignatureZero: {
    rule: 'KmsSignatureInvalid',
    description: 'A signature of the chain is zero.',
    ...mapFirst(() => new Uint8Array(65)),
  },
  kmsSignatureHighS: {
    rule: 'KmsSignatureInvalid',
    description: 'A signature of the chain is written with the higher of its two s.',
    ...mapFirst((bytes) => {
      const { r, s } = secp256k1.Signature.fromCompact(bytes.subarray(0, 64))
      const twin = new secp256k1.Signature(r, secp256k1.CURVE.n - s).toCompactRawBytes()
      return concatBytes(twin, Uint8Array.of(1 - (bytes[64] ?? 0)))
    }),
  },
  kmsRootForeign: {
    rule: 'KmsRootMismatch',
    description: 'The application key was issued by another key management service.',
    keys: (_, appId) => createAppKeys('another key management service', appId).keys,
  },
  tlsTrailingByte: {
    rule: 'RaTlsMalformed',
    description: 'A byte follows the certificate.',
    tlsCertificate: (der) => concatBytes(der, Uint8Array.of(0)),
  },
  tlsWithoutQuote: {
    rule: 'RaTlsQuoteMissing',
    description: 'The certificate was asked for with a quote and carries none.',
    tls: (request) => {
      const bare = { ...request }
      delete bare.attestation
      return bare
    },
  },
  tlsNotYetValid: {
    rule: 'RaTlsNotYetValid',
    description: 'The certificate begins in 2100.',
    tls: (request) => ({
      ...request,
      notBefore: Date.UTC(2100, 0, 1) / 1000,
      notAfter: Date.UTC(2101, 0, 1) / 1000,
    }),
  },
  tlsExpired: {
    rule: 'RaTlsExpired',
    description: 'The certificate ended in 1999.',
    tls: (request) => ({ ...request, notAfter: Date.UTC(1999, 0, 1) / 1000 }),
  },
  tlsForged: {
    rule: 'RaTlsSignatureInvalid',
    description: "The last bit of the certificate's signature is flipped.",
    tlsCertificate: (der) => {
      const last = der.length - 1
      return concatBytes(der.subarray(0, last), Uint8Array.of((der[last] ?? 0) ^ 1))
    },
  },
  tlsKeyNotBound: {
    rule: 'RaTlsKeyNotBound',
    description: "The quote in the certificate speaks of another key than the certificate's.",
    tlsBoundKey: () => deriveP256Key('another key', 'tls').publicKey,
  },
} as const satisfies Record<string, AgentNegative>

export type AgentNegativeName = keyof typeof agentNegatives

export const agentNegativeNames = Object.keys(agentNegatives) as AgentNegativeName[]

/** The agent that tells this one lie and is honest otherwise. */
export function agentDistortion(name: AgentNegativeName): AgentDistortion {
  const negative: AgentNegative = agentNegatives[name]
  return { ...honestAgent, ...negative }
}
