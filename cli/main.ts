import { Command, CommanderError } from 'commander'
import { BaseError } from '#schemas/errors.ts'
import { registerCommands } from './commands.ts'

/** Exit code of every command that could not do what it was asked, whatever the reason. */
const errorExitCode = 3

const program = new Command('plumbline')
  .description('Device performance, proved: attested reports that settle on many chains')
  .showHelpAfterError('(add --help for the options)')
  .exitOverride()

// A reader that has seen enough (`| head`) is no error.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error
  process.exit(process.exitCode)
})

try {
  await registerCommands(program, process.argv.slice(2))
  await program.parseAsync(process.argv)
} catch (error) {
  if (error instanceof CommanderError) {
    // Help and version end here too, with exit code 0; commander has printed what there is to say.
    process.exitCode = error.exitCode === 0 ? 0 : errorExitCode
  } else if (error instanceof BaseError) {
    console.error(error.message)
    process.exitCode = errorExitCode
  } else {
    console.error(error)
    process.exitCode = errorExitCode
  }
}
