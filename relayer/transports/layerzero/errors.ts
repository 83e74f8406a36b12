import { BaseError } from '#schemas/errors.ts'

/** Raised when options for LayerZero's workers would not mean what was asked for. */
export class InvalidOptionsError extends BaseError {
  override readonly name = 'InvalidOptionsError'
}

/** Raised when bytes are not a packet of LayerZero's first packet version, whole and nothing else. */
export class InvalidPacketError extends BaseError {
  override readonly name = 'InvalidPacketError'
}
