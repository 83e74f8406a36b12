import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, it } from 'vitest'

const sharedFolder = join(dirname(dirname(dirname(fileURLToPath(import.meta.url)))), 'shared')

/** Absolute path of published material kept beside the checkout, or `undefined` where it is absent. */
export function sharedPath(path: string): string | undefined {
  const full = join(sharedFolder, path)
  return existsSync(full) ? full : undefined
}

/**
 * A suite over published material that is read in place and never committed. Where the material is
 * absent, the suite shrinks to one entry whose title names what was not looked at, so that the
 * summary of a bare clone says so instead of staying silent.
 */
export function describeShared(
  name: string,
  path: string,
  suite: (fullPath: string) => void,
): void {
  const full = sharedPath(path)
  if (full === undefined) {
    describe(name, () => {
      it.todo(`NOT CHECKED: needs ../shared/${path}, which is not beside this clone`)
    })
    return
  }
  describe(name, () => {
    suite(full)
  })
}

/** Where a system keeps Chromium; `PLUMBLINE_CHROMIUM` names another place. */
export const chromiumPath = [
  process.env['PLUMBLINE_CHROMIUM'] ?? '',
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
].find(
  // Some systems have a stand-in there that only says how the real one would be installed.
  (path) => path !== '' && existsSync(path) && spawnSync(path, ['--version']).status === 0,
)

/** A suite in a real browser. Without one it shrinks to an entry that says what was not looked at. */
export function describeChromium(name: string, suite: (executablePath: string) => void): void {
  const found = chromiumPath
  if (found === undefined) {
    describe(name, () => {
      it.todo('NOT CHECKED: needs Chromium (apt-get install chromium), which is not here')
    })
    return
  }
  describe(name, () => {
    suite(found)
  })
}

/** Where a system keeps a program: its own folders of programs, then the search path. */
export function programPath(program: string): string | undefined {
  const folders = ['/usr/sbin', '/usr/bin', ...(process.env['PATH'] ?? '').split(':')]
  return folders.map((folder) => join(folder, program)).find((path) => existsSync(path))
}

/** A suite against a real program. Without it, it shrinks to an entry that says what was not looked at. */
export function describeProgram(
  name: string,
  program: string,
  suite: (executablePath: string) => void,
): void {
  const found = programPath(program)
  if (found === undefined) {
    describe(name, () => {
      it.todo(`NOT CHECKED: needs ${program} (apt-get install ${program}), which is not here`)
    })
    return
  }
  describe(name, () => {
    suite(found)
  })
}
