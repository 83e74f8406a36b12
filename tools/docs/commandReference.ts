import { Command } from 'commander'
import { commands } from '#cli/commands.ts'
import { cell } from './markdown.ts'

/** Wide enough that no option's text breaks in the middle of a page. */
const columns = 100

/** One page: every command of `plumbline` with its options, as its own help tells them. */
export async function commandReference(): Promise<string> {
  const lines = [
    '# Commands',
    '',
    'Generated from the commands’ own help. In a clone: `npm run -s plumbline -- COMMAND …`.',
    '',
  ]
  for (const [name, { description, load }] of Object.entries(commands)) {
    const program = new Command('plumbline')
    const register = await load()
    register(program)
    lines.push(`## ${name}`, '', `${cell(description)}.`, '')
    for (const command of program.commands) lines.push(...helpOf(command, `plumbline ${name}`))
  }
  return `${lines.join('\n')}\n`
}

function helpOf(command: Command, path: string): string[] {
  command.configureHelp({ helpWidth: columns })
  let help = ''
  command.configureOutput({ writeOut: (text) => (help += text), getOutHelpWidth: () => columns })
  command.outputHelp()
  const lines = ['```text', help.trimEnd(), '```', '']
  for (const child of command.commands) {
    lines.push(`### ${path} ${child.name()}`, '', ...helpOf(child, `${path} ${child.name()}`))
  }
  return lines
}
