import { readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { root } from '#tools/paths.ts'

const { imports: aliases } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
  imports: Record<string, string>
}

/**
 * Everything that running a file loads: files of this repository, and packages by name. Imports of
 * types are left out, since Node strips them; threads started by `new URL('./x.ts', import.meta.url)`
 * are followed.
 */
export function importClosure(entry: string): { files: string[]; packages: string[] } {
  const files = new Set<string>()
  const packages = new Set<string>()
  const visit = (file: string): void => {
    if (files.has(file)) return
    files.add(file)
    for (const specifier of specifiersOf(readFileSync(join(root, file), 'utf8'))) {
      const target = resolve(file, specifier)
      if (target !== undefined) visit(target)
      else if (!specifier.startsWith('node:')) packages.add(packageOf(specifier))
    }
  }
  visit(entry)
  return { files: [...files], packages: [...packages].toSorted() }
}

function specifiersOf(text: string): string[] {
  const code = text.replaceAll(/\/\*[\s\S]*?\*\//g, '')
  const statements = code.matchAll(
    /(?:^|\n)(?:import|export)\s(?!type\s)(?:[^'"`;]*?\sfrom\s)?['"]([^'"]+)['"]|\bimport\(\s*['"]([^'"]+)['"]\s*\)|new URL\(\s*['"]([^'"]+)['"],\s*import\.meta\.url/g,
  )
  return [...statements].map((match) => match[1] ?? match[2] ?? match[3] ?? '')
}

function resolve(file: string, specifier: string): string | undefined {
  if (specifier.startsWith('.')) return normalize(join(dirname(file), specifier))
  for (const [alias, path] of Object.entries(aliases)) {
    const head = alias.replace('*', '')
    if (specifier.startsWith(head)) return join(path.replace('*', specifier.slice(head.length)))
  }
  return undefined
}

function packageOf(specifier: string): string {
  const [first = '', second = ''] = specifier.split('/')
  return first.startsWith('@') ? `${first}/${second}` : first
}
