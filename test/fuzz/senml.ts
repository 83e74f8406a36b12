import { fromHex } from '#schemas/bytes.ts'
import { FormatRefusedError } from '#schemas/cbor/formatRefusedError.ts'
import { decodeSenmlCbor } from '#schemas/senml/decodeSenmlCbor.ts'
import { encodeSenmlCbor } from '#schemas/senml/encodeSenmlCbor.ts'
import type { SenmlColumns } from '#schemas/senml/senmlColumns.ts'
import { referenceRows } from '../attestation-schemas/senml/referenceResolver.ts'
import {
  decimal,
  double,
  integer,
  single,
  writeSenml,
} from '../attestation-schemas/senml/senmlWriter.ts'
import { type Fuzzer, fuzzMain } from './harness.ts'
import { mutateCbor } from './mutateCbor.ts'

const start = 1_700_000_000

export const senmlCorpus: readonly Uint8Array[] = [
  // RFC 8428 §6
  fromHex(
    '87a721781b75726e3a6465763a6f773a3130653230373361303130383030363a22fb41d303a15b00106223614120050067766f6c7461676501615602fb405e066666666666a3006763757272656e74062402fb3ff3333333333333a3006763757272656e74062302fb3ff4cccccccccccda3006763757272656e74062202fb3ff6666666666666a3006763757272656e74062102f93e00a3006763757272656e74062002fb3ff999999999999aa3006763757272656e74060002fb3ffb333333333333',
    'corpus',
  ),
  encodeSenmlCbor(
    Array.from({ length: 12 }, (_, index) => ({
      name: index % 3 === 0 ? 'cold:temp' : 'cold:hum',
      unit: index % 3 === 0 ? 'Cel' : '%RH',
      timeMs: start * 1000 + index * 1500,
      valueMicro: index === 7 ? null : index * 123_456 - 500_000,
    })),
  ),
  writeSenml([
    [
      [-2, 'm'],
      [-3, integer(start)],
      [-4, 'W'],
      [-5, decimal(1, -1)],
      [-6, integer(100)],
      [2, decimal(2, -1)],
      [5, integer(1)],
    ],
    [
      [6, integer(1)],
      [4, true],
    ],
    [
      [0, '/door'],
      [6, decimal(15, -1)],
      [4, false],
    ],
    [
      [-2, 'x:'],
      [0, 'y'],
      [1, '[degF]'],
      [2, double(41.5)],
      [7, integer(60)],
    ],
    [
      [0, 'z'],
      [1, 'kWh'],
      [2, single(23.45)],
      [6, double(0.5)],
    ],
  ]),
]

/**
 * Laws of `decodeSenmlCbor`: only refusals by name; what is accepted resolves as a plain reference
 * over cbor2 resolves it, to finite integers and absolute times.
 */
export const senmlFuzzer: Fuzzer = {
  name: 'senml',
  attempt(random) {
    const bytes = mutateCbor(random.pick(senmlCorpus), random)
    let columns: SenmlColumns
    try {
      columns = decodeSenmlCbor(bytes)
    } catch (error) {
      if (!(error instanceof FormatRefusedError)) throw error
      return false
    }
    const reference = referenceRows(bytes)
    if (reference.length !== columns.timeMs.length) throw new Error('another number of readings')
    for (const [row, expected] of reference.entries()) {
      const channel = columns.channels[columns.channelOf[row] ?? -1]
      const value = columns.valueMicro[row] ?? 0
      const isSame =
        channel?.series === expected.series &&
        channel.unit === expected.unit &&
        columns.timeMs[row] === expected.timeMs &&
        expected.micro.some((micro) => Object.is(micro ?? NaN, value))
      if (!isSame) {
        throw new Error(`row ${row}: ${JSON.stringify({ channel, value, expected })}`)
      }
      if (!Number.isNaN(value) && !Number.isSafeInteger(value))
        throw new Error(`row ${row}: ${value}`)
    }
    return true
  },
}

if (import.meta.main) fuzzMain([senmlFuzzer])
