import { DerReader, derTag, InvalidDerError, smallUnsigned } from './der.ts'

/**
 * What a PCK certificate says of its platform.
 *
 * @see Intel SGX PCK Certificate and CRL Profile Specification 1.5, §1.3.5
 */
export type SgxExtension = {
  /** Platform provisioning id, 16 bytes: the identity of the processor package. */
  readonly ppid: Uint8Array
  /** SVNs of the 16 TCB components, one byte each. */
  readonly componentSvns: Uint8Array
  readonly pceSvn: number
  readonly cpuSvn: Uint8Array
  readonly pceId: Uint8Array
  readonly fmspc: Uint8Array
}

/** 1.2.840.113741.1.13.1, without its last arcs; 2a 86 48 86 f8 4d 01 0d 01. */
const prefix = Uint8Array.of(0x2a, 0x86, 0x48, 0x86, 0xf8, 0x4d, 0x01, 0x0d, 0x01)

/**
 * Reads the extension 1.2.840.113741.1.13.1. Each entry is SEQUENCE { OID, value }; PPID (1), TCB
 * (2), PCEID (3), FMSPC (4) and SGX type (5) occur once; platform instance (6) and configuration (7)
 * may follow and say nothing that is judged here.
 *
 * @param value - Contents of the extension's OCTET STRING.
 * @throws {@link InvalidDerError}
 */
export function parseSgxExtension(value: Uint8Array): SgxExtension {
  const what = 'The SGX extension'
  const frame = new DerReader(value, what)
  const entries = frame.enter(derTag.sequence)
  frame.finish()
  const seen = new Set<number>()
  let ppid: Uint8Array | undefined
  let tcb: Tcb | undefined
  let pceId: Uint8Array | undefined
  let fmspc: Uint8Array | undefined
  while (!entries.isDone) {
    const entry = entries.enter(derTag.sequence)
    const arc = lastArc(entry, 1)
    if (seen.has(arc)) entries.fail(`has entry ${arc} twice`)
    seen.add(arc)
    if (arc === 1) ppid = octets(entry, 16)
    else if (arc === 2) tcb = readTcb(entry)
    else if (arc === 3) pceId = octets(entry, 2)
    else if (arc === 4) fmspc = octets(entry, 6)
    else if (arc === 5) smallUnsigned(entry.read(derTag.enumerated), what)
    else if (arc === 6) octets(entry, 16)
    else if (arc === 7) entry.read(derTag.sequence)
    else entries.fail(`has an unknown entry ${arc}`)
    entry.finish()
  }
  if (!ppid || !tcb || !pceId || !fmspc || !seen.has(5)) {
    throw new InvalidDerError('The SGX extension lacks an entry.', {
      metaMessages: [`Expected: 1 to 5`, `Actual: ${[...seen].join(', ')}`],
    })
  }
  return { ppid, ...tcb, pceId, fmspc }
}

type Tcb = Pick<SgxExtension, 'componentSvns' | 'pceSvn' | 'cpuSvn'>

/** 1..16 component SVNs, 17 PCESVN, 18 CPUSVN: exactly these, in this order. */
function readTcb(entry: DerReader): Tcb {
  const items = entry.enter(derTag.sequence)
  const componentSvns = new Uint8Array(16)
  for (let arc = 1; arc <= 16; arc += 1) {
    componentSvns[arc - 1] = item(items, arc, (reader) => integer(reader, 0xff))
  }
  const pceSvn = item(items, 17, (reader) => integer(reader, 0xffff))
  const cpuSvn = item(items, 18, (reader) => octets(reader, 16))
  items.finish()
  return { componentSvns, pceSvn, cpuSvn }
}

function item<Value>(items: DerReader, arc: number, read: (reader: DerReader) => Value): Value {
  const reader = items.enter(derTag.sequence)
  if (lastArc(reader, 2) !== arc) items.fail(`has no TCB entry ${arc} where it belongs`)
  const value = read(reader)
  reader.finish()
  return value
}

/** Last arc of an OID that is `prefix` and, at depth 2, the arc of the TCB entry. */
function lastArc(reader: DerReader, depth: 1 | 2): number {
  const oid = reader.read(derTag.objectIdentifier)
  const arc = oid[oid.length - 1] ?? 0xff
  const isExpected =
    oid.length === prefix.length + depth &&
    prefix.every((byte, at) => byte === oid[at]) &&
    (depth === 1 || oid[prefix.length] === 2)
  if (!isExpected || arc >= 0x80) reader.fail('has an entry of another family')
  return arc
}

function integer(reader: DerReader, maximum: number): number {
  const value = smallUnsigned(reader.read(derTag.integer), 'The SGX extension')
  if (value > maximum) reader.fail(`has an SVN above ${maximum}`)
  return value
}

function octets(reader: DerReader, length: number): Uint8Array {
  const value = reader.read(derTag.octetString)
  if (value.length !== length) reader.fail(`has a value that is not ${length} bytes long`)
  return value
}
