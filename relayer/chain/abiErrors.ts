import type { AbiItem } from 'viem'

type AbiError = Extract<AbiItem, { readonly type: 'error' }>

/** ABI entries of errors written as text, `Name(type name,type name)`: a third of the size of JSON. */
export function abiErrors(texts: readonly string[]): AbiError[] {
  return texts.map((text) => {
    const at = text.indexOf('(')
    const parameters = text.slice(at + 1, -1)
    return {
      type: 'error',
      name: text.slice(0, at),
      inputs: parameters.split(',').flatMap((parameter) => {
        const [type = '', name = ''] = parameter.split(' ')
        return type === '' ? [] : [{ type, name }]
      }),
    }
  })
}
