import {
  type Abi,
  type Address,
  type ContractConstructorArgs,
  type Hex,
  concatHex,
  encodeDeployData,
  getContractAddress,
} from 'viem'

/**
 * The deterministic deployment proxy: calldata is salt and init code, the address follows from both.
 * It is on nearly every chain, and on anvil from the first block.
 *
 * @see https://github.com/Arachnid/deterministic-deployment-proxy
 */
export const create2Proxy: Address = '0x4e59b44847b379578588920cA78FbF26c0B4956C'

/** One contract to be put at an address that is the same on every chain. */
export type Placement = {
  readonly address: Address
  /** Calldata for {@link create2Proxy}. */
  readonly data: Hex
}

/**
 * Where a contract will stand and how to put it there. Equal code, arguments and salt give an equal
 * address on every chain.
 */
export function place<const abi extends Abi>(
  { abi, bytecode }: { readonly abi: abi; readonly bytecode: Hex },
  args: ContractConstructorArgs<abi>,
  salt: Hex,
): Placement {
  const initCode = encodeDeployData({ abi, bytecode, args } as Parameters<
    typeof encodeDeployData
  >[0])
  return {
    address: getContractAddress({
      opcode: 'CREATE2',
      from: create2Proxy,
      salt,
      bytecode: initCode,
    }),
    data: concatHex([salt, initCode]),
  }
}
