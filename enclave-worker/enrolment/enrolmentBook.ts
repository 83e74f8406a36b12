import type { Hex } from '#schemas/bytes.ts'

/** What is remembered of a device that its maker vouched for: enough to find a second claim. */
export type Enrolment = {
  readonly device: Hex
  readonly subjectName: string
  readonly maker: string
  readonly hwType: string
  readonly hardwareSerial: Hex
  /** `issuer SHA-256/serial` of the device certificate. */
  readonly certificate: string
  readonly atMs: number
}

/** Every enrolment there ever was, by each of the three things that may be claimed only once. */
export type EnrolmentBook = {
  readonly byDevice: Map<Hex, Enrolment>
  readonly byHardware: Map<string, Hex>
  readonly byCertificate: Map<string, Hex>
  readonly perModel: Map<string, number>
  readonly perModelAndDay: Map<string, number>
  readonly perSubject: Map<string, number>
  /** Devices of which a second claim was made: nobody can tell which is the genuine one. */
  readonly frozen: Set<Hex>
  readonly retired: Set<Hex>
}

export function createEnrolmentBook(): EnrolmentBook {
  return {
    byDevice: new Map(),
    byHardware: new Map(),
    byCertificate: new Map(),
    perModel: new Map(),
    perModelAndDay: new Map(),
    perSubject: new Map(),
    frozen: new Set(),
    retired: new Set(),
  }
}

export const modelKey = (maker: string, hwType: string): string => `${maker}/${hwType}`
export const hardwareKey = (maker: string, hwType: string, serial: Hex): string =>
  `${maker}/${hwType}/${serial}`
export const dayKey = (maker: string, hwType: string, atMs: number): string =>
  `${maker}/${hwType}/${Math.floor(atMs / 86_400_000)}`

function count(counts: Map<string, number>, key: string): void {
  counts.set(key, (counts.get(key) ?? 0) + 1)
}

/** Notes that a device observes another subject: as many are enrolled as before. */
export function moveEnrolment(book: EnrolmentBook, device: Hex, subjectName: string): void {
  const enrolment = book.byDevice.get(device)
  if (enrolment === undefined) return
  const left = book.perSubject.get(enrolment.subjectName) ?? 0
  book.perSubject.set(enrolment.subjectName, Math.max(0, left - 1))
  book.byDevice.set(device, { ...enrolment, subjectName })
  count(book.perSubject, subjectName)
}

/** Enters an enrolment: the one way in, live and at replay. */
export function applyEnrolment(book: EnrolmentBook, enrolment: Enrolment): void {
  const { device, maker, hwType, hardwareSerial, certificate, atMs } = enrolment
  book.byDevice.set(device, enrolment)
  book.byHardware.set(hardwareKey(maker, hwType, hardwareSerial), device)
  book.byCertificate.set(certificate, device)
  count(book.perModel, modelKey(maker, hwType))
  count(book.perModelAndDay, dayKey(maker, hwType, atMs))
  count(book.perSubject, enrolment.subjectName)
}
