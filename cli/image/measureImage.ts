import { fromHex, type Hex, toHex } from '#schemas/bytes.ts'
import type { ImageDocument } from '#verifier/appraisal/policy.ts'
import { appIdOfComposeHash, composeHash } from '#verifier/dstack/composeHash.ts'
import { mrConfigIdV1, mrConfigIdV2 } from '#verifier/dstack/mrConfigId.ts'
import { imageIdOf } from '#verifier/quote/imageId.ts'
import type { TdReport } from '#verifier/quote/parseQuote.ts'

/** TDATTRIBUTES and XFAM of dstack guests: SEPT_VE_DISABLE alone; x87 to AMX, as real quotes carry them. */
export const dstackTdAttributes: Hex = '0x0000001000000000'
export const dstackXfam: Hex = '0xe702060000000000'

/** What a build of the OS image is expected to measure, as `dstack-mr` computes it. */
export type ReferenceValues = Readonly<Record<'mrTd' | 'rtmr0' | 'rtmr1' | 'rtmr2', Hex>> & {
  readonly tdAttributes: Hex
  readonly xfam: Hex
}

/** With a KMS, the host may bind more than the compose file: MRCONFIGID of version 2. */
export type Identity = { readonly appId: Hex; readonly keyProviderId: Hex }

export type MeasuredImage = {
  readonly composeHash: Hex
  /** What the app id is where no KMS contract gives another. */
  readonly appIdWithoutContract: Hex
  readonly mrConfigId: Hex
  readonly mrConfigVersion: 1 | 2
  /** Present with reference values: what contracts allow-list. */
  readonly imageId: Hex | undefined
  /** Present with reference values: an entry for `images` of a quote policy. */
  readonly policyImage: ImageDocument | undefined
}

/** Everything that follows from app-compose.json, byte for byte, and from the OS image's values. */
export function measureImage(
  appCompose: Uint8Array,
  {
    name,
    reference,
    identity,
  }: {
    readonly name: string
    readonly reference?: ReferenceValues | undefined
    readonly identity?: Identity | undefined
  },
): MeasuredImage {
  const hash = composeHash(appCompose)
  const mrConfigId =
    identity === undefined
      ? mrConfigIdV1(hash)
      : mrConfigIdV2(hash, identity.appId, 'kms', identity.keyProviderId)
  return {
    composeHash: hash,
    appIdWithoutContract: appIdOfComposeHash(hash),
    mrConfigId,
    mrConfigVersion: identity === undefined ? 1 : 2,
    imageId: reference === undefined ? undefined : imageIdOf(bytesOf({ ...reference, mrConfigId })),
    policyImage:
      reference === undefined
        ? undefined
        : {
            name,
            mrTd: bare(reference.mrTd),
            rtmr0: bare(reference.rtmr0),
            rtmr1: bare(reference.rtmr1),
            rtmr2: bare(reference.rtmr2),
            mrConfigId: bare(mrConfigId),
          },
  }
}

export type Comparison = {
  readonly what: string
  readonly expected: Hex
  readonly actual: Hex
  readonly isEqual: boolean
}

/** The prediction beside what a quote says, field by field. The quote is not verified here. */
export function compareWithQuote(
  image: MeasuredImage,
  reference: ReferenceValues | undefined,
  body: TdReport,
): Comparison[] {
  const compare = (what: string, expected: Hex, actual: Uint8Array): Comparison => {
    const hex = toHex(actual)
    return { what, expected, actual: hex, isEqual: expected === hex }
  }
  return [
    compare('MRCONFIGID', image.mrConfigId, body.mrConfigId),
    ...(reference === undefined
      ? []
      : [
          compare('MRTD', reference.mrTd, body.mrTd),
          compare('RTMR0', reference.rtmr0, body.rtmr0),
          compare('RTMR1', reference.rtmr1, body.rtmr1),
          compare('RTMR2', reference.rtmr2, body.rtmr2),
          compare('TDATTRIBUTES', reference.tdAttributes, body.tdAttributes),
          compare('XFAM', reference.xfam, body.xfam),
        ]),
  ]
}

/** Reference values as a quote states them; for whoever has them from nowhere else. */
export function valuesOfQuote(body: TdReport): ReferenceValues {
  return {
    mrTd: toHex(body.mrTd),
    rtmr0: toHex(body.rtmr0),
    rtmr1: toHex(body.rtmr1),
    rtmr2: toHex(body.rtmr2),
    tdAttributes: toHex(body.tdAttributes),
    xfam: toHex(body.xfam),
  }
}

function bytesOf(values: ReferenceValues & { readonly mrConfigId: Hex }) {
  return {
    mrTd: fromHex(values.mrTd, 'mrTd', 48),
    rtmr0: fromHex(values.rtmr0, 'rtmr0', 48),
    rtmr1: fromHex(values.rtmr1, 'rtmr1', 48),
    rtmr2: fromHex(values.rtmr2, 'rtmr2', 48),
    mrConfigId: fromHex(values.mrConfigId, 'mrConfigId', 48),
    tdAttributes: fromHex(values.tdAttributes, 'tdAttributes', 8),
    xfam: fromHex(values.xfam, 'xfam', 8),
  }
}

function bare(hex: Hex): string {
  return hex.slice(2)
}
