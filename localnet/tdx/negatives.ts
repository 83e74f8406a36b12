import { concatBytes, utf8 } from '#schemas/bytes.ts'
import type { RefusalCode } from '#verifier/appraisal/rules.ts'
import { commonNames, createBlueprint, localNames, localOrganization } from './blueprint.ts'
import type { Blueprint, PlatformOptions } from './blueprint.ts'
import { encodeCertificate, encodeCrl, keyIdentifier } from './certificate.ts'
import type { CertificateSpec, Name } from './certificate.ts'
import { derInteger } from './der.ts'
import { honest } from './distortion.ts'
import type { Distortion } from './distortion.ts'
import { sgxComponents, tdxComponents, toInstant } from './documents.ts'
import type { QeIdentity, TcbInfo, TcbLevel } from './documents.ts'
import { deriveP256Key, developmentSeed } from './keys.ts'
import type { P256Key } from './keys.ts'
import { createPlatform, pemChain, quotePckChain } from './platform.ts'
import type { Platform, QuoteCollateral } from './platform.ts'
import { uint16, uint32 } from './quote.ts'
import type { QeReport, TdReport } from './quote.ts'
import { deniedAdvisory, deniedPpid } from './strictPolicy.ts'

/** A lie, and the rule that is the first to catch it. */
export type Negative = {
  readonly rule: RefusalCode
  readonly description: string
  readonly options?: (options: PlatformOptions) => PlatformOptions
} & Partial<Distortion>

/** Evidence of a negative case, ready for any verifier. */
export type NegativeEvidence = {
  readonly name: NegativeName
  readonly description: string
  readonly rule: RefusalCode
  readonly quote: Uint8Array
  readonly collateral: QuoteCollateral
  readonly now: number
  /** The root to pin. It is the honest platform's but where the root itself lies. */
  readonly rootCertificateDer: Uint8Array
  /** What the verifier is to expect in the quote. */
  readonly reportData: Uint8Array
}

// --- tools ------------------------------------------------------------------------------------

/** A key that the platform's owner never certified. */
function rogueKey(options: PlatformOptions): P256Key {
  return deriveP256Key(options.seed ?? developmentSeed, 'rogue')
}

/** Another platform, with another root: all its certificates are genuine, elsewhere. */
function foreign(options: PlatformOptions): Platform {
  return createPlatform({ ...options, seed: 'another local platform' })
}

type CertificateName = 'root' | 'pckCa' | 'pck' | 'tcbSigning'

function changeCertificate(
  name: CertificateName,
  change: (spec: CertificateSpec, options: PlatformOptions) => Partial<CertificateSpec>,
): Pick<Distortion, 'blueprint'> {
  return {
    blueprint: (blueprint, options) => ({
      ...blueprint,
      [name]: { ...blueprint[name], ...change(blueprint[name], options) },
    }),
  }
}

function changeTcbInfo(
  change: (info: TcbInfo, now: number) => TcbInfo,
): Pick<Distortion, 'blueprint'> {
  return {
    blueprint: (blueprint, { now }) => ({ ...blueprint, tcbInfo: change(blueprint.tcbInfo, now) }),
  }
}

function changeQeIdentity(
  change: (identity: QeIdentity, now: number) => QeIdentity,
): Pick<Distortion, 'blueprint'> {
  return {
    blueprint: (blueprint, { now }) => ({
      ...blueprint,
      qeIdentity: change(blueprint.qeIdentity, now),
    }),
  }
}

function changeQeReport(report: Partial<QeReport>): Pick<Distortion, 'blueprint'> {
  return {
    blueprint: (blueprint) => ({ ...blueprint, qeReport: { ...blueprint.qeReport, ...report } }),
  }
}

function changeReport(change: Partial<TdReport>): Pick<Distortion, 'report'> {
  return { report: (report) => ({ ...report, ...change }) }
}

/** The best level's SVNs raised, so that it is out of this platform's reach. */
function raiseLevels(tcb: Partial<TcbLevel['tcb']>): Pick<Distortion, 'blueprint'> {
  return changeTcbInfo((info) => ({
    ...info,
    tcbLevels: info.tcbLevels.map((level) => ({ ...level, tcb: { ...level.tcb, ...tcb } })),
  }))
}

function changeCollateral(
  change: (collateral: QuoteCollateral, options: PlatformOptions) => Partial<QuoteCollateral>,
): Pick<Distortion, 'collateral'> {
  return {
    collateral: (collateral, options) => ({ ...collateral, ...change(collateral, options) }),
  }
}

function atByte(offset: number, ...bytes: readonly number[]): Pick<Distortion, 'bytes'> {
  return { bytes: (quote) => overwrite(quote, offset, Uint8Array.from(bytes)) }
}

function overwrite(quote: Uint8Array, offset: number, bytes: Uint8Array): Uint8Array {
  const changed = quote.slice()
  changed.set(bytes, offset)
  return changed
}

function flipBit(bytes: Uint8Array, offset: number): Uint8Array {
  return overwrite(bytes, offset, Uint8Array.of((bytes[offset] ?? 0) ^ 1))
}

function flipLastBit(hex: string): string {
  const bytes = Buffer.from(hex, 'hex')
  return Buffer.from(flipBit(bytes, bytes.length - 1)).toString('hex')
}

/** One bit in the last byte of a certificate: the end of its signature's s. */
function spoil(certificate: Uint8Array): Uint8Array {
  return flipBit(certificate, certificate.length - 1)
}

function cutTo(length: number, where: string): Negative {
  return {
    rule: 'QuoteTruncated',
    description: `The quote ends after ${length} bytes, ${where}.`,
    bytes: (quote) => quote.slice(0, length),
  }
}

/** Adds to the 32-bit little-endian length at an offset. */
function lengthField(offset: number, by: number, rule: RefusalCode, description: string): Negative {
  return {
    rule,
    description,
    bytes: (quote) => {
      const length = Buffer.from(quote).readUInt32LE(offset)
      return overwrite(quote, offset, uint32(length + by))
    },
  }
}

function otherOrganization(commonName: string): Name {
  return [
    ['CN', commonName],
    ['O', `${localOrganization}, impostor`],
  ]
}

function renamed(name: Name, commonName: string): Name {
  return name.map((part) => (part[0] === 'CN' ? (['CN', commonName] as const) : part))
}

function foreignChain(options: PlatformOptions, issuer: 'pckCa' | 'tcbSigning'): string {
  const { certificates } = foreign(options)
  return pemChain(certificates[issuer], certificates.root)
}

const garbageHex = 'de'.repeat(64)
const garbagePem = `-----BEGIN CERTIFICATE-----\n${Buffer.alloc(48, 7).toString('base64')}\n-----END CERTIFICATE-----\n`

// Offsets in a version 4 quote: header 48 + TD 1.0 report 584 + length 4 = 636.
const authSizeAt = 632
const authDataAt = 636
const attestationKeyAt = authDataAt + 64
const outerTypeAt = authDataAt + 128
const outerSizeAt = outerTypeAt + 2
const qeReportAt = outerSizeAt + 4
const qeSignatureAt = qeReportAt + 384
const qeAuthSizeAt = qeSignatureAt + 64
const qeAuthAt = qeAuthSizeAt + 2
const innerTypeAt = qeAuthAt + 32
const innerSizeAt = innerTypeAt + 2
const pckChainAt = innerSizeAt + 4

const version5 = { form: { version: 5, body: 'td15' } } as const

// --- the catalogue ----------------------------------------------------------------------------

/** Every lie by name. One rule breaks in each; all others hold, as far as the lie allows. */
export const negatives = {
  // Collateral: form and issuer chains
  collateralFieldMissing: {
    rule: 'CollateralMalformed',
    description: 'The collateral lacks the PCK CRL.',
    collateral: (collateral) => without(collateral, 'pck_crl') as QuoteCollateral,
  },
  collateralCrlNotHex: {
    rule: 'CollateralMalformed',
    description: 'The root CRL is not hex.',
    ...changeCollateral(() => ({ root_ca_crl: 'not hex' })),
  },
  tcbInfoSignatureShort: {
    rule: 'CollateralMalformed',
    description: "The TCB info's signature has 63 bytes.",
    ...changeCollateral(({ tcb_info_signature }) => ({
      tcb_info_signature: tcb_info_signature.slice(2),
    })),
  },
  qeIdentitySignatureNotHex: {
    rule: 'CollateralMalformed',
    description: "The QE identity's signature is not hex.",
    ...changeCollateral(() => ({ qe_identity_signature: 'zz'.repeat(64) })),
  },
  pckCrlIssuerChainEmpty: {
    rule: 'IssuerChainMalformed',
    description: "The PCK CRL's issuer chain is empty.",
    ...changeCollateral(() => ({ pck_crl_issuer_chain: '' })),
  },
  tcbInfoIssuerChainTooShort: {
    rule: 'IssuerChainMalformed',
    description: "The TCB info's issuer chain lacks the root.",
    collateral: (collateral) => ({
      ...collateral,
      tcb_info_issuer_chain: firstPem(collateral.tcb_info_issuer_chain),
    }),
  },
  qeIdentityIssuerChainTooLong: {
    rule: 'IssuerChainMalformed',
    description: "The QE identity's issuer chain has a third certificate.",
    collateral: (collateral) => ({
      ...collateral,
      qe_identity_issuer_chain:
        collateral.qe_identity_issuer_chain + firstPem(collateral.qe_identity_issuer_chain),
    }),
  },
  pckCrlIssuerChainForeign: {
    rule: 'IssuerChainRootMismatch',
    description: "The PCK CRL's issuer chain leads to another root.",
    ...changeCollateral((_, options) => ({ pck_crl_issuer_chain: foreignChain(options, 'pckCa') })),
  },
  tcbInfoIssuerChainForeign: {
    rule: 'IssuerChainRootMismatch',
    description: 'The TCB info comes from another platform, with its own signer and root.',
    ...changeCollateral((_, options) => {
      const other = foreign(options).collateral()
      return {
        tcb_info_issuer_chain: other.tcb_info_issuer_chain,
        tcb_info: other.tcb_info,
        tcb_info_signature: other.tcb_info_signature,
      }
    }),
  },
  qeIdentityIssuerChainForeign: {
    rule: 'IssuerChainRootMismatch',
    description: 'The QE identity comes from another platform, with its own signer and root.',
    ...changeCollateral((_, options) => {
      const other = foreign(options).collateral()
      return {
        qe_identity_issuer_chain: other.qe_identity_issuer_chain,
        qe_identity: other.qe_identity,
        qe_identity_signature: other.qe_identity_signature,
      }
    }),
  },

  // Collateral: root CRL
  rootCrlEmpty: {
    rule: 'RootCrlMalformed',
    description: 'The root CRL has no bytes.',
    ...changeCollateral(() => ({ root_ca_crl: '' })),
  },
  rootCrlGarbage: {
    rule: 'RootCrlMalformed',
    description: 'The root CRL is no DER.',
    ...changeCollateral(() => ({ root_ca_crl: garbageHex })),
  },
  rootCrlTrailingByte: {
    rule: 'RootCrlMalformed',
    description: 'A byte follows the root CRL.',
    ...changeCollateral(({ root_ca_crl }) => ({ root_ca_crl: `${root_ca_crl}00` })),
  },
  rootCrlWrongIssuer: {
    rule: 'RootCrlIssuerMismatch',
    description: 'The root CRL names another issuer, under the right signature.',
    blueprint: (blueprint) => ({
      ...blueprint,
      rootCrl: { ...blueprint.rootCrl, issuer: otherOrganization(commonNames.root) },
    }),
  },
  rootCrlForged: {
    rule: 'RootCrlSignatureInvalid',
    description: 'The root CRL is signed by a key that is not the root.',
    blueprint: (blueprint, options) => ({
      ...blueprint,
      rootCrl: { ...blueprint.rootCrl, signer: rogueKey(options) },
    }),
  },
  rootCrlBitFlipped: {
    rule: 'RootCrlSignatureInvalid',
    description: "The last bit of the root CRL's signature is flipped.",
    ...changeCollateral(({ root_ca_crl }) => ({ root_ca_crl: flipLastBit(root_ca_crl) })),
  },
  rootRevoked: {
    rule: 'RootCertificateRevoked',
    description: 'The root CRL lists the root itself.',
    blueprint: (blueprint) => revokeByRoot(blueprint, blueprint.root.serial),
  },

  // Collateral: PCK CA
  pckCaGarbage: {
    rule: 'PckCaMalformed',
    description: 'The PCK CA is no certificate.',
    ...changeCollateral(({ pck_crl_issuer_chain }) => ({
      pck_crl_issuer_chain: garbagePem + lastPem(pck_crl_issuer_chain),
    })),
  },
  pckCaWrongName: {
    rule: 'PckCaNameMismatch',
    description: 'The PCK CA bears the name of the TCB signer.',
    blueprint: (blueprint) => renamePckCa(blueprint, commonNames.tcbSigning),
  },
  pckCaNotChaining: {
    rule: 'PckCaIssuerMismatch',
    description: "The PCK CA names another issuer, under the root's signature.",
    ...changeCertificate('pckCa', () => ({ issuer: otherOrganization(commonNames.root) })),
  },
  pckCaWithoutCaFlag: {
    rule: 'PckCaUsageInvalid',
    description: "The PCK CA's basic constraints deny that it is an authority.",
    ...changeCertificate('pckCa', () => ({ basicConstraints: { isCa: false } })),
  },
  pckCaWithoutBasicConstraints: {
    rule: 'PckCaUsageInvalid',
    description: 'The PCK CA has no basic constraints.',
    ...changeCertificate('pckCa', () => ({ basicConstraints: undefined })),
  },
  pckCaWithoutKeyUsage: {
    rule: 'PckCaUsageInvalid',
    description: 'The PCK CA has no key usage.',
    ...changeCertificate('pckCa', () => ({ keyUsage: undefined })),
  },
  pckCaKeyUsageWrong: {
    rule: 'PckCaUsageInvalid',
    description: "The PCK CA's key may sign data, not certificates.",
    ...changeCertificate('pckCa', () => ({ keyUsage: ['digitalSignature'] })),
  },
  pckCaMayNotSignCrls: {
    rule: 'PckCaUsageInvalid',
    description: "The PCK CA's key may sign certificates, not revocation lists.",
    ...changeCertificate('pckCa', () => ({ keyUsage: ['keyCertSign'] })),
  },
  pckCaForged: {
    rule: 'PckCaSignatureInvalid',
    description: 'The PCK CA is signed by a key that is not the root.',
    ...changeCertificate('pckCa', (_, options) => ({ signer: rogueKey(options) })),
  },
  pckCaBitFlipped: {
    rule: 'PckCaSignatureInvalid',
    description: "The last bit of the PCK CA's signature is flipped.",
    certificates: (certificates) => ({ ...certificates, pckCa: spoil(certificates.pckCa) }),
  },
  pckCaRevoked: {
    rule: 'PckCaRevoked',
    description: 'The root CRL lists the PCK CA.',
    blueprint: (blueprint) => revokeByRoot(blueprint, blueprint.pckCa.serial),
  },

  // Collateral: PCK CRL
  pckCrlEmpty: {
    rule: 'PckCrlMalformed',
    description: 'The PCK CRL has no bytes.',
    ...changeCollateral(() => ({ pck_crl: '' })),
  },
  pckCrlGarbage: {
    rule: 'PckCrlMalformed',
    description: 'The PCK CRL is no DER.',
    ...changeCollateral(() => ({ pck_crl: garbageHex })),
  },
  pckCrlTruncated: {
    rule: 'PckCrlMalformed',
    description: 'The PCK CRL lacks its last byte.',
    ...changeCollateral(({ pck_crl }) => ({ pck_crl: pck_crl.slice(0, -2) })),
  },
  pckCrlWrongIssuer: {
    rule: 'PckCrlIssuerMismatch',
    description: 'The PCK CRL is the Processor CA’s by name, under the Platform CA’s signature.',
    blueprint: (blueprint) => ({
      ...blueprint,
      pckCrl: { ...blueprint.pckCrl, issuer: localNames.pckProcessorCa },
    }),
  },
  pckCrlIsRootCrl: {
    rule: 'PckCrlIssuerMismatch',
    description: 'The root CRL stands in for the PCK CRL.',
    ...changeCollateral(({ root_ca_crl }) => ({ pck_crl: root_ca_crl })),
  },
  pckCrlForged: {
    rule: 'PckCrlSignatureInvalid',
    description: 'The PCK CRL is signed by a key that is not the PCK CA.',
    blueprint: (blueprint, options) => ({
      ...blueprint,
      pckCrl: { ...blueprint.pckCrl, signer: rogueKey(options) },
    }),
  },
  pckCrlBitFlipped: {
    rule: 'PckCrlSignatureInvalid',
    description: "The last bit of the PCK CRL's signature is flipped.",
    ...changeCollateral(({ pck_crl }) => ({ pck_crl: flipLastBit(pck_crl) })),
  },
  pckCrlEntryRemoved: {
    rule: 'PckCrlSignatureInvalid',
    description: 'An entry is taken out of the PCK CRL, under the signature over the whole list.',
    ...changeCollateral((_, options) => {
      const { pckCrl } = createBlueprint(options)
      const shortened = { ...pckCrl, revoked: pckCrl.revoked.slice(1) }
      return { pck_crl: Buffer.from(encodeCrl(shortened, pckCrl)).toString('hex') }
    }),
  },

  // Collateral: TCB signing certificate
  tcbSigningGarbage: {
    rule: 'TcbSigningMalformed',
    description: 'The TCB signing certificate is no certificate.',
    ...changeCollateral(({ tcb_info_issuer_chain }) => ({
      tcb_info_issuer_chain: garbagePem + lastPem(tcb_info_issuer_chain),
    })),
  },
  tcbSigningWrongName: {
    rule: 'TcbSigningNameMismatch',
    description: 'TCB info and QE identity are signed by a certificate with the name of a PCK.',
    ...changeCertificate('tcbSigning', () => ({ subject: localNames.pck })),
  },
  tcbSigningIsPckCa: {
    rule: 'TcbSigningNameMismatch',
    description: 'The PCK CA signs TCB info and QE identity.',
    blueprint: (blueprint) => {
      const { signer } = blueprint.pck
      return {
        ...blueprint,
        tcbSigning: blueprint.pckCa,
        tcbInfoSigner: signer,
        qeIdentitySigner: signer,
      }
    },
  },
  tcbSigningNotChaining: {
    rule: 'TcbSigningIssuerMismatch',
    description: "The TCB signing certificate names another issuer, under the root's signature.",
    ...changeCertificate('tcbSigning', () => ({ issuer: otherOrganization(commonNames.root) })),
  },
  tcbSigningKeyUsageWrong: {
    rule: 'TcbSigningUsageInvalid',
    description: "The TCB signing certificate's key may sign certificates, not data.",
    ...changeCertificate('tcbSigning', () => ({ keyUsage: ['keyCertSign'] })),
  },
  tcbSigningIsAuthority: {
    rule: 'TcbSigningUsageInvalid',
    description: 'The TCB signing certificate is an authority.',
    ...changeCertificate('tcbSigning', () => ({ basicConstraints: { isCa: true } })),
  },
  tcbSigningForged: {
    rule: 'TcbSigningSignatureInvalid',
    description: 'The TCB signing certificate is signed by a key that is not the root.',
    ...changeCertificate('tcbSigning', (_, options) => ({ signer: rogueKey(options) })),
  },
  tcbSigningRevoked: {
    rule: 'TcbSigningRevoked',
    description: 'The root CRL lists the TCB signing certificate.',
    blueprint: (blueprint) => revokeByRoot(blueprint, blueprint.tcbSigning.serial),
  },
  qeIdentitySigningRevoked: {
    rule: 'TcbSigningRevoked',
    description: 'The QE identity has a signing certificate of its own, which is revoked.',
    blueprint: (blueprint, options) =>
      revokeByRoot(
        { ...blueprint, qeIdentitySigner: rogueKey(options) },
        keyIdentifier(rogueKey(options).publicKey),
      ),
    collateral: (collateral, options) => ({
      ...collateral,
      qe_identity_issuer_chain:
        pemChain(secondTcbSigning(options)) + lastPem(collateral.qe_identity_issuer_chain),
    }),
  },

  // Collateral: TCB info
  tcbInfoForged: {
    rule: 'TcbInfoSignatureInvalid',
    description: 'The TCB info is signed by a key that is not the TCB signer.',
    blueprint: (blueprint, options) => ({ ...blueprint, tcbInfoSigner: rogueKey(options) }),
  },
  tcbInfoSignedByPckCa: {
    rule: 'TcbInfoSignatureInvalid',
    description: 'The TCB info is signed by the PCK CA, under the chain of the TCB signer.',
    blueprint: (blueprint) => ({ ...blueprint, tcbInfoSigner: blueprint.pck.signer }),
  },
  tcbInfoReformatted: {
    rule: 'TcbInfoSignatureInvalid',
    description: 'The TCB info means the same and has a space more.',
    ...changeCollateral(({ tcb_info }) => ({ tcb_info: tcb_info.replace('{', '{ ') })),
  },
  tcbInfoStatusRaised: {
    rule: 'TcbInfoSignatureInvalid',
    description: 'OutOfDate is rewritten to UpToDate in the TCB info.',
    options: (options) => ({ ...options, tcbStatus: 'OutOfDate' }),
    ...changeCollateral(({ tcb_info }) => ({
      tcb_info: tcb_info.replaceAll('OutOfDate', 'UpToDate'),
    })),
  },
  tcbInfoSignatureZero: {
    rule: 'TcbInfoSignatureInvalid',
    description: "The TCB info's signature is zero.",
    ...changeCollateral(() => ({ tcb_info_signature: '00'.repeat(64) })),
  },
  tcbInfoNotJson: {
    rule: 'TcbInfoMalformed',
    description: 'The signed TCB info is not JSON.',
    blueprint: (blueprint) => ({ ...blueprint, tcbInfoText: 'UpToDate' }),
  },
  tcbInfoWithoutLevels: {
    rule: 'TcbInfoMalformed',
    description: 'The signed TCB info has no tcbLevels.',
    ...changeTcbInfo((info) => without(info, 'tcbLevels') as TcbInfo),
  },
  tcbInfoFifteenComponents: {
    rule: 'TcbInfoMalformed',
    description: 'A TCB level lists 15 SGX components.',
    ...raiseLevels({ sgxtcbcomponents: sgxComponents().slice(1) }),
  },
  tcbInfoSvnTooLarge: {
    rule: 'TcbInfoMalformed',
    description: 'A component SVN is 256.',
    ...raiseLevels({ tdxtcbcomponents: tdxComponents(256) }),
  },
  tcbInfoUnknownStatus: {
    rule: 'TcbInfoMalformed',
    description: 'A TCB level has a status that Intel never published.',
    ...changeTcbInfo((info) => ({
      ...info,
      tcbLevels: info.tcbLevels.map((level) => ({
        ...level,
        tcbStatus: 'Excellent' as TcbLevel['tcbStatus'],
      })),
    })),
  },
  tcbInfoWithoutModule: {
    rule: 'TcbInfoMalformed',
    description: 'The signed TCB info of TDX has no tdxModule.',
    ...changeTcbInfo((info) => without(info, 'tdxModule')),
  },
  tcbInfoWrongId: {
    rule: 'TcbInfoUnsupported',
    description: 'The TCB info is neither of TDX nor of SGX.',
    ...changeTcbInfo((info) => ({ ...info, id: 'TDY' })),
  },
  tcbInfoWrongVersion: {
    rule: 'TcbInfoUnsupported',
    description: 'The TCB info is of version 4.',
    ...changeTcbInfo((info) => ({ ...info, version: 4 })),
  },
  tcbInfoWrongType: {
    rule: 'TcbInfoUnsupported',
    description: 'The TCB info compares in a way that is not defined: tcbType 1.',
    ...changeTcbInfo((info) => ({ ...info, tcbType: 1 })),
  },

  // Collateral: QE identity
  qeIdentityForged: {
    rule: 'QeIdentitySignatureInvalid',
    description: 'The QE identity is signed by a key that is not the TCB signer.',
    blueprint: (blueprint, options) => ({ ...blueprint, qeIdentitySigner: rogueKey(options) }),
  },
  qeIdentityReformatted: {
    rule: 'QeIdentitySignatureInvalid',
    description: 'The QE identity means the same and has a space more.',
    ...changeCollateral(({ qe_identity }) => ({ qe_identity: qe_identity.replace('{', '{ ') })),
  },
  qeIdentityMrSignerExchanged: {
    rule: 'QeIdentitySignatureInvalid',
    description: "The QE identity's mrsigner is exchanged after signing.",
    ...changeCollateral(({ qe_identity }) => ({
      qe_identity: qe_identity.replace(/"mrsigner":"[0-9A-F]+"/, `"mrsigner":"${'AB'.repeat(32)}"`),
    })),
  },
  qeIdentityEmptyObject: {
    rule: 'QeIdentityMalformed',
    description: 'The signed QE identity is {}.',
    blueprint: (blueprint) => ({ ...blueprint, qeIdentityText: '{}' }),
  },
  qeIdentityNotJson: {
    rule: 'QeIdentityMalformed',
    description: 'The signed QE identity is not JSON.',
    blueprint: (blueprint) => ({ ...blueprint, qeIdentityText: 'TD_QE' }),
  },
  qeIdentityOfSgx: {
    rule: 'QeIdentityUnsupported',
    description: 'The QE identity is that of the SGX quoting enclave.',
    ...changeQeIdentity((identity) => ({ ...identity, id: 'QE' })),
  },
  qeIdentityWrongVersion: {
    rule: 'QeIdentityUnsupported',
    description: 'The QE identity is of version 99.',
    ...changeQeIdentity((identity) => ({ ...identity, version: 99 })),
  },

  // The pinned root itself
  rootWithoutCaFlag: {
    rule: 'RootCertificateUnusable',
    description: 'The pinned root is no authority.',
    ...changeCertificate('root', () => ({ basicConstraints: { isCa: false } })),
  },
  rootWrongName: {
    rule: 'RootCertificateUnusable',
    description: 'The pinned root bears the name of a PCK CA.',
    ...changeCertificate('root', () => ({
      subject: localNames.pckPlatformCa,
      issuer: localNames.pckPlatformCa,
    })),
  },
  rootNotSelfSigned: {
    rule: 'RootCertificateUnusable',
    description: 'The pinned root is signed by another key.',
    ...changeCertificate('root', (_, options) => ({ signer: rogueKey(options) })),
  },

  // Windows
  rootNotYetValid: {
    rule: 'RootCertificateNotYetValid',
    description: 'The root certificate begins a second from now.',
    ...changeCertificate('root', (_, { now }) => ({ notBefore: now + 1 })),
  },
  rootExpired: {
    rule: 'RootCertificateExpired',
    description: 'The root certificate ended a second ago.',
    ...changeCertificate('root', (_, { now }) => ({ notAfter: now - 1 })),
  },
  rootCrlNotYetValid: {
    rule: 'RootCrlNotYetValid',
    description: 'The root CRL begins a second from now.',
    blueprint: (blueprint, { now }) => ({
      ...blueprint,
      rootCrl: { ...blueprint.rootCrl, thisUpdate: now + 1 },
    }),
  },
  rootCrlExpired: {
    rule: 'RootCrlExpired',
    description: 'The next root CRL was due a second ago.',
    blueprint: (blueprint, { now }) => ({
      ...blueprint,
      rootCrl: { ...blueprint.rootCrl, nextUpdate: now - 1 },
    }),
  },
  pckCaNotYetValid: {
    rule: 'PckCaNotYetValid',
    description: 'The PCK CA begins a second from now.',
    ...changeCertificate('pckCa', (_, { now }) => ({ notBefore: now + 1 })),
  },
  pckCaExpired: {
    rule: 'PckCaExpired',
    description: 'The PCK CA ended a second ago.',
    ...changeCertificate('pckCa', (_, { now }) => ({ notAfter: now - 1 })),
  },
  pckCrlNotYetValid: {
    rule: 'PckCrlNotYetValid',
    description: 'The PCK CRL begins a second from now.',
    blueprint: (blueprint, { now }) => ({
      ...blueprint,
      pckCrl: { ...blueprint.pckCrl, thisUpdate: now + 1 },
    }),
  },
  pckCrlExpired: {
    rule: 'PckCrlExpired',
    description: 'The next PCK CRL was due a second ago, while all else is in force.',
    blueprint: (blueprint, { now }) => ({
      ...blueprint,
      pckCrl: { ...blueprint.pckCrl, nextUpdate: now - 1 },
    }),
  },
  tcbSigningNotYetValid: {
    rule: 'TcbSigningNotYetValid',
    description: 'The TCB signing certificate begins a second from now.',
    ...changeCertificate('tcbSigning', (_, { now }) => ({ notBefore: now + 1 })),
  },
  tcbSigningExpired: {
    rule: 'TcbSigningExpired',
    description: 'The TCB signing certificate ended a second ago.',
    ...changeCertificate('tcbSigning', (_, { now }) => ({ notAfter: now - 1 })),
  },
  tcbInfoNotYetValid: {
    rule: 'TcbInfoNotYetValid',
    description: 'The TCB info is issued a second from now.',
    ...changeTcbInfo((info, now) => ({ ...info, issueDate: toInstant(now + 1) })),
  },
  tcbInfoExpired: {
    rule: 'TcbInfoExpired',
    description: 'The next TCB info was due a second ago.',
    ...changeTcbInfo((info, now) => ({ ...info, nextUpdate: toInstant(now - 1) })),
  },
  qeIdentityNotYetValid: {
    rule: 'QeIdentityNotYetValid',
    description: 'The QE identity is issued a second from now.',
    ...changeQeIdentity((identity, now) => ({ ...identity, issueDate: toInstant(now + 1) })),
  },
  qeIdentityExpired: {
    rule: 'QeIdentityExpired',
    description: 'The next QE identity was due a second ago.',
    ...changeQeIdentity((identity, now) => ({ ...identity, nextUpdate: toInstant(now - 1) })),
  },

  // Quote: format
  quoteTooLarge: {
    rule: 'QuoteTooLarge',
    description: 'So many zeros follow the quote that it has 16 385 bytes.',
    bytes: (quote) => concatBytes(quote, new Uint8Array(16_385 - quote.length)),
  },
  quoteEmpty: cutTo(0, 'which is none'),
  quoteCutInVersion: cutTo(1, 'within the version'),
  quoteCutInHeader: cutTo(47, 'a byte short of the header'),
  quoteCutAfterHeader: cutTo(48, 'at the end of the header'),
  quoteCutInBody: cutTo(authSizeAt - 1, 'a byte short of the TD report'),
  quoteCutAfterBody: cutTo(authSizeAt, 'at the end of the TD report'),
  quoteCutInAuthSize: cutTo(authDataAt - 1, 'within the length of the signature data'),
  quoteCutAfterAuthSize: cutTo(authDataAt, 'before the signature data'),
  quoteCutInSignature: cutTo(attestationKeyAt - 1, 'within the signature'),
  quoteCutInAttestationKey: cutTo(outerTypeAt - 1, 'within the attestation key'),
  quoteCutBeforeQeReport: cutTo(qeReportAt, 'before the QE report'),
  quoteCutInQeReport: cutTo(qeSignatureAt - 1, 'within the QE report'),
  quoteCutInQeSignature: cutTo(qeAuthSizeAt - 1, "within the QE report's signature"),
  quoteCutInQeAuthData: cutTo(innerTypeAt - 1, 'within the QE authentication data'),
  quoteCutBeforePckChain: cutTo(pckChainAt, 'before the PCK chain'),
  quoteCutAtLastByte: {
    rule: 'QuoteTruncated',
    description: 'The quote lacks its last byte.',
    bytes: (quote) => quote.slice(0, -1),
  },
  authSizeTooLong: lengthField(
    authSizeAt,
    1,
    'QuoteTruncated',
    'The signature data claims one byte more than there is.',
  ),
  authSizeTooShort: lengthField(
    authSizeAt,
    -1,
    'AuthDataMalformed',
    'The signature data claims one byte less than it holds.',
  ),
  authSizeZero: {
    rule: 'AuthDataMalformed',
    description: 'The signature data is empty, and nothing follows.',
    bytes: (quote) => overwrite(quote.slice(0, authDataAt), authSizeAt, uint32(0)),
  },
  authSizeHuge: {
    rule: 'QuoteTruncated',
    description: 'The signature data claims four gigabytes.',
    ...atByte(authSizeAt, 0xff, 0xff, 0xff, 0xff),
  },
  outerSizeTooLong: lengthField(
    outerSizeAt,
    1,
    'AuthDataMalformed',
    'The QE certification data claims one byte more than there is.',
  ),
  outerSizeTooShort: lengthField(
    outerSizeAt,
    -1,
    'AuthDataMalformed',
    'The QE certification data claims one byte less than it holds.',
  ),
  qeAuthSizeHuge: {
    rule: 'AuthDataMalformed',
    description: 'The QE authentication data claims 65535 bytes.',
    ...atByte(qeAuthSizeAt, 0xff, 0xff),
  },
  innerSizeTooLong: lengthField(
    innerSizeAt,
    1,
    'AuthDataMalformed',
    'The PCK chain claims one byte more than there is.',
  ),
  innerSizeTooShort: lengthField(
    innerSizeAt,
    -1,
    'AuthDataMalformed',
    'The PCK chain claims one byte less than it holds.',
  ),
  versionTwo: {
    rule: 'QuoteVersionUnsupported',
    description: 'The quote is of version 2.',
    ...atByte(0, ...uint16(2)),
  },
  versionSix: {
    rule: 'QuoteVersionUnsupported',
    description: 'The quote is of version 6.',
    ...atByte(0, ...uint16(6)),
  },
  attestationKeyTypeP384: {
    rule: 'AttestationKeyTypeUnsupported',
    description: 'The attestation key is ECDSA over P-384: type 3.',
    ...atByte(2, ...uint16(3)),
  },
  attestationKeyTypeEpid: {
    rule: 'AttestationKeyTypeUnsupported',
    description: 'The attestation key is EPID: type 0.',
    ...atByte(2, ...uint16(0)),
  },
  teeTypeUnknown: {
    rule: 'TeeTypeUnsupported',
    description: 'The TEE type is 0x82.',
    ...atByte(4, ...uint32(0x82)),
  },
  teeTypeSgxInVersion4: {
    rule: 'TeeTypeUnsupported',
    description: 'A version 4 quote calls itself SGX.',
    ...atByte(4, ...uint32(0)),
  },
  bodyTypeUnknown: {
    rule: 'QuoteBodyUnsupported',
    description: 'The body of a version 5 quote is of type 4.',
    ...version5,
    ...atByte(48, ...uint16(4)),
  },
  bodyTypeSgxInTdx: {
    rule: 'QuoteBodyUnsupported',
    description: 'The body of a version 5 TDX quote claims to be an enclave report.',
    ...version5,
    ...atByte(48, ...uint16(1)),
  },
  bodySizeTooLong: {
    rule: 'QuoteBodyUnsupported',
    description: 'The body of a version 5 quote claims one byte more than its type has.',
    ...version5,
    ...atByte(50, ...uint32(649)),
  },
  bodySizeOfTd10: {
    rule: 'QuoteBodyUnsupported',
    description: 'The body of a version 5 quote has the type of TD 1.5 and the size of TD 1.0.',
    ...version5,
    ...atByte(50, ...uint32(584)),
  },
  outerTypeUnknown: {
    rule: 'CertificationDataUnsupported',
    description: 'The outer certification data is a PCK chain: type 5 where 6 belongs.',
    ...atByte(outerTypeAt, ...uint16(5)),
  },
  innerTypeEncryptedPpid: {
    rule: 'CertificationDataUnsupported',
    description: 'The inner certification data is an encrypted PPID: type 3.',
    ...atByte(innerTypeAt, ...uint16(3)),
  },
  innerTypeNested: {
    rule: 'CertificationDataUnsupported',
    description: 'The inner certification data is once more a QE report: type 6.',
    ...atByte(innerTypeAt, ...uint16(6)),
  },
  trailingBytes: {
    rule: 'TrailingBytesNotZero',
    description: 'A byte that is not zero follows the signature data.',
    bytes: (quote) => concatBytes(quote, Uint8Array.of(0, 1)),
  },

  // Quote: genuineness
  qeVendorUnknown: {
    rule: 'QeVendorUnknown',
    description: "The quoting enclave's vendor is not Intel.",
    blueprint: (blueprint) => ({
      ...blueprint,
      header: { ...blueprint.header, qeVendorId: new Uint8Array(16).fill(0xab) },
    }),
  },
  tcbInfoOfSgx: {
    rule: 'TeeMismatch',
    description: 'TCB info and QE identity are those of SGX, the quote is of TDX.',
    blueprint: (blueprint) => ({
      ...blueprint,
      tcbInfo: { ...blueprint.tcbInfo, id: 'SGX' },
      qeIdentity: { ...blueprint.qeIdentity, id: 'QE' },
    }),
  },
  pckChainNotPem: {
    rule: 'PckChainMalformed',
    description: 'The PCK chain is not PEM.',
    parts: (parts) => ({ ...parts, pckChain: new Uint8Array(64).fill(0x41) }),
  },
  pckChainEmpty: {
    rule: 'PckChainMalformed',
    description: 'The PCK chain is empty.',
    parts: (parts) => ({ ...parts, pckChain: new Uint8Array(0) }),
  },
  pckChainTooShort: {
    rule: 'PckChainMalformed',
    description: 'The PCK chain ends with the PCK CA.',
    parts: (parts) => ({
      ...parts,
      pckChain: utf8(pemBlocks(parts.pckChain).slice(0, 2).join('')),
    }),
  },
  pckChainTooLong: {
    rule: 'PckChainMalformed',
    description: 'The PCK chain has a fourth certificate.',
    parts: (parts) => {
      const [leaf = '', ...authorities] = pemBlocks(parts.pckChain)
      return { ...parts, pckChain: utf8([leaf, leaf, ...authorities].join('')) }
    },
  },
  pckChainForeignRoot: {
    rule: 'PckChainRootMismatch',
    description: 'The PCK chain ends with another root.',
    parts: (parts, options) => ({
      ...parts,
      pckChain: utf8(
        pemBlocks(parts.pckChain).slice(0, 2).join('') +
          pemChain(foreign(options).certificates.root),
      ),
    }),
  },
  pckChainForeign: {
    rule: 'PckChainRootMismatch',
    description: 'The quote is genuine, on another platform.',
    parts: (parts, options) => {
      const { pck, pckCa, root } = foreign(options).certificates
      return { ...parts, pckChain: quotePckChain(pck, pckCa, root) }
    },
  },
  pckChainOtherCa: {
    rule: 'PckChainCaMismatch',
    description: "The PCK chain has another CA under the right root than the PCK CRL's.",
    parts: (parts, options) => {
      const [leaf = '', , root = ''] = pemBlocks(parts.pckChain)
      return {
        ...parts,
        pckChain: utf8(leaf + pemChain(createPlatform(options).certificates.processorCa) + root),
      }
    },
  },
  pckChainReversed: {
    rule: 'PckChainRootMismatch',
    description: 'The PCK chain is written root first.',
    parts: (parts) => ({
      ...parts,
      pckChain: utf8(pemBlocks(parts.pckChain).toReversed().join('')),
    }),
  },
  pckGarbage: {
    rule: 'PckMalformed',
    description: 'The PCK certificate is no certificate.',
    parts: (parts) => {
      const [, ...authorities] = pemBlocks(parts.pckChain)
      return { ...parts, pckChain: utf8(garbagePem + authorities.join('')) }
    },
  },
  pckTrailingByte: {
    rule: 'PckMalformed',
    description: 'A byte follows the PCK certificate.',
    certificates: (certificates) => ({
      ...certificates,
      pck: concatBytes(certificates.pck, Uint8Array.of(0)),
    }),
  },
  pckUnknownCriticalExtension: {
    rule: 'PckMalformed',
    description: 'The PCK certificate has a critical extension that nobody knows.',
    ...changeCertificate('pck', () => ({
      extensions: [{ oid: '1.3.6.1.4.1.99999.1', isCritical: true, value: derInteger(1) }],
    })),
  },
  pckWrongName: {
    rule: 'PckNameMismatch',
    description: 'The PCK certificate bears the name of the TCB signer.',
    ...changeCertificate('pck', () => ({ subject: localNames.tcbSigning })),
  },
  pckIsTcbSigning: {
    rule: 'PckNameMismatch',
    description: 'The TCB signer certifies the quoting enclave.',
    blueprint: (blueprint) => ({ ...blueprint, qeReportSigner: blueprint.tcbInfoSigner }),
    certificates: (certificates) => ({ ...certificates, pck: certificates.tcbSigning }),
  },
  pckNotChaining: {
    rule: 'PckIssuerMismatch',
    description: "The PCK certificate names the Processor CA, under the Platform CA's signature.",
    ...changeCertificate('pck', () => ({ issuer: localNames.pckProcessorCa })),
  },
  pckIsAuthority: {
    rule: 'PckUsageInvalid',
    description: 'The PCK certificate is an authority.',
    ...changeCertificate('pck', () => ({ basicConstraints: { isCa: true } })),
  },
  pckKeyUsageWrong: {
    rule: 'PckUsageInvalid',
    description: "The PCK certificate's key may sign certificates, not data.",
    ...changeCertificate('pck', () => ({ keyUsage: ['keyCertSign'] })),
  },
  pckWithoutBasicConstraints: {
    rule: 'PckUsageInvalid',
    description: 'The PCK certificate has no basic constraints.',
    ...changeCertificate('pck', () => ({ basicConstraints: undefined })),
  },
  pckForged: {
    rule: 'PckSignatureInvalid',
    description: 'The PCK certificate is signed by a key that is not the PCK CA.',
    ...changeCertificate('pck', (_, options) => ({ signer: rogueKey(options) })),
  },
  pckSignedByRoot: {
    rule: 'PckSignatureInvalid',
    description: 'The PCK certificate is signed by the root, past its CA.',
    blueprint: (blueprint) => ({
      ...blueprint,
      pck: { ...blueprint.pck, signer: blueprint.root.signer },
    }),
  },
  pckBitFlipped: {
    rule: 'PckSignatureInvalid',
    description: "The last bit of the PCK certificate's signature is flipped.",
    certificates: (certificates) => ({ ...certificates, pck: spoil(certificates.pck) }),
  },
  pckNotYetValid: {
    rule: 'PckNotYetValid',
    description: 'The PCK certificate begins a second from now.',
    ...changeCertificate('pck', (_, { now }) => ({ notBefore: now + 1 })),
  },
  pckExpired: {
    rule: 'PckExpired',
    description: 'The PCK certificate ended a second ago.',
    ...changeCertificate('pck', (_, { now }) => ({ notAfter: now - 1 })),
  },
  pckRevoked: {
    rule: 'PckRevoked',
    description: 'The PCK CRL lists the PCK certificate.',
    blueprint: (blueprint, { now }) => ({
      ...blueprint,
      pckCrl: {
        ...blueprint.pckCrl,
        revoked: [
          ...blueprint.pckCrl.revoked,
          { serial: blueprint.pck.serial, revokedAt: now - 60 },
        ],
      },
    }),
  },
  pckWithoutSgxExtension: {
    rule: 'PckExtensionMalformed',
    description: 'The PCK certificate has no SGX extension.',
    blueprint: (blueprint) => ({ ...blueprint, sgx: undefined }),
  },
  pckPpidTooShort: {
    rule: 'PckExtensionMalformed',
    description: 'The PPID has 15 bytes.',
    blueprint: (blueprint) => changeSgx(blueprint, { ppid: new Uint8Array(15) }),
  },
  pckFmspcTooLong: {
    rule: 'PckExtensionMalformed',
    description: 'The FMSPC has 7 bytes.',
    blueprint: (blueprint) => changeSgx(blueprint, { fmspc: new Uint8Array(7) }),
  },
  pckFifteenComponents: {
    rule: 'PckExtensionMalformed',
    description: 'The PCK certificate lists 15 component SVNs.',
    blueprint: (blueprint) =>
      changeSgx(blueprint, { sgxSvns: blueprint.sgx?.sgxSvns.slice(0, 15) ?? [] }),
  },
  pckComponentTooLarge: {
    rule: 'PckExtensionMalformed',
    description: 'A component SVN of the PCK certificate is 256.',
    blueprint: (blueprint) =>
      changeSgx(blueprint, { sgxSvns: [256, ...(blueprint.sgx?.sgxSvns.slice(1) ?? [])] }),
  },
  fmspcMismatch: {
    rule: 'FmspcMismatch',
    description: 'The TCB info is of another family of platforms.',
    ...changeTcbInfo((info) => ({ ...info, fmspc: 'B0C06F000000' })),
  },
  pceIdMismatch: {
    rule: 'PceIdMismatch',
    description: 'The TCB info is of another provisioning enclave.',
    ...changeTcbInfo((info) => ({ ...info, pceId: '0001' })),
  },
  qeReportForged: {
    rule: 'QeReportSignatureInvalid',
    description: 'The QE report is signed by a key that is not the PCK.',
    blueprint: (blueprint, options) => ({ ...blueprint, qeReportSigner: rogueKey(options) }),
  },
  qeReportBitFlipped: {
    rule: 'QeReportSignatureInvalid',
    description: "A bit of the QE report's measurement is flipped.",
    parts: (parts) => ({ ...parts, qeReport: flipBit(parts.qeReport, 64) }),
  },
  qeReportSignatureZero: {
    rule: 'QeReportSignatureInvalid',
    description: "The QE report's signature is zero.",
    parts: (parts) => ({ ...parts, qeReportSignature: new Uint8Array(64) }),
  },
  attestationKeyExchanged: {
    rule: 'AttestationKeyNotBound',
    description: 'The quote is signed by a key that the QE report does not vouch for.',
    blueprint: (blueprint, options) => ({
      ...blueprint,
      attestationKey: rogueKey(options),
      attestationPublicKey: rogueKey(options).publicKey,
    }),
  },
  qeAuthDataExchanged: {
    rule: 'AttestationKeyNotBound',
    description: 'The QE authentication data is not what the QE report was made over.',
    parts: (parts) => ({ ...parts, qeAuthData: flipBit(parts.qeAuthData, 0) }),
  },
  qeAuthDataDropped: {
    rule: 'AttestationKeyNotBound',
    description: 'The QE authentication data is left out.',
    parts: (parts) => ({ ...parts, qeAuthData: new Uint8Array(0) }),
  },
  attestationKeyNotOnCurve: {
    rule: 'AttestationKeyInvalid',
    description: 'The QE report vouches for an attestation key that is no point of P-256.',
    blueprint: (blueprint) => {
      const notAPoint = flipBit(blueprint.attestationPublicKey, 63)
      return { ...blueprint, attestationPublicKey: notAPoint, boundPublicKey: notAPoint }
    },
  },
  attestationKeyZero: {
    rule: 'AttestationKeyInvalid',
    description: 'The QE report vouches for the attestation key zero.',
    blueprint: (blueprint) => ({
      ...blueprint,
      attestationPublicKey: new Uint8Array(64),
      boundPublicKey: new Uint8Array(64),
    }),
  },
  quoteSignatureZero: {
    rule: 'QuoteSignatureInvalid',
    description: "The quote's signature is zero.",
    parts: (parts) => ({ ...parts, signature: new Uint8Array(64) }),
  },
  quoteSignatureBitFlipped: {
    rule: 'QuoteSignatureInvalid',
    description: "The last bit of the quote's signature is flipped.",
    parts: (parts) => ({ ...parts, signature: flipBit(parts.signature, 63) }),
  },
  quoteReportDataPatched: {
    rule: 'QuoteSignatureInvalid',
    description: "Report data is written into a signed quote, as upstream's simulator does.",
    parts: (parts) => ({ ...parts, signedPart: flipBit(parts.signedPart, 48 + 520) }),
  },
  quoteMeasurementPatched: {
    rule: 'QuoteSignatureInvalid',
    description: 'MRTD is rewritten in a signed quote.',
    parts: (parts) => ({ ...parts, signedPart: flipBit(parts.signedPart, 48 + 136) }),
  },
  quoteHeaderPatched: {
    rule: 'QuoteSignatureInvalid',
    description: "The header's user data is rewritten in a signed quote.",
    parts: (parts) => ({ ...parts, signedPart: flipBit(parts.signedPart, 28) }),
  },
  quoteDebugBitPatched: {
    rule: 'QuoteSignatureInvalid',
    description: 'The debug bit of a signed debug quote is cleared.',
    report: (report) => ({ ...report, tdAttributes: Uint8Array.of(1, 0, 0, 0x10, 0, 0, 0, 0) }),
    parts: (parts) => ({ ...parts, signedPart: flipBit(parts.signedPart, 48 + 120) }),
  },
  qeMrSignerMismatch: {
    rule: 'QeMrSignerMismatch',
    description: 'The certified quoting enclave is signed by somebody else.',
    ...changeQeReport({ mrSigner: new Uint8Array(32).fill(0xab) }),
  },
  qeIsvProdIdMismatch: {
    rule: 'QeIsvProdIdMismatch',
    description: 'The certified quoting enclave is another product: that of SGX.',
    ...changeQeReport({ isvProdId: 1 }),
  },
  qeMiscSelectMismatch: {
    rule: 'QeMiscSelectMismatch',
    description: 'The certified quoting enclave has another MISCSELECT.',
    ...changeQeReport({ miscSelect: Uint8Array.of(1, 0, 0, 0) }),
  },
  qeAttributesMismatch: {
    rule: 'QeAttributesMismatch',
    description: 'The certified quoting enclave may use the provisioning key no more.',
    ...changeQeReport({
      attributes: Uint8Array.of(0x05, ...new Uint8Array(7), 0xe7, ...new Uint8Array(7)),
    }),
  },
  qeDebug: {
    rule: 'QeDebug',
    description: 'The quoting enclave runs in debug mode, and its identity does not mind.',
    blueprint: (blueprint) => ({
      ...blueprint,
      qeReport: {
        ...blueprint.qeReport,
        attributes: Uint8Array.of(0x17, ...new Uint8Array(7), 0xe7, ...new Uint8Array(7)),
      },
      qeIdentity: { ...blueprint.qeIdentity, attributesMask: 'F9FFFFFFFFFFFFFF0000000000000000' },
    }),
  },

  // Quote: what Intel says of this platform
  tdDebug: {
    rule: 'TdDebug',
    description: 'The TD runs in debug mode.',
    ...changeReport({ tdAttributes: Uint8Array.of(1, 0, 0, 0x10, 0, 0, 0, 0) }),
  },
  tdUntrustedBit: {
    rule: 'TdDebug',
    description: 'Another bit of the group that makes a TD untrusted is set.',
    ...changeReport({ tdAttributes: Uint8Array.of(0x80, 0, 0, 0x10, 0, 0, 0, 0) }),
  },
  tdReservedSecurityBit: {
    rule: 'TdAttributesReserved',
    description: 'A reserved bit of the security attributes is set.',
    ...changeReport({ tdAttributes: Uint8Array.of(0, 1, 0, 0x10, 0, 0, 0, 0) }),
  },
  tdReservedOtherBit: {
    rule: 'TdAttributesReserved',
    description: 'A reserved bit of the other attributes is set.',
    ...changeReport({ tdAttributes: Uint8Array.of(0, 0, 0, 0x10, 0, 1, 0, 0) }),
  },
  tdSeptVeDisableClear: {
    rule: 'TdSeptVeDisableClear',
    description: 'SEPT_VE_DISABLE is clear: the host may inject #VE.',
    ...changeReport({ tdAttributes: new Uint8Array(8) }),
  },
  tdxModuleUnknown: {
    rule: 'TdxModuleUnknown',
    description: 'The TDX module is of a major version that the TCB info does not list.',
    ...changeReport({ teeTcbSvn: Uint8Array.of(6, 9, 3, ...new Uint8Array(13)) }),
  },
  mrSignerSeamNotIntel: {
    rule: 'TdxModuleSignerMismatch',
    description: 'The TDX module is signed by somebody other than Intel: MRSIGNERSEAM is not zero.',
    ...changeReport({ mrSignerSeam: new Uint8Array(48).fill(1) }),
  },
  mrSignerSeamNotIntelFirstModule: {
    rule: 'TdxModuleSignerMismatch',
    description: 'The same for a TDX module without a major version.',
    ...changeReport({
      teeTcbSvn: Uint8Array.of(6, 0, 3, ...new Uint8Array(13)),
      mrSignerSeam: new Uint8Array(48).fill(1),
    }),
  },
  moduleIdentitySignerMismatch: {
    rule: 'TdxModuleSignerMismatch',
    description: "The TCB info wants another signer of this module's major version.",
    ...changeTcbInfo((info) => changeModules(info, { mrsigner: 'AB'.repeat(48) })),
  },
  seamAttributesSet: {
    rule: 'TdxModuleAttributesMismatch',
    description: 'SEAMATTRIBUTES is not zero.',
    ...changeReport({ seamAttributes: Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0) }),
  },
  tcbPceSvnTooLow: {
    rule: 'TcbLevelNotFound',
    description: 'Every TCB level wants a newer provisioning enclave.',
    ...raiseLevels({ pcesvn: 14 }),
  },
  tcbSgxComponentTooLow: {
    rule: 'TcbLevelNotFound',
    description: 'Every TCB level wants a newer SGX component.',
    ...raiseLevels({ sgxtcbcomponents: sgxComponents(3, 3, 2, 2, 4, 1, 0, 6) }),
  },
  tcbTdxComponentTooLow: {
    rule: 'TcbLevelNotFound',
    description: 'Every TCB level wants a newer late microcode of TDX.',
    ...raiseLevels({ tdxtcbcomponents: tdxComponents(5, 0, 4) }),
  },
  tcbWithoutLevels: {
    rule: 'TcbLevelNotFound',
    description: 'The TCB info has an empty list of levels.',
    ...changeTcbInfo((info) => ({ ...info, tcbLevels: [] })),
  },
  tdxModuleTooOld: {
    rule: 'TdxModuleTcbLevelNotFound',
    description: 'The TDX module is older than every level of its identity.',
    ...changeTcbInfo((info) =>
      changeModules(info, {
        tcbLevels: [{ tcb: { isvsvn: 7 }, tcbDate: '2025-08-13T00:00:00Z', tcbStatus: 'UpToDate' }],
      }),
    ),
  },
  qeTooOld: {
    rule: 'QeTcbLevelNotFound',
    description: 'The quoting enclave is older than every level of its identity.',
    ...changeQeReport({ isvSvn: 1 }),
  },
  tcbRevoked: {
    rule: 'TcbRevoked',
    description: "The platform's TCB level is revoked.",
    options: (options) => ({ ...options, tcbStatus: 'Revoked' }),
  },
  tdxModuleRevoked: {
    rule: 'TcbRevoked',
    description: "The TDX module's level is revoked.",
    ...changeTcbInfo((info) =>
      changeModules(info, {
        tcbLevels: [{ tcb: { isvsvn: 1 }, tcbDate: '2025-08-13T00:00:00Z', tcbStatus: 'Revoked' }],
      }),
    ),
  },
  qeRevoked: {
    rule: 'TcbRevoked',
    description: "The quoting enclave's level is revoked.",
    ...changeQeIdentity((identity) => ({
      ...identity,
      tcbLevels: [{ tcb: { isvsvn: 1 }, tcbDate: '2025-08-13T00:00:00Z', tcbStatus: 'Revoked' }],
    })),
  },

  // Appraisal policy: genuine evidence that a strict policy for the local image refuses
  evaluationNumberOld: {
    rule: 'EvaluationNumberBelowFloor',
    description: 'The TCB info is of evaluation 17, the QE identity of 20.',
    ...changeTcbInfo((info) => ({ ...info, tcbEvaluationDataNumber: 17 })),
  },
  qeEvaluationNumberOld: {
    rule: 'QeEvaluationNumberBelowFloor',
    description: 'The QE identity is of evaluation 17, the TCB info of 20.',
    ...changeQeIdentity((identity) => ({ ...identity, tcbEvaluationDataNumber: 17 })),
  },
  collateralTooOld: {
    rule: 'CollateralTooOld',
    description: 'TCB info, QE identity and PCK CRL are 29 days old, and in force for another day.',
    blueprint: (blueprint, { now }) => {
      const issuedAt = now - 29 * 86_400
      return {
        ...blueprint,
        tcbInfo: { ...blueprint.tcbInfo, issueDate: toInstant(issuedAt) },
        qeIdentity: { ...blueprint.qeIdentity, issueDate: toInstant(issuedAt) },
        pckCrl: { ...blueprint.pckCrl, thisUpdate: issuedAt, nextUpdate: now + 86_400 },
      }
    },
  },
  tcbGraceExpired: {
    rule: 'TcbGraceExpired',
    description: 'The status is accepted for 30 days, which are over.',
    options: (options) => ({ ...options, tcbStatus: 'ConfigurationAndSWHardeningNeeded' }),
  },
  advisoryDenied: {
    rule: 'AdvisoryDenied',
    description: 'The platform is up to date, and open to an advisory that the policy denies.',
    ...changeTcbInfo((info) => ({
      ...info,
      tcbLevels: info.tcbLevels.map((level) => ({ ...level, advisoryIDs: [deniedAdvisory] })),
    })),
  },
  platformDenied: {
    rule: 'PlatformDenied',
    description: 'The processor package is on the deny list.',
    options: (options) => ({ ...options, ppid: deniedPpid }),
  },
  tcbOutOfDate: {
    rule: 'TcbStatusNotAllowed',
    description: "The platform's TCB is out of date.",
    options: (options) => ({ ...options, tcbStatus: 'OutOfDate' }),
  },
  tcbConfigurationNeeded: {
    rule: 'TcbStatusNotAllowed',
    description: "The platform's firmware is configured unsafely.",
    options: (options) => ({ ...options, tcbStatus: 'ConfigurationNeeded' }),
  },
  tcbSwHardeningNeeded: {
    rule: 'TcbStatusNotAllowed',
    description: 'Software has to harden itself on this platform.',
    options: (options) => ({ ...options, tcbStatus: 'SWHardeningNeeded' }),
  },
  tcbOutOfDateConfigurationNeeded: {
    rule: 'TcbStatusNotAllowed',
    description: "The platform's TCB is out of date and configured unsafely.",
    options: (options) => ({ ...options, tcbStatus: 'OutOfDateConfigurationNeeded' }),
  },
  tdxModuleOutOfDate: {
    rule: 'TcbStatusNotAllowed',
    description: 'The platform is up to date, its TDX module is not.',
    ...changeReport({ teeTcbSvn: Uint8Array.of(5, 1, 3, ...new Uint8Array(13)) }),
  },
  qeOutOfDate: {
    rule: 'TcbStatusNotAllowed',
    description: 'The platform is up to date, its quoting enclave is not.',
    ...changeQeReport({ isvSvn: 3 }),
  },
  ppidUnknown: {
    rule: 'PlatformNotAllowed',
    description: 'Another processor package of the same family.',
    options: (options) => ({ ...options, ppid: '99'.repeat(16) }),
  },
  tdProtectionKeys: {
    rule: 'TdAttributeNotAllowed',
    description: 'The TD may use supervisor protection keys.',
    ...changeReport({ tdAttributes: Uint8Array.of(0, 0, 0, 0x50, 0, 0, 0, 0) }),
  },
  tdKeyLocker: {
    rule: 'TdAttributeNotAllowed',
    description: 'The TD may use Key Locker.',
    ...changeReport({ tdAttributes: Uint8Array.of(0, 0, 0, 0x90, 0, 0, 0, 0) }),
  },
  tdPerfmon: {
    rule: 'TdAttributeNotAllowed',
    description: 'The TD may use performance counters.',
    ...changeReport({ tdAttributes: Uint8Array.of(0, 0, 0, 0x10, 0, 0, 0, 0x80) }),
  },
  serviceTdBound: {
    rule: 'ServiceTdNotAllowed',
    description: 'A service TD is bound: MRSERVICETD is not zero, the TD may migrate.',
    ...version5,
    ...changeReport({ mrServiceTd: new Uint8Array(48).fill(1) }),
  },
  mrTdZero: {
    rule: 'MeasurementZero',
    description: 'MRTD is zero.',
    ...changeReport({ mrTd: new Uint8Array(48) }),
  },
  rtmr1Zero: {
    rule: 'MeasurementZero',
    description: 'RTMR1 is zero: no kernel was measured.',
    ...changeReport({ rtmr1: new Uint8Array(48) }),
  },
  mrConfigIdZero: {
    rule: 'MeasurementZero',
    description: 'MRCONFIGID is zero: no application is bound.',
    ...changeReport({ mrConfigId: new Uint8Array(48) }),
  },
  mrConfigIdUnknownVersion: {
    rule: 'MrConfigIdUnknown',
    description: 'MRCONFIGID is of version 9.',
    report: (report) => ({
      ...report,
      mrConfigId: overwrite(report.mrConfigId, 0, Uint8Array.of(9)),
    }),
  },
  mrTdUnknown: {
    rule: 'ImageNotAllowed',
    description: 'The firmware is another one.',
    report: (report) => ({ ...report, mrTd: flipBit(report.mrTd, 0) }),
  },
  rtmr2Unknown: {
    rule: 'ImageNotAllowed',
    description: 'The kernel command line is another one.',
    report: (report) => ({ ...report, rtmr2: flipBit(report.rtmr2, 47) }),
  },
  composeHashUnknown: {
    rule: 'ImageNotAllowed',
    description: 'The application is another one.',
    report: (report) => ({ ...report, mrConfigId: flipBit(report.mrConfigId, 32) }),
  },
  reportDataMismatch: {
    rule: 'ReportDataMismatch',
    description: 'The quote is genuine and speaks of another key.',
    report: (report) => ({ ...report, reportData: flipBit(report.reportData, 0) }),
  },
} as const satisfies Record<string, Negative>

export type NegativeName = keyof typeof negatives

export const negativeNames = Object.keys(negatives) as NegativeName[]

/** A platform that tells this one lie and is honest otherwise. */
export function createNegativePlatform(name: NegativeName, options: PlatformOptions): Platform {
  const negative: Negative = negatives[name]
  return createPlatform(negative.options?.(options) ?? options, { ...honest, ...negative })
}

/** Quote and collateral of a lying platform. */
export function mintNegative(
  name: NegativeName,
  options: PlatformOptions,
  reportData: Uint8Array = new Uint8Array(64).fill(0x5a),
): NegativeEvidence {
  const { rule, description } = negatives[name]
  const platform = createNegativePlatform(name, options)
  return {
    name,
    description,
    rule,
    quote: platform.mintQuote({ reportData }),
    collateral: platform.collateral(),
    now: options.now,
    rootCertificateDer: platform.rootCertificateDer,
    reportData,
  }
}

// --- parts of single cases --------------------------------------------------------------------

function without<Whole extends object, Key extends keyof Whole>(
  whole: Whole,
  key: Key,
): Omit<Whole, Key> {
  const rest = { ...whole }
  delete rest[key]
  return rest
}

function revokeByRoot(blueprint: Blueprint, serial: Uint8Array): Blueprint {
  const { rootCrl } = blueprint
  const entry = { serial, revokedAt: rootCrl.thisUpdate }
  return { ...blueprint, rootCrl: { ...rootCrl, revoked: [...rootCrl.revoked, entry] } }
}

/** Keeps the names chaining, so that only the name itself is wrong. */
function renamePckCa(blueprint: Blueprint, commonName: string): Blueprint {
  const subject = renamed(localNames.pckPlatformCa, commonName)
  return {
    ...blueprint,
    pckCa: { ...blueprint.pckCa, subject },
    pck: { ...blueprint.pck, issuer: subject },
    pckCrl: { ...blueprint.pckCrl, issuer: subject },
  }
}

function changeSgx(
  blueprint: Blueprint,
  change: Partial<NonNullable<Blueprint['sgx']>>,
): Blueprint {
  if (blueprint.sgx === undefined) return blueprint
  return { ...blueprint, sgx: { ...blueprint.sgx, ...change } }
}

function changeModules(
  info: TcbInfo,
  change: Partial<NonNullable<TcbInfo['tdxModuleIdentities']>[number]>,
): TcbInfo {
  return {
    ...info,
    tdxModuleIdentities: (info.tdxModuleIdentities ?? []).map((identity) => ({
      ...identity,
      ...change,
    })),
  }
}

/** A genuine second TCB signing certificate under the same root. */
function secondTcbSigning(options: PlatformOptions): Uint8Array {
  const key = rogueKey(options)
  return encodeCertificate({
    ...createBlueprint(options).tcbSigning,
    serial: keyIdentifier(key.publicKey),
    subjectKey: key.publicKey,
    subjectKeyIdentifier: keyIdentifier(key.publicKey),
  })
}

function pemBlocks(chain: Uint8Array | string): string[] {
  const text = typeof chain === 'string' ? chain : new TextDecoder().decode(chain)
  return text.match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----\n/g) ?? []
}

function firstPem(chain: string): string {
  return pemBlocks(chain)[0] ?? ''
}

function lastPem(chain: string): string {
  return pemBlocks(chain).at(-1) ?? ''
}
