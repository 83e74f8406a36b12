#!/usr/bin/env node
// `node tools/launch.mjs FILE [ARGS…]`: install if needed, then run FILE under the locked Node.
import { spawn } from 'node:child_process'
import { constants } from 'node:os'
import { delimiter, join, resolve } from 'node:path'
import { ensureInstalled, findNode, root } from './install.mjs'

/** Runs a TypeScript entry file of this repository and ends with its exit code. */
export function launch(file, args) {
  ensureInstalled()
  const path = [join(root, 'node_modules', '.bin'), process.env.PATH ?? ''].join(delimiter)
  const child = spawn(findNode(), ['--disable-warning=ExperimentalWarning', file, ...args], {
    stdio: 'inherit',
    env: {
      // Compiled and stripped code of the last run; Node checks it against the sources itself.
      NODE_COMPILE_CACHE: join(root, '.cache', 'node-compile'),
      ...process.env,
      PATH: path,
    },
  })
  // A terminal sends Ctrl-C to the whole group, so the child has it already; a supervisor's
  // SIGTERM reaches this process alone and has to be handed on.
  process.on('SIGINT', () => {})
  for (const signal of ['SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal))
  child.on('error', (error) => {
    process.stderr.write(`Could not start ${file}: ${error.message}\n`)
    process.exit(1)
  })
  child.on('exit', (code, signal) => {
    process.exit(code ?? 128 + (signal ? constants.signals[signal] : 1))
  })
}

const [, self, file, ...args] = process.argv
if (self && resolve(self) === join(root, 'tools', 'launch.mjs')) {
  if (!file) {
    process.stderr.write('usage: node tools/launch.mjs FILE [ARGS…]\n')
    process.exit(2)
  }
  launch(resolve(root, file), args)
}
