import type { DeviceKey } from '#schemas/pack/deviceKey.ts'

/**
 * A key of a calibration laboratory that the operator's configuration pins: whatever it signs within
 * its scope is believed.
 */
export type LaboratoryStatement = {
  /** As its certificates name it. One laboratory may have several keys. */
  readonly name: string
  /** Of the body that accredited it by ISO/IEC 17025, for whoever wants to look it up. */
  readonly accreditation: string | undefined
  readonly key: DeviceKey
  /** `revoked`: nothing that this key signed counts any more, whatever it says about when. */
  readonly status: 'active' | 'revoked'
  /** What it is accredited for; absent: anything. */
  readonly scope: readonly { readonly series: string; readonly unit: string }[] | undefined
}
