import { openApiDocument } from '#worker/adapters/http/openApi.ts'
import { cell, code, table } from './markdown.ts'

type Operation = {
  readonly summary?: string
  readonly description?: string
  readonly parameters?: readonly {
    readonly name: string
    readonly in: string
    readonly required?: boolean
    readonly description?: string
  }[]
  readonly requestBody?: { readonly content?: Readonly<Record<string, unknown>> }
  readonly responses?: Readonly<
    Record<
      string,
      { readonly description?: string; readonly content?: Readonly<Record<string, unknown>> }
    >
  >
}

/** One page: every call of a worker, from its own OpenAPI document. */
export function apiReference(): string {
  const lines = [
    '# Worker API',
    '',
    `${cell(openApiDocument.info.description)} Generated from the OpenAPI ${openApiDocument.openapi} document that a`,
    'worker serves at `GET /v1/openapi.json`; the answers’ fields are in [formats](formats.md).',
    '',
  ]
  const paths = openApiDocument.paths as Readonly<
    Record<string, Readonly<Record<string, Operation>>>
  >
  for (const [path, operations] of Object.entries(paths)) {
    for (const [method, operation] of Object.entries(operations)) {
      lines.push(
        `## ${method.toUpperCase()} ${path.replaceAll(/[{}]/g, '_')}`,
        '',
        `${code(`${method.toUpperCase()} ${path}`)}: ${cell(operation.summary ?? '')}`,
        '',
      )
      if (operation.description !== undefined) lines.push(cell(operation.description), '')
      const parameters = operation.parameters ?? []
      if (parameters.length > 0) {
        lines.push(
          table(
            ['Parameter', 'In', ''],
            parameters.map((each) => [
              code(each.name),
              each.required === true ? `${each.in}, required` : each.in,
              cell(each.description ?? ''),
            ]),
          ),
          '',
        )
      }
      const bodies = Object.keys(operation.requestBody?.content ?? {})
      if (bodies.length > 0) lines.push(`Takes ${bodies.map(code).join(', ')}.`, '')
      lines.push(
        table(
          ['Status', 'Answer', ''],
          Object.entries(operation.responses ?? {}).map(([status, response]) => [
            status,
            Object.keys(response.content ?? {})
              .map(code)
              .join(', '),
            cell(response.description ?? ''),
          ]),
        ),
        '',
      )
    }
  }
  return `${lines.join('\n')}\n`
}
