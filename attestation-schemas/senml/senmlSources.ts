import { textBetween } from '../cbor/cborReader.ts'
import { findUnit, type Unit } from '../units/unit.ts'
import { InvalidSenmlError } from './invalidSenmlError.ts'
import type { Channel } from './senmlColumns.ts'
import { isSenmlName } from './senmlName.ts'

/** Up to so many sources are told apart by comparing bytes; more are looked up by their text. */
const maxComparedSources = 8

/** One combination of base name, name and unit as sent, and the channels its readings go to. */
export type Source = {
  readonly name: string
  readonly unit: Unit | undefined
  readonly nameStart: number
  readonly nameEnd: number
  readonly unitStart: number
  readonly unitEnd: number
  /** Indices into the channels; -1 until the first reading of that kind. */
  valueChannel: number
  booleanChannel: number
  sumChannel: number
}

/**
 * Resolves names and units of a pack's records. A name is turned into text once and then recognised
 * by its bytes, since the records of a pack repeat a few names many times.
 */
export class SenmlSources {
  readonly channels: Channel[] = []
  private readonly bytes: Uint8Array
  private channelIndex: Map<string, number> | undefined
  private baseName = ''
  private baseUnit = ''
  /** Sources under the present base name and base unit. */
  private sources: Source[] = []
  private sourceIndex: Map<string, Source> | undefined
  /** The source of records with neither name nor unit of their own, once there was one. */
  plain: Source | undefined

  constructor(bytes: Uint8Array) {
    this.bytes = bytes
  }

  setBaseName(start: number, end: number): void {
    this.baseName = textBetween(this.bytes, start, end)
    this.forget()
  }

  setBaseUnit(start: number, end: number): void {
    this.baseUnit = textBetween(this.bytes, start, end)
    this.forget()
  }

  /** The source of a record with neither name nor unit. */
  plainSource(record: number): Source {
    this.plain ??= this.create(0, 0, 0, 0, record)
    return this.plain
  }

  /** The source of a record with a name, a unit or both; an empty range stands for an absent one. */
  sourceOf(
    nameStart: number,
    nameEnd: number,
    unitStart: number,
    unitEnd: number,
    record: number,
  ): Source {
    if (this.sourceIndex !== undefined) {
      const key = this.keyOf(nameStart, nameEnd, unitStart, unitEnd)
      const known = this.sourceIndex.get(key)
      if (known !== undefined) return known
      const created = this.create(nameStart, nameEnd, unitStart, unitEnd, record)
      this.sourceIndex.set(key, created)
      return created
    }
    const known = this.known(nameStart, nameEnd, unitStart, unitEnd)
    if (known !== undefined) return known
    const created = this.create(nameStart, nameEnd, unitStart, unitEnd, record)
    this.sources.push(created)
    if (this.sources.length > maxComparedSources) {
      this.sourceIndex = new Map(
        this.sources.map((source) => [
          this.keyOf(source.nameStart, source.nameEnd, source.unitStart, source.unitEnd),
          source,
        ]),
      )
    }
    return created
  }

  /** The source of a record among the few that are told apart by their bytes. */
  known(
    nameStart: number,
    nameEnd: number,
    unitStart: number,
    unitEnd: number,
  ): Source | undefined {
    if (this.sourceIndex !== undefined) return undefined
    for (const source of this.sources) {
      if (
        this.isSameText(source.nameStart, source.nameEnd, nameStart, nameEnd) &&
        this.isSameText(source.unitStart, source.unitEnd, unitStart, unitEnd)
      ) {
        return source
      }
    }
    return undefined
  }

  /** The channel of a series in a unit: two spellings of one series are one channel. */
  channel(series: string, unit: string): number {
    if (this.channelIndex === undefined && this.channels.length <= maxComparedSources) {
      for (const [index, channel] of this.channels.entries()) {
        if (channel.unit === unit && channel.series === series) return index
      }
      return this.channels.push({ series, unit }) - 1
    }
    this.channelIndex ??= new Map(
      this.channels.map((channel, index) => [`${channel.unit} ${channel.series}`, index]),
    )
    const key = `${unit} ${series}`
    const known = this.channelIndex.get(key)
    if (known !== undefined) return known
    const created = this.channels.push({ series, unit }) - 1
    this.channelIndex.set(key, created)
    return created
  }

  private forget(): void {
    if (this.sources.length > 0) this.sources = []
    this.sourceIndex = undefined
    this.plain = undefined
  }

  private create(
    nameStart: number,
    nameEnd: number,
    unitStart: number,
    unitEnd: number,
    record: number,
  ): Source {
    const name = this.baseName + textBetween(this.bytes, nameStart, nameEnd)
    if (name === '') throw new InvalidSenmlError('name-missing', { record, field: 'n' })
    if (!isSenmlName(name)) throw new InvalidSenmlError('name-characters', { record, field: 'n' })
    const symbol = unitEnd > unitStart ? textBetween(this.bytes, unitStart, unitEnd) : this.baseUnit
    const unit = symbol === '' ? undefined : findUnit(symbol)
    if (symbol !== '' && unit === undefined) {
      throw new InvalidSenmlError('unknown-unit', {
        record,
        field: 'u',
        actual: JSON.stringify(symbol.slice(0, 32)),
      })
    }
    return {
      name,
      unit,
      nameStart,
      nameEnd,
      unitStart,
      unitEnd,
      valueChannel: -1,
      booleanChannel: -1,
      sumChannel: -1,
    }
  }

  private keyOf(nameStart: number, nameEnd: number, unitStart: number, unitEnd: number): string {
    const name = textBetween(this.bytes, nameStart, nameEnd)
    // Text of CBOR may hold any character, so the length of the name keeps the two apart.
    return `${name.length} ${name}${textBetween(this.bytes, unitStart, unitEnd)}`
  }

  private isSameText(
    leftStart: number,
    leftEnd: number,
    rightStart: number,
    rightEnd: number,
  ): boolean {
    const length = leftEnd - leftStart
    if (length !== rightEnd - rightStart) return false
    for (let index = 0; index < length; index += 1) {
      if (this.bytes[leftStart + index] !== this.bytes[rightStart + index]) return false
    }
    return true
  }
}
