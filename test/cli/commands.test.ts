import { Command } from 'commander'
import { describe, expect, it } from 'vitest'
import { commands, registerCommands } from '#cli/commands.ts'

describe('cli/commands', () => {
  it.each(Object.entries(commands))(
    '%s is listed with its own description and is the only one that its module adds',
    async (name, { description, load }) => {
      const program = new Command('plumbline')
      const register = await load()
      register(program)
      expect(program.commands.map((command) => [command.name(), command.description()])).toEqual([
        [name, description],
      ])
    },
  )

  it('only the command that is named is loaded; all of them are listed', async () => {
    for (const args of [['relay', 'status'], ['help', 'relay'], ['--help']]) {
      const program = new Command('plumbline')
      await registerCommands(program, args)
      expect(program.commands.map((command) => command.name())).toEqual(Object.keys(commands))
      const loaded = program.commands.filter(
        (command) => command.commands.length > 0 || command.options.length > 0,
      )
      expect(loaded.map((command) => command.name())).toEqual(
        args.includes('relay') ? ['relay'] : [],
      )
    }
  })
})
