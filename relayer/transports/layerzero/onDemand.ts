import type { CheckContext } from '../../chain/checkContext.ts'

/**
 * The transport of `transport.ts`, loaded with LayerZero's library by the first message: a plan
 * without LayerZero neither parses nor runs any of it.
 */

type Transport = typeof import('./transport.ts')

/** How messages go out from a hub to the spokes of a plan. */
export function sendsFrom(
  ...place: Parameters<Transport['sendsFrom']>
): NonNullable<CheckContext['prepareSend']> {
  return async (...message) => {
    const transport = await import('./transport.ts')
    return transport.sendsFrom(...place)(...message)
  }
}

/** How what arrived at a spoke is carried out there. */
export function deliveriesTo(
  ...place: Parameters<Transport['deliveriesTo']>
): NonNullable<CheckContext['prepareDelivery']> {
  return async (...message) => {
    const transport = await import('./transport.ts')
    return transport.deliveriesTo(...place)(...message)
  }
}
