import { abiWords } from './abiWords.ts'
import { type Hex, toHex } from './bytes.ts'
import { keccak, keccakText } from './keccak.ts'

/** One place where one right can be used once. */
export type RightPlace = {
  readonly chainId: bigint
  /** The contract that spends it. */
  readonly contract: Hex
  /** {@link rightClass} of what the right is to: one impact, whatever contract turns it into money. */
  readonly right: Hex
}

/** The identifier of a class of rights, for example `carbon` or `renewable-energy-certificate`. */
export function rightClass(name: string): Hex {
  return keccakText(`plumbline/right/1/${name}`)
}

/** `exclusiveTo` of a report: `keccak256(abi.encode(chainId, contract, right))`. */
export function rightId(place: RightPlace): Hex {
  return toHex(
    keccak(
      abiWords(
        [
          { name: 'chainId', type: 'uint256' },
          { name: 'contract', type: 'address' },
          { name: 'right', type: 'bytes32' },
        ],
        place,
      ),
    ),
  )
}
