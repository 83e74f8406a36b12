import {
  derBoolean,
  derEnumerated,
  derInteger,
  derOctetString,
  derOid,
  derSequence,
} from './der.ts'
import type { Extension } from './certificate.ts'

const sgxExtensionOid = '1.2.840.113741.1.13.1'

/** What a PCK certificate says about its platform. */
export type SgxExtension = {
  /** 16 bytes that identify the processor package. */
  readonly ppid: Uint8Array
  /** 16 component security versions, one byte each. */
  readonly sgxSvns: readonly number[]
  readonly pceSvn: number
  /** 16 bytes; equal to the component versions on TDX-capable platforms. */
  readonly cpuSvn: Uint8Array
  /** 2 bytes. */
  readonly pceId: Uint8Array
  /** 6 bytes: family, model, stepping, platform type and custom SKU. */
  readonly fmspc: Uint8Array
  /** 0 standard, 1 scalable, 2 scalable with integrity. */
  readonly sgxType: number
  /** Present for certificates under the Platform CA, absent under the Processor CA. */
  readonly platformInstance: Uint8Array | undefined
  readonly configuration: {
    readonly isDynamicPlatform: boolean
    readonly hasCachedKeys: boolean
    readonly isSmtEnabled: boolean
  }
}

const arc = (...tail: readonly number[]) => derOid([sgxExtensionOid, ...tail].join('.'))

/**
 * The SGX extension in the layout of Intel's PCK certificates.
 *
 * @see Intel SGX PCK Certificate and Certificate Revocation List Profile Specification 1.5, §1.3.5
 */
export function sgxExtension(values: SgxExtension): Extension {
  const entry = (tail: readonly number[], value: Uint8Array) => derSequence(arc(...tail), value)
  const { configuration, platformInstance } = values
  const tcb = derSequence(
    ...values.sgxSvns.map((svn, index) => entry([2, index + 1], derInteger(svn))),
    entry([2, 17], derInteger(values.pceSvn)),
    entry([2, 18], derOctetString(values.cpuSvn)),
  )
  const platformEntries =
    platformInstance === undefined
      ? []
      : [
          entry([6], derOctetString(platformInstance)),
          entry(
            [7],
            derSequence(
              entry([7, 1], derBoolean(configuration.isDynamicPlatform)),
              entry([7, 2], derBoolean(configuration.hasCachedKeys)),
              entry([7, 3], derBoolean(configuration.isSmtEnabled)),
            ),
          ),
        ]
  return {
    oid: sgxExtensionOid,
    value: derSequence(
      entry([1], derOctetString(values.ppid)),
      entry([2], tcb),
      entry([3], derOctetString(values.pceId)),
      entry([4], derOctetString(values.fmspc)),
      entry([5], derEnumerated(values.sgxType)),
      ...platformEntries,
    ),
  }
}
