import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Command } from 'commander'
import { afterAll, describe, expect, it, vi } from 'vitest'
import { registerImage } from '#cli/image.ts'
import { ComposeNotPortableError, writeAppCompose } from '#cli/image/appCompose.ts'
import { createPlatform } from '#localnet/tdx/platform.ts'
import { fromHex, toHex, utf8 } from '#schemas/bytes.ts'
import { describeShared } from '#test/shared.ts'
import { createQuotePolicy } from '#verifier/appraisal/policy.ts'
import { composeHash } from '#verifier/dstack/composeHash.ts'
import { mrConfigIdV1, mrConfigIdV2 } from '#verifier/dstack/mrConfigId.ts'
import { imageId } from '#verifier/quote/imageId.ts'
import { parseQuote } from '#verifier/quote/parseQuote.ts'

const folder = mkdtempSync(join(tmpdir(), 'plumbline-image-'))
const file = (name: string, content: string | Uint8Array) => {
  const path = join(folder, name)
  writeFileSync(path, content)
  return path
}
afterAll(() => {
  rmSync(folder, { recursive: true })
})

const dockerCompose = `services:\n  worker:\n    image: a/b@sha256:${'ab'.repeat(32)}\n`
const text = writeAppCompose({ name: 'plumbline-worker', dockerCompose })
const hash = composeHash(utf8(text))
const mrConfigId = fromHex(mrConfigIdV1(hash), 'mrConfigId')
const platform = createPlatform({ now: 1_790_000_000 })
const quote = platform.mintQuote({ reportData: new Uint8Array(64), measurements: { mrConfigId } })
const { mrTd, rtmr0, rtmr1, rtmr2 } = platform.localMeasurements
const bare = (bytes: Uint8Array) => toHex(bytes).slice(2)
const values = { mrtd: bare(mrTd), rtmr0: bare(rtmr0), rtmr1: bare(rtmr1), rtmr2: bare(rtmr2) }
const { tdAttributes, xfam } = parseQuote(quote).body as unknown as Record<string, Uint8Array>
const modes = [
  '--td-attributes',
  toHex(tdAttributes ?? new Uint8Array()),
  '--xfam',
  toHex(xfam ?? new Uint8Array()),
]

const paths = {
  compose: file('app-compose.json', text),
  docker: file('docker-compose.yaml', dockerCompose),
  tagged: file('tagged.yaml', 'services: { worker: { image: a:latest } }\n'),
  taggedCompose: file(
    'tagged.json',
    writeAppCompose({ name: 'plumbline-worker', dockerCompose: 'image: a:1\n' }),
  ),
  reference: file('reference.json', JSON.stringify(values)),
  half: file('half.json', JSON.stringify({ ...values, rtmr2: undefined })),
  broken: file('broken.json', '{'),
  quote: file('quote.bin', quote),
  other: file('other.bin', platform.mintQuote({ reportData: new Uint8Array(64) })),
}

async function plumbline(...args: string[]) {
  const program = new Command('plumbline').exitOverride().configureOutput({ writeErr: () => {} })
  registerImage(program)
  for (const command of program.commands.flatMap((child) => [child, ...child.commands])) {
    command.exitOverride().configureOutput({ writeErr: () => {} })
  }
  const print = vi.spyOn(process.stdout, 'write').mockReturnValue(true)
  const before = process.exitCode
  process.exitCode = 0
  let error: unknown
  try {
    await program.parseAsync(['image', ...args], { from: 'user' })
  } catch (thrown) {
    error = thrown
  }
  const stdout = print.mock.calls.map(([line]) => String(line)).join('')
  const status = process.exitCode
  process.exitCode = before
  print.mockRestore()
  return { status, stdout, error }
}

describe('plumbline image compose', () => {
  it('writes a file that measures what it says', async () => {
    const out = join(folder, 'written.json')
    const { status, stdout } = await plumbline(
      'compose',
      '--docker-compose',
      paths.docker,
      '--name',
      'plumbline-worker',
      '--out',
      out,
    )
    expect({ status, text: readFileSync(out, 'utf8') }).toEqual({ status: 0, text })
    expect(stdout).toContain(hash)
  })

  it('refuses an image by tag and writes nothing', async () => {
    const out = join(folder, 'refused.json')
    const { status, stdout } = await plumbline(
      'compose',
      '--docker-compose',
      paths.tagged,
      '--name',
      'plumbline-worker',
      '--out',
      out,
    )
    expect(status).toBe(1)
    expect(stdout).toMatch(/ImageNotPinned[\s\S]*REFUSED/)
    expect(() => readFileSync(out)).toThrow('ENOENT')
  })

  it('refuses what the platform’s SDK would rewrite, and a name that it would not take', () => {
    expect(() =>
      writeAppCompose({ name: 'plumbline-worker', dockerCompose: 'x: |\n  {"a": 1}\n' }),
    ).toThrow(ComposeNotPortableError)
    expect(() => writeAppCompose({ name: 'x', dockerCompose })).toThrow('is no name for a CVM')
  })
})

describe('plumbline image measure', () => {
  it('predicts compose hash and MRCONFIGID from the file alone', async () => {
    const { status, stdout } = await plumbline('measure', '--compose', paths.compose)
    expect(status).toBe(0)
    expect(stdout).toContain(hash)
    expect(stdout).toContain(mrConfigIdV1(hash))
    expect(stdout).toContain('needs --reference or --quote')
  })

  it('predicts the image id that the quote then has, and an entry that policies take', async () => {
    const { stdout } = await plumbline(
      'measure',
      '--compose',
      paths.compose,
      '--reference',
      paths.reference,
      ...modes,
      '--json',
    )
    const answer = JSON.parse(stdout) as { imageId: string; policyImage: object }
    expect(answer.imageId).toBe(imageId(parseQuote(quote)))
    const document = {
      id: 'x',
      tees: ['TDX'],
      tcb: {
        acceptedStatuses: {},
        minimumEvaluationDataNumber: 20,
        minimumQeEvaluationDataNumber: 20,
        deniedAdvisories: [],
        maximumCollateralAgeDays: null,
      },
      platforms: { allowed: 'any', denied: [] },
      allowedTdAttributes: [],
      allowedServiceTds: [],
      images: [answer.policyImage],
      enclaves: [],
    }
    const { images } = createQuotePolicy(document)
    expect(images === 'any' ? [] : [...images.values()]).toEqual(['worker'])
  })

  it('predicts MRCONFIGID of version 2 with app id and key provider', async () => {
    const appId = `0x${'ee'.repeat(20)}` as const
    const identity = ['--app-id', appId, '--key-provider', '0x3059aa']
    const { stdout } = await plumbline('measure', '--compose', paths.compose, ...identity)
    expect(stdout).toContain(mrConfigIdV2(hash, appId, 'kms', '0x3059aa'))
    const { error } = await plumbline('measure', '--compose', paths.compose, '--app-id', appId)
    expect(String(error)).toContain('binds app id and key provider')
  })

  it('holds the prediction against a quote: 0 when all is the same, 1 when something differs', async () => {
    const common = ['measure', '--compose', paths.compose, '--reference', paths.reference, ...modes]
    const same = await plumbline(...common, '--quote', paths.quote)
    expect(same.status).toBe(0)
    expect(same.stdout).toContain('SAME')
    const different = await plumbline(...common, '--quote', paths.other)
    expect(different.status).toBe(1)
    expect(different.stdout).toMatch(/MRCONFIGID +expected 0x01[\s\S]*actual[\s\S]*DIFFERENT/)
    const noValues = await plumbline('measure', '--compose', paths.compose, '--quote', paths.quote)
    expect(noValues.stdout).toContain('the quote, unverified')
  })

  it('refuses a compose file that production refuses, unless it is for development', async () => {
    const refused = await plumbline('measure', '--compose', paths.taggedCompose)
    expect(refused.status).toBe(1)
    expect(refused.stdout).toContain('REFUSED')
    const measured = await plumbline('measure', '--compose', paths.taggedCompose, '--development')
    expect(measured.status).toBe(0)
  })

  it('says what is wrong with a reference, a quote or an option', async () => {
    const reference = async (path: string) =>
      String((await plumbline('measure', '--compose', paths.compose, '--reference', path)).error)
    expect(await reference(paths.half)).toContain('does not say rtmr2')
    expect(await reference(paths.broken)).toContain('is not JSON')
    expect(await reference(join(folder, 'none'))).toContain('cannot be read')
    const cut = file('cut.bin', quote.subarray(0, 100))
    const { status } = await plumbline('measure', '--compose', paths.compose, '--quote', cut)
    expect(status).toBe(1)
    const option = await plumbline('measure', '--compose', paths.compose, '--xfam', '0x01')
    expect(String(option.error)).toContain('Write 8 bytes of hex.')
  })
})

describeShared(
  'plumbline image measure and a real deployment',
  'vectors/tdx/near-mpc',
  (shared) => {
    it('predicts the MRCONFIGID of a genuine quote from its raw compose file', async () => {
      const { status, stdout } = await plumbline(
        'measure',
        '--compose',
        join(shared, 'app_compose.json'),
        '--development',
        '--reference',
        join(shared, 'tcb_info.json'),
        '--quote',
        join(shared, 'quote.json'),
      )
      expect(stdout).toContain('SAME')
      expect(status).toBe(0)
    })
  },
)
