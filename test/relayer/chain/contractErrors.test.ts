import { describe, expect, it } from 'vitest'
import { type AbiItem, decodeErrorResult, encodeErrorResult, toFunctionSelector } from 'viem'
import { formatAbiItem } from 'viem/utils'
import { appraisalPolicyAbi } from '#schemas/abi/appraisalPolicy.ts'
import { batchBroadcasterAbi } from '#schemas/abi/batchBroadcaster.ts'
import { batchReceiverAbi } from '#schemas/abi/batchReceiver.ts'
import { carbonCreditAbi } from '#schemas/abi/carbonCredit.ts'
import { collateralStoreAbi } from '#schemas/abi/collateralStore.ts'
import { dcapQuoteVerifierAbi } from '#schemas/abi/dcapQuoteVerifier.ts'
import { enclaveRegistryAbi } from '#schemas/abi/enclaveRegistry.ts'
import { localnetQuoteVerifierAbi } from '#schemas/abi/localnetQuoteVerifier.ts'
import { parametricCoverAbi } from '#schemas/abi/parametricCover.ts'
import { performanceEscrowAbi } from '#schemas/abi/performanceEscrow.ts'
import { proofRegistryAbi } from '#schemas/abi/proofRegistry.ts'
import { quoteVerifierAbi } from '#schemas/abi/quoteVerifier.ts'
import { contractErrors } from '#relayer/chain/contractErrors.ts'

const whole = [
  appraisalPolicyAbi,
  batchBroadcasterAbi,
  batchReceiverAbi,
  carbonCreditAbi,
  collateralStoreAbi,
  dcapQuoteVerifierAbi,
  enclaveRegistryAbi,
  localnetQuoteVerifierAbi,
  parametricCoverAbi,
  performanceEscrowAbi,
  proofRegistryAbi,
  quoteVerifierAbi,
]

describe('contractErrors', () => {
  it('knows every error of the contracts on the way by selector, and the names of its values', () => {
    const texts = new Map(
      contractErrors.flatMap((item) =>
        item.type === 'error'
          ? [[toFunctionSelector(formatAbiItem(item)), formatAbiItem(item, { includeName: true })]]
          : [],
      ),
    )
    for (const item of whole.flatMap((items): readonly Extract<AbiItem, { type: 'error' }>[] =>
      items.filter((entry) => entry.type === 'error'),
    )) {
      expect(texts.get(toFunctionSelector(formatAbiItem(item)))).toBe(
        formatAbiItem(item, { includeName: true }),
      )
    }
  })

  it('reads what a contract says back', () => {
    const signer = '0x00000000000000000000000000000000000000AA'
    const data = encodeErrorResult({
      abi: batchBroadcasterAbi,
      errorName: 'BatchBroadcasterSignerNotValid',
      args: [signer],
    })
    expect(decodeErrorResult({ abi: contractErrors, data })).toMatchObject({
      errorName: 'BatchBroadcasterSignerNotValid',
      args: [signer],
    })
  })
})
