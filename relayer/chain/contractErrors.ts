import type { Abi } from 'viem'

/** Errors that the contracts on the way of a report can raise, so that a refusal has a name. */
export const contractErrors: Abi = []
