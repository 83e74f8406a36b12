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

/** Runtime code of {@link create2Proxy}: addresses mean what they say only where this is what stands there. */
export const create2ProxyCode: Hex =
  '0x7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffe03601600081602082378035828234f58015156039578182fd5b8082525050506014600cf3'

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
