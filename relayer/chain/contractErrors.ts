import type { Abi } from 'viem'
import { refusals } from '#schemas/abi/refusals.ts'
import { endpointRefusals } from '../transports/layerzero/refusals.ts'
import { abiErrors } from './abiErrors.ts'

/** Errors that the contracts on the way of a report can raise, so that a refusal has a name. */
export const contractErrors: Abi = abiErrors([...refusals, ...endpointRefusals])
