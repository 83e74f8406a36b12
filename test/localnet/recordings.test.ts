import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { fetchArchive, readFromArchive } from '#localnet/recordings/registryArchive.ts'
import { moteStepMs, readMote } from '#localnet/recordings/shipmentMotes.ts'
import { parseSolarYear, readSolarYear, solarStepMs } from '#localnet/recordings/solarYear.ts'

describe('the solar recording', () => {
  it('is a year of 15-minute steps without a hole', async () => {
    const year = await readSolarYear()
    expect(year).toHaveLength(365 * 96)
    for (const [index, step] of year.entries()) {
      expect(step.startMs).toBe(Date.UTC(2015, 0, 1) + index * solarStepMs)
    }
  })

  it('makes sense as mean power per step and not as energy per step', async () => {
    const year = await readSolarYear()
    const total = year.reduce((sum, { meanPowerPpm }) => sum + meanPowerPpm, 0)
    const fullLoadHoursAsPower = Math.round(total / 4 / 1_000_000)
    const fullLoadHoursAsEnergy = Math.round(total / 1_000_000)
    expect(fullLoadHoursAsPower).toBe(1_206)
    // More than half of all hours at full power: no photovoltaic plant does that.
    expect(fullLoadHoursAsEnergy).toBe(4_823)
    expect(Math.max(...year.map(({ meanPowerPpm }) => meanPowerPpm))).toBeLessThanOrEqual(1_000_000)
  })

  it('names the line that it cannot read', () => {
    expect(() => parseSolarYear('Time,a,b\n01.01.2015 00:00,0,0.00\n2015-01-01,0,0'))
      .toThrowErrorMatchingInlineSnapshot(`
      [MalformedRecordingError: Line 3 is not a step of the recording.
      Field: data.csv:3
      Remedy: The archive is locked by its digest: this is a mistake in the reader.]
    `)
  })
})

describe('the motes', () => {
  it('are heard every five seconds for about six hours, one of them with provoked events', () => {
    const steamed = readMote(1)
    const calm = readMote(2)
    expect(steamed).toHaveLength(4_417)
    expect(calm).toHaveLength(4_417)
    expect((steamed.length * moteStepMs) / 3_600_000).toBeGreaterThan(6)
    expect(steamed.filter(({ isLabelledEvent }) => isLabelledEvent)).toHaveLength(117)
    expect(calm.filter(({ isLabelledEvent }) => isLabelledEvent)).toHaveLength(0)
    expect(Math.max(...steamed.map(({ temperatureMicroCel }) => temperatureMicroCel))).toBe(
      56_560_000,
    )
  })
})

describe('a locked archive', () => {
  it('is refused when its digest is another one', async () => {
    await expect(
      fetchArchive({
        name: '@energyweb/solar-simulator',
        version: '1.2.12',
        integrity: 'sha512-AAAA',
      }),
    ).rejects.toThrowError(/is not the archive that was locked/)
  })

  it('that does not exist gives an error that says what to do', async () => {
    await expect(
      fetchArchive({
        name: '@energyweb/solar-simulator',
        version: '0.0.0-none',
        integrity: 'sha512-AAAA',
      }),
    ).rejects.toThrowError(/Remedy: Check that the package registry can be reached/)
  })

  it('without the wanted file says which file is missing', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'plumbline-archive-'))
    try {
      const { gzipSync } = await import('node:zlib')
      const file = join(folder, 'empty.tgz')
      writeFileSync(file, gzipSync(new Uint8Array(1024)))
      expect(existsSync(file)).toBe(true)
      expect(() => readFromArchive(file, 'package/data.csv')).toThrowError(/has no package\/data/)
    } finally {
      rmSync(folder, { recursive: true })
    }
  })
})
