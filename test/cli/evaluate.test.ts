import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { policyId, templates } from '#schemas/policy/policy.ts'
import { root } from '#tools/paths.ts'

const folder = mkdtempSync(join(tmpdir(), 'plumbline-evaluate-'))
afterAll(() => {
  rmSync(folder, { recursive: true })
})

function file(name: string, content: string): string {
  const path = join(folder, name)
  writeFileSync(path, content)
  return path
}

function plumbline(...args: string[]) {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [join(root, 'cli', 'main.ts'), ...args],
    { encoding: 'utf8' },
  )
  return { status, stdout, stderr }
}

const quarter = 900_000
const startMs = Date.UTC(2026, 0, 1)

function csv(values: readonly string[]): string {
  const rows = values.map((value, index) => `temperature,${startMs + index * quarter},${value},Cel`)
  return `series,ts_ms,value,unit\n${rows.join('\n')}\n`
}

const calm = Array.from({ length: 96 }, (_, index) => `${4 + (index % 5)}.5`.replace('8.5', '7.5'))
const warm = calm.map((value, index) => (index >= 40 && index < 44 ? '9.1' : value))
const policy = file('cold.json', JSON.stringify(templates['cold-chain']))

describe('plumbline evaluate', () => {
  it('says PASS with exit code 0, for machines as JSON', () => {
    const { status, stdout, stderr } = plumbline(
      'evaluate',
      '--policy',
      policy,
      '--readings',
      file('calm.csv', csv(calm)),
      '--json',
    )
    expect(stderr).toBe('')
    expect(status).toBe(0)
    const answer = JSON.parse(stdout) as Record<string, unknown>
    expect(answer).toMatchObject({
      policyId: policyId(templates['cold-chain']),
      verdict: 'PASS',
      evaluations: [
        {
          periodStartMs: startMs,
          periodEndMs: startMs + 96 * quarter,
          verdict: 'PASS',
          coveragePpm: 1_000_000,
          tier: 4,
          measures: { samples: '96', unknown_ms: '0', out_of_order: '0' },
          findings: [],
        },
      ],
    })
  })

  it('says FAIL with exit code 1, for people in their units', () => {
    const { status, stdout } = plumbline(
      'evaluate',
      '--policy',
      policy,
      '--readings',
      file('warm.csv', csv(warm)),
    )
    expect(status).toBe(1)
    expect(stdout).toContain('amount    60 min')
    expect(stdout).toContain('longest_excursion_ms        1h')
    expect(stdout).toContain('excursion 2026-01-01T10:00:00.000Z to 2026-01-01T11:00:00.000Z (1h)')
    expect(stdout.trimEnd().split('\n').at(-1)).toBe('FAIL')
  })

  it('says INCONCLUSIVE with exit code 2 when a gap could hide an excursion', () => {
    const silent = calm.map((value, index) => (index >= 40 && index < 43 ? '' : value))
    const { status, stdout } = plumbline(
      'evaluate',
      '--policy',
      policy,
      '--readings',
      file('silent.csv', csv(silent)),
    )
    expect(status).toBe(2)
    expect(stdout).toContain('finding gap (note) 1 from 2026-01-01T10:00:00.000Z')
  })

  it('judges each window of the policy, and the worst verdict is the exit code', () => {
    const daily = file(
      'daily.json',
      JSON.stringify({
        ...templates['cold-chain'],
        window: { kind: 'tumbling', length: '6h', anchorMs: 0 },
      }),
    )
    const { status, stdout } = plumbline(
      'evaluate',
      '--policy',
      daily,
      '--readings',
      file('day.csv', csv(warm)),
      '--json',
    )
    expect(status).toBe(1)
    const { evaluations } = JSON.parse(stdout) as { evaluations: { verdict: string }[] }
    expect(evaluations.map(({ verdict }) => verdict)).toStrictEqual([
      'PASS',
      'FAIL',
      'PASS',
      'PASS',
    ])
  })

  it('takes the window that is asked for', () => {
    const { status, stdout } = plumbline(
      'evaluate',
      '--policy',
      policy,
      '--readings',
      file('part.csv', csv(warm)),
      '--window',
      '2026-01-01T00:00Z/2026-01-01T06:00Z',
    )
    expect(status).toBe(0)
    expect(stdout).toContain('PASS  2026-01-01T00:00:00.000Z to 2026-01-01T06:00:00.000Z')
  })

  it.each([
    ['a file that is not there', ['--readings', join(folder, 'absent.csv')], 'cannot be read'],
    [
      'a number that is none',
      ['--readings', file('nan.csv', csv(['4', 'NaN', '5']))],
      'The CSV adapter refuses|refuse',
    ],
    [
      'a recording of another series',
      ['--readings', file('other.csv', csv(calm).replaceAll('temperature', 'pressure'))],
      'has no reading of "temperature"',
    ],
    [
      'a window that is no span',
      ['--readings', file('fine.csv', csv(calm)), '--window', 'yesterday'],
      'Write START/END',
    ],
  ])('ends with exit code 3 on %s', (_name, args, message) => {
    const { status, stdout, stderr } = plumbline('evaluate', '--policy', policy, ...args)
    expect(stderr).toMatch(new RegExp(message))
    expect(stdout).toBe('')
    expect(status).toBe(3)
  })
})

describe('plumbline policy', () => {
  it('new prints a policy that check accepts', () => {
    const created = plumbline('policy', 'new', '--template', 'energy-above')
    expect(created.status).toBe(0)
    const { status, stdout } = plumbline('policy', 'check', file('new.json', created.stdout))
    expect(stdout).toContain('PASS needs integral at least 1000000.')
    expect(stdout).toContain('VALID 0x')
    expect(status).toBe(0)
  })

  it('check explains in plain words what is demanded and paid on', () => {
    const { stdout } = plumbline('policy', 'check', policy)
    expect(stdout).toMatchInlineSnapshot(`
      "Cold chain, 2 to 8 degrees
        It looks at "temperature" in Cel from one device, a reading every 15m.
        Judged: The period that the report names, as a whole.
        A value holds until the next reading, for 20m at most; then it is unknown.
        An unobserved time stays open: the verdict has to hold whatever happened then, else it is INCONCLUSIVE.
        It does not pass when less than 95% was observed.
        A value complies while it is between 2 and 8 Cel, both included.
        A violation is an excursion when it lasts longer than 30m.
        PASS needs excursions at most 0.
        The amount is excursion time (in ms), times 1 over 60000, in min, rounded down at the sixth place.
        Where gaps leave the amount open, the part that is certain is settled.
        Quality rules: range, step, flatline.
        The report is a fact: anyone may read it, anywhere and any number of times.
      advice: quality.packs: Without it readings count that no numbered and chained pack carried.
      VALID 0x7c37cb92580ed570a9468472a13706dda3652f9780f8b7ce63d4ae201a93e8e5
      "
    `)
  })

  it('check names line and column of what is wrong, and ends with exit code 1', () => {
    const text = JSON.stringify(templates['cold-chain'], undefined, 2)
      .replace('"20m"', '"1200s"')
      .replace('"excursions"', '"excursion"')
    const path = file('wrong.json', text)
    const { status, stdout } = plumbline('policy', 'check', path)
    expect(status).toBe(1)
    expect(stdout.replaceAll(path, 'wrong.json')).toMatchInlineSnapshot(`
      "wrong.json:15:12: interpolation.max: Write a duration in its one spelling, largest unit first, such as "1h30m" or "45m".
      REFUSED The policy is not valid.
      "
    `)
  })

  it('check names both readings of a policy that has two', () => {
    const { gaps: _, ...ambiguous } = templates['cold-chain']
    const path = file('ambiguous.json', JSON.stringify(ambiguous, undefined, 2))
    const { status, stdout } = plumbline('policy', 'check', path)
    expect(status).toBe(1)
    expect(stdout.replaceAll(path, 'ambiguous.json')).toMatchInlineSnapshot(`
      "ambiguous.json:1:1: gaps: gaps is missing.
          reading 1: Silence counts against the subject: an unheard minute violates.
          reading 2: Silence does not count against the subject: an unheard minute is left open or out.
      REFUSED The policy can be read in two ways.
      "
    `)
    const { stdout: json } = plumbline('policy', 'check', path, '--json')
    expect(JSON.parse(json)).toMatchObject({ valid: false, error: 'AmbiguousPolicyError' })
  })
})
