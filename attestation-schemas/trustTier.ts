/**
 * How far a reading can be trusted to come from the device it names. Lower is stronger; a report
 * carries the weakest tier that it leans on.
 *
 * - `hardware`: signed by a key that a maker endorses as sealed in hardware.
 * - `software`: signed by an enrolled key without hardware evidence.
 * - `gateway`: vouched for by a gateway, broker or cloud; the device itself did not sign.
 * - `replay`: imported without any signature. Good for backtests; settles nothing.
 */
export const trustTiers = { hardware: 1, software: 2, gateway: 3, replay: 4 } as const

export type TrustTierName = keyof typeof trustTiers
export type TrustTier = (typeof trustTiers)[TrustTierName]
