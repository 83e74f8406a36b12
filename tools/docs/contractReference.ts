import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { createRequire } from 'node:module'
import { basename, join, relative } from 'node:path'
import { BaseError } from '#schemas/errors.ts'
import { root } from '../paths.ts'
import { cell, code, table } from './markdown.ts'

/** Raised when the compiler refuses what it was given. */
export class ContractReferenceError extends BaseError {
  override readonly name = 'ContractReferenceError'
}

type Parameter = { readonly name: string; readonly type: string; readonly internalType?: string }
type AbiItem = {
  readonly type: string
  readonly name?: string
  readonly inputs?: readonly Parameter[]
  readonly outputs?: readonly Parameter[]
  readonly stateMutability?: string
}
type Doc = {
  readonly details?: string
  readonly params?: Readonly<Record<string, string>>
  readonly returns?: Readonly<Record<string, string>>
}
type Docs<Entry> = {
  readonly details?: string
  readonly title?: string
  readonly notice?: string
  readonly methods?: Readonly<Record<string, Entry>>
  readonly events?: Readonly<Record<string, Entry>>
  readonly errors?: Readonly<Record<string, readonly Entry[]>>
}
type Compiled = {
  readonly abi: readonly AbiItem[]
  readonly devdoc: Docs<Doc>
  readonly userdoc: Docs<{ readonly notice?: string }>
}
type Output = {
  readonly errors?: readonly { readonly severity: string; readonly formattedMessage: string }[]
  readonly contracts: Readonly<Record<string, Readonly<Record<string, Compiled>>>>
}
type Solc = {
  readonly compile: (
    input: string,
    callbacks: { readonly import: (path: string) => { contents: string } | { error: string } },
  ) => string
}

/** Every interface: what anybody outside calls, with its documentation in full. */
function interfaces(): string[] {
  return readdirSync(join(root, 'contracts'), { recursive: true, withFileTypes: true })
    .map((entry) => relative(root, join(entry.parentPath, entry.name)))
    .filter((file) => /^I[A-Z][a-z]/.test(basename(file)) && file.endsWith('.sol'))
    .filter((file) => !/^contracts\/(out|cache)\//.test(file))
    .filter((file) => /\ninterface \w/.test(readFileSync(join(root, file), 'utf8')))
    .sort()
}

function compile(files: readonly string[]): Output['contracts'] {
  const solc = createRequire(import.meta.url)('solc') as Solc
  const input = {
    language: 'Solidity',
    sources: Object.fromEntries(
      files.map((file) => [file, { content: readFileSync(join(root, file), 'utf8') }]),
    ),
    // No code is made: parsing and typing is all that documentation takes.
    settings: {
      evmVersion: 'osaka',
      outputSelection: { '*': { '*': ['abi', 'devdoc', 'userdoc'] } },
    },
  }
  const output = JSON.parse(
    solc.compile(JSON.stringify(input), {
      import: (path) => {
        const file = path.startsWith('contracts/')
          ? join(root, path)
          : join(root, 'node_modules', path)
        return existsSync(file)
          ? { contents: readFileSync(file, 'utf8') }
          : { error: `${path} is not there` }
      },
    }),
  ) as Output
  const failure = output.errors?.find(({ severity }) => severity === 'error')
  if (failure !== undefined) throw new ContractReferenceError(failure.formattedMessage)
  return output.contracts
}

/** One page: every interface with its functions, events and errors, from NatSpec. */
export function contractReference(): string {
  const files = interfaces()
  const compiled = compile(files)
  const lines = [
    '# Contracts',
    '',
    'Generated from the NatSpec of the interfaces. What holds at every moment stands in',
    '[invariants](../invariants.md); how to settle on a report in [contracts](../contracts.md).',
    '',
  ]
  for (const file of files) {
    const name = basename(file, '.sol')
    const contract = compiled[file]?.[name]
    if (contract === undefined) continue
    lines.push(...interfacePage(name, file, contract))
  }
  return `${lines.join('\n')}\n`
}

function interfacePage(name: string, file: string, { abi, devdoc, userdoc }: Compiled): string[] {
  const lines = [
    `## ${name}`,
    '',
    cell([userdoc.notice, devdoc.details].filter(Boolean).join(' ')),
    '',
    `Source: [${file}](../../${file})`,
    '',
  ]
  for (const item of abi) {
    if (item.type !== 'function') continue
    const signature = signatureOf(item)
    const doc = devdoc.methods?.[signature]
    lines.push(
      `### ${name}.${item.name ?? ''}`,
      '',
      '```solidity',
      `function ${item.name ?? ''}(${written(item.inputs)}) ${item.stateMutability === 'nonpayable' ? '' : (item.stateMutability ?? '')}${item.outputs === undefined || item.outputs.length === 0 ? '' : ` returns (${written(item.outputs)})`}`,
      '```',
      '',
      cell([userdoc.methods?.[signature]?.notice, doc?.details].filter(Boolean).join(' ')),
      '',
    )
    const rows = [
      ...Object.entries(doc?.params ?? {}).map(([key, text]) => [code(key), cell(text)]),
      ...Object.entries(doc?.returns ?? {}).map(([key, text]) => [
        /^_\d+$/.test(key) ? 'returns' : `returns ${code(key)}`,
        cell(text),
      ]),
    ]
    if (rows.length > 0) lines.push(table(['', ''], rows), '')
  }
  const rowsOf = (type: 'event' | 'error'): string[][] =>
    abi
      .filter((item) => item.type === type)
      .map((item) => {
        const signature = signatureOf(item)
        const docs =
          type === 'event'
            ? [userdoc.events?.[signature]?.notice, devdoc.events?.[signature]?.details]
            : [
                ...(userdoc.errors?.[signature] ?? []).map(({ notice }) => notice),
                ...(devdoc.errors?.[signature] ?? []).map(({ details }) => details),
              ]
        return [
          code(`${item.name ?? ''}(${written(item.inputs)})`),
          cell(docs.filter(Boolean).join(' ')),
        ]
      })
  for (const [type, title] of [
    ['event', 'Events'],
    ['error', 'Errors'],
  ] as const) {
    const rows = rowsOf(type)
    if (rows.length > 0) {
      lines.push(
        `### ${name}: ${title.toLowerCase()}`,
        '',
        table([title.slice(0, -1), ''], rows),
        '',
      )
    }
  }
  return lines
}

function written(parameters: readonly Parameter[] = []): string {
  return parameters
    .map(({ name, type, internalType }) => {
      const shown = internalType?.replace(/^(struct|enum|contract) /, '') ?? type
      return name === '' ? shown : `${shown} ${name}`
    })
    .join(', ')
}

/** `name(type,(type,type)[])`, by which the compiler files documentation. */
function signatureOf({ name = '', inputs = [] }: AbiItem): string {
  return `${name}(${inputs.map((each) => canonical(each as Component)).join(',')})`
}

type Component = Parameter & { readonly components?: readonly Component[] }

function canonical({ type, components }: Component): string {
  if (!type.startsWith('tuple')) return type
  return `(${(components ?? []).map(canonical).join(',')})${type.slice('tuple'.length)}`
}
