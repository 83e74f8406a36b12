import { FormatRefusedError } from '../cbor/formatRefusedError.ts'

/** The rules by which an adapter refuses what it was handed. */
export const adapterRules = [
  'shape',
  'unknown-member',
  'name',
  'time',
  'number',
  'unknown-unit',
  'too-many-readings',
  'algorithm',
  'critical',
  'key-id',
  'encoding',
  'signature',
  'media-type',
] as const

export type AdapterRule = (typeof adapterRules)[number]

/** A message of another format that cannot become readings. */
export class AdapterRefusedError extends FormatRefusedError<AdapterRule> {
  override readonly name = 'AdapterRefusedError'
}
