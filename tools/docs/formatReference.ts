import { z } from 'zod'
import { formats } from '../jsonSchemas.ts'
import { cell, code, table } from './markdown.ts'

type Schema = {
  readonly type?: string | readonly string[]
  readonly const?: unknown
  readonly enum?: readonly unknown[]
  readonly anyOf?: readonly Schema[]
  readonly oneOf?: readonly Schema[]
  readonly allOf?: readonly Schema[]
  readonly $ref?: string
  readonly properties?: Readonly<Record<string, Schema>>
  readonly required?: readonly string[]
  readonly items?: Schema
  readonly prefixItems?: readonly Schema[]
  readonly pattern?: string
  readonly format?: string
  readonly minimum?: number
  readonly maximum?: number
  readonly minLength?: number
  readonly maxLength?: number
  readonly maxItems?: number
}

/** Deeper objects are in the schema file; a page of ten levels helps nobody. */
const deepest = 4

/** Texts that are numbers or bytes, by their pattern. */
const texts: Readonly<Record<string, string>> = {
  '^0x([0-9a-f]{2})*$': 'bytes, hex with 0x',
  '^(0|[1-9][0-9]{0,77})$': 'unsigned integer, as decimal text',
  '^(0|-?[1-9][0-9]{0,77})$': 'integer, as decimal text',
}

/** What a value has to be, in a few words. */
function words(schema: Schema): string {
  if (schema.const !== undefined) return code(JSON.stringify(schema.const))
  if (schema.enum !== undefined) {
    return schema.enum.map((each) => code(JSON.stringify(each))).join(', ')
  }
  const choices = schema.anyOf ?? schema.oneOf
  if (choices !== undefined) return [...new Set(choices.map(words))].join(' or ')
  if (schema.$ref !== undefined) return 'as above'
  const hex = /^\^0x\[0-9a-f\]\{(\d+)\}\$$/.exec(schema.pattern ?? '')
  if (hex !== null) return `${Number(hex[1]) / 2} bytes, hex with 0x`
  const known = texts[schema.pattern ?? '']
  if (known !== undefined) return known
  const type = [schema.type ?? 'any'].flat().join(' or ')
  const bounds: string[] = []
  if (schema.pattern !== undefined) bounds.push(code(schema.pattern))
  if (schema.format !== undefined) bounds.push(schema.format)
  if (schema.minimum !== undefined) bounds.push(`from ${schema.minimum}`)
  // The largest number that JSON carries exactly is no bound worth naming.
  if (schema.maximum !== undefined && schema.maximum < Number.MAX_SAFE_INTEGER) {
    bounds.push(`to ${schema.maximum}`)
  }
  if (schema.minLength !== undefined && schema.minLength > 0) {
    bounds.push(`at least ${schema.minLength} long`)
  }
  if (schema.maxLength !== undefined) bounds.push(`at most ${schema.maxLength} long`)
  if (schema.maxItems !== undefined) bounds.push(`at most ${schema.maxItems}`)
  return [type, ...bounds].join(', ')
}

function rowsOf(schema: Schema, path: string, isRequired: boolean, depth: number): string[][] {
  const rows: string[][] = []
  if (path !== '') rows.push([code(path), words(schema), isRequired ? '' : 'optional'])
  if (depth >= deepest) return rows
  for (const [name, property] of Object.entries(schema.properties ?? {})) {
    const below = path === '' ? name : `${path}.${name}`
    rows.push(...rowsOf(property, below, schema.required?.includes(name) === true, depth + 1))
  }
  const items = schema.items
  if (items?.properties !== undefined || items?.anyOf !== undefined) {
    for (const choice of items.anyOf ?? [items]) {
      for (const [name, property] of Object.entries(choice.properties ?? {})) {
        rows.push(
          ...rowsOf(
            property,
            `${path}[].${name}`,
            choice.required?.includes(name) === true,
            depth + 1,
          ),
        )
      }
    }
  }
  if (path !== '') return rows
  for (const choice of schema.anyOf ?? schema.oneOf ?? [])
    rows.push(...rowsOf(choice, '', true, depth))
  return rows
}

/** One page: every JSON format, field by field, from the schemas that its decoder is made of. */
export function formatReference(): string {
  const lines = [
    '# JSON formats',
    '',
    'Generated from the decoders. Integers beyond 2^53 are decimal text; unknown fields are errors. The',
    'schemas themselves are in [attestation-schemas/json-schema](../../attestation-schemas/json-schema).',
    '',
  ]
  for (const [name, { title, schema }] of Object.entries(formats)) {
    const json = z.toJSONSchema(schema, {
      io: 'input',
      target: 'draft-2020-12',
      unrepresentable: 'any',
    }) as Schema
    lines.push(
      `## ${name}`,
      '',
      `${cell(title)}. [Schema](../../attestation-schemas/json-schema/${name}.schema.json).`,
      '',
      table(['Field', 'Value', ''], rowsOf(json, '', true, 0)),
      '',
    )
  }
  return `${lines.join('\n')}\n`
}
