import { sha256 } from '@noble/hashes/sha2'
import { type Hex, concatBytes, fromHex, toHex, utf8 } from '#schemas/bytes.ts'
import { type DeviceKey, importDeviceKey } from '#schemas/pack/deviceKey.ts'
import type { SignatureVerifier } from '#schemas/pack/signatureVerifier.ts'
import { subjectId } from '#schemas/report.ts'
import { type DevicePath, verifyDevicePath } from './devicePath.ts'
import {
  type Enrolment,
  type EnrolmentBook,
  dayKey,
  hardwareKey,
  modelKey,
} from './enrolmentBook.ts'
import {
  DuplicateIdentityError,
  EnrolmentQuotaError,
  EnrolmentRateError,
  MakerStatusError,
  PossessionError,
  UnknownSubjectError,
} from './errors.ts'
import type { MakerModel, MakerStatement } from './makerStatement.ts'

export type EnrolmentRequest = {
  /** DER, the device's own first. */
  readonly certificates: readonly Uint8Array[]
  readonly subjectName: string
  /** A nonce of this boot that is still fresh. */
  readonly nonce: Hex
  /** The device key's signature over {@link enrolmentMessage}. */
  readonly proof: Uint8Array
}

export type EnrolmentRules = {
  readonly stream: Hex
  readonly makers: readonly MakerStatement[]
  /** Subjects that something is reported on. */
  readonly subjects: ReadonlySet<string>
  readonly maxDevicesPerSubject: number
}

/** What the appraisal came to: a new device, or one that is enrolled already by the same claim. */
export type Appraisal = {
  readonly kind: 'new' | 'known'
  readonly key: DeviceKey
  readonly model: MakerModel
  readonly enrolment: Enrolment
}

/**
 * What a device signs to show that it holds its key and means this stream and this subject:
 * `"plumbline/enrol/1" ‖ 00 ‖ stream ‖ nonce ‖ device ‖ subject id`.
 */
export function enrolmentMessage(
  stream: Hex,
  nonce: Hex,
  device: Hex,
  subjectName: string,
): Uint8Array {
  return concatBytes(
    utf8('plumbline/enrol/1'),
    new Uint8Array(1),
    fromHex(stream, 'stream', 32),
    fromHex(nonce, 'nonce', 32),
    fromHex(device, 'device', 32),
    fromHex(subjectId(subjectName), 'subject', 32),
  )
}

function modelOf({ maker, hardware }: DevicePath): MakerModel {
  if (maker.status !== 'active') {
    throw new MakerStatusError(`The maker ${maker.name} is revoked.`, { field: 'certificates' })
  }
  const model = maker.models.find(({ hwType }) => hwType === hardware.hwType)
  if (model === undefined || model.status !== 'active') {
    throw new MakerStatusError('The model is not one that its maker vouches for.', {
      field: 'certificates[0].hwType',
      metaMessages: [`Maker: ${maker.name}`, `Model: ${hardware.hwType}`],
    })
  }
  const { serials } = model
  const serial = toHex(hardware.serial)
  // Bytes of one length compare like their hex.
  const isMade =
    serials === undefined ||
    (serial.length === serials.first.length && serial >= serials.first && serial <= serials.last)
  if (!isMade) {
    throw new MakerStatusError('The hardware serial is outside what the maker made.', {
      field: 'certificates[0].hwSerialNum',
      metaMessages: [`Actual: ${serial}`],
    })
  }
  return model
}

/**
 * Judges an enrolment: chain to a pinned maker, model in good standing, key shown to be held, and
 * nothing claimed that was claimed before. Pure: the book is only read.
 *
 * @throws one of the errors of `enrolment/errors.ts`. For a {@link DuplicateIdentityError} the caller
 *   freezes the device in `error.standing`: two keys for one piece of hardware, and nobody can tell
 *   which one is genuine.
 */
export function appraiseEnrolment(
  request: EnrolmentRequest,
  rules: EnrolmentRules,
  book: EnrolmentBook,
  nowMs: number,
  verifier: SignatureVerifier,
): Appraisal {
  if (!rules.subjects.has(request.subjectName)) {
    throw new UnknownSubjectError('Nothing is reported on this subject.', {
      field: 'subject',
      remedy: 'Name a subject of one of the worker’s assignments.',
    })
  }
  const path = verifyDevicePath(
    request.certificates,
    rules.makers,
    Math.floor(nowMs / 1000),
    verifier,
  )
  const model = modelOf(path)
  const key = importDeviceKey('ES256', path.leaf.publicKey)
  const message = enrolmentMessage(rules.stream, request.nonce, key.id, request.subjectName)
  if (!verifier.verify(key, message, request.proof)) {
    throw new PossessionError('The device has not shown that it holds its key.', {
      field: 'proof',
      remedy: 'Sign the enrolment message with the key of the device certificate.',
    })
  }

  const maker = path.maker.name
  const hardwareSerial = toHex(path.hardware.serial)
  const enrolment: Enrolment = {
    device: key.id,
    subjectName: request.subjectName,
    maker,
    hwType: model.hwType,
    hardwareSerial,
    certificate: `${toHex(sha256(path.leaf.issuer))}/${path.leaf.serial}`,
    atMs: nowMs,
  }
  assertUnclaimed(enrolment, book)
  const known = book.byDevice.get(key.id)
  if (known !== undefined) {
    const isSame =
      known.subjectName === enrolment.subjectName && known.certificate === enrolment.certificate
    if (isSame) return { kind: 'known', key, model, enrolment: known }
    throw new DuplicateIdentityError('This key is enrolled already, in another way.', {
      field: 'certificates[0].subjectPublicKeyInfo',
      remedy: 'A device that moves to another subject is transferred, not enrolled again.',
    })
  }

  if ((book.perModel.get(modelKey(maker, model.hwType)) ?? 0) >= model.quantity) {
    throw new EnrolmentQuotaError('More devices of this model were claimed than were ever made.', {
      field: 'certificates[0].hwType',
      metaMessages: [`Made: ${model.quantity}`],
    })
  }
  if ((book.perSubject.get(request.subjectName) ?? 0) >= rules.maxDevicesPerSubject) {
    throw new EnrolmentQuotaError('The subject has as many devices as one may have.', {
      field: 'subject',
      metaMessages: [`Allowed: ${rules.maxDevicesPerSubject}`],
    })
  }
  if ((book.perModelAndDay.get(dayKey(maker, model.hwType, nowMs)) ?? 0) >= model.maxPerDay) {
    throw new EnrolmentRateError('Enough devices of this model were enrolled today.', {
      field: 'certificates[0].hwType',
      metaMessages: [`Allowed: ${model.maxPerDay} a day`],
      remedy: 'Try again tomorrow (UTC).',
    })
  }
  return { kind: 'new', key, model, enrolment }
}

/** Raised with the device that made the first claim, so that it can be frozen. */
export class HardwareClaimedTwiceError extends DuplicateIdentityError {
  readonly standing: Hex

  constructor(standing: Hex, field: string) {
    super('The same hardware, or the same certificate number, is claimed by another key.', {
      field,
      remedy: 'Both are frozen. The maker has to say which one is genuine.',
    })
    this.standing = standing
  }
}

function assertUnclaimed(enrolment: Enrolment, book: EnrolmentBook): void {
  const { device, maker, hwType, hardwareSerial, certificate } = enrolment
  const byHardware = book.byHardware.get(hardwareKey(maker, hwType, hardwareSerial))
  if (byHardware !== undefined && byHardware !== device) {
    throw new HardwareClaimedTwiceError(byHardware, 'certificates[0].hwSerialNum')
  }
  const byCertificate = book.byCertificate.get(certificate)
  if (byCertificate !== undefined && byCertificate !== device) {
    throw new HardwareClaimedTwiceError(byCertificate, 'certificates[0].serialNumber')
  }
}
