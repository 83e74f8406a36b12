import { BaseError, type ErrorDetails } from '#schemas/errors.ts'

/** What makes a configuration unfit for production, one word for each thing that has to change. */
export type DevelopmentSetting =
  // whose signatures are believed
  | 'LocalRoot'
  | 'ForeignRoot'
  // which images may run
  | 'AnyImage'
  | 'NoImage'
  | 'LocalImage'
  | 'MeasurementZero'
  | 'MrConfigIdUnknown'
  // which platforms
  | 'SgxAccepted'
  | 'NoEvaluationFloor'
  | 'UnlimitedGrace'
  | 'TdDebug'
  | 'TdxAbsent'
  // where the guest has its keys from
  | 'AnyKeyProvider'
  | 'DevelopmentKeyProvider'
  | 'ZeroMrConfigIdAccepted'
  | 'KmsRootNotPinned'
  | 'DevelopmentKmsRoot'
  // what runs in the guest
  | 'ComposeMalformed'
  | 'ImageNotPinned'
  | 'HostSuppliesSettings'
  // how the worker is set up
  | 'LedgerNotSealed'
  | 'GuestAgentOverNetwork'

/** Raised by the guards of production: the setting is for development, and nothing was started. */
export class NotForProductionError extends BaseError {
  override readonly name = 'NotForProductionError'
  readonly setting: DevelopmentSetting

  constructor(setting: DevelopmentSetting, message: string, details: ErrorDetails) {
    super(message, {
      ...details,
      metaMessages: [...(details.metaMessages ?? []), `Setting: ${setting}`],
    })
    this.setting = setting
  }
}
