import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { root } from '#tools/paths.ts'

/** Pages that take somebody from nothing to a result; every command in them is run. */
export const quickStarts = ['start-consumer', 'start-relayer', 'start-worker'] as const

/** Lines of a page's `sh` blocks, continued ones joined. */
export function commandsOf(page: string): string[] {
  const text = readFileSync(join(root, 'docs', `${page}.md`), 'utf8')
  return [...text.matchAll(/```sh\n([\s\S]*?)```/g)].flatMap(([, block = '']) =>
    block
      .replaceAll(/\\\n\s*/g, '')
      .split('\n')
      .filter((line) => line.trim() !== ''),
  )
}

/** A command as it stands in a page, for a main job that runs elsewhere than by default. */
export function commandFor(
  line: string,
  job: { readonly portBase: number; readonly stateFolder: string; readonly tryFolder: string },
): string {
  return line
    .replaceAll('npm run -s plumbline --', `${process.execPath} cli/main.ts`)
    .replaceAll('.plumbline/localnet', job.stateFolder)
    .replaceAll('.plumbline/try', job.tryFolder)
    .replaceAll(/\b127\.0\.0\.1:85(4[5-9]|50)\b/g, (_, last: string) => {
      return `127.0.0.1:${job.portBase + Number(`85${last}`) - 8545}`
    })
}
