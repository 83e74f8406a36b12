import uPlot from 'uplot'
import { compilePolicy } from '#evaluation/compile.ts'
import { parseDecimal } from '#schemas/policy/quantities.ts'
import type { Policy } from '#schemas/policy/policy.ts'
import type { Reading } from '#schemas/reading.ts'
import { h } from './dom.ts'
import { count, scaleFor, spanText, unitWords } from './format.ts'

/** A stretch of time, Unix milliseconds. */
export type Stretch = { readonly startMs: number; readonly endMs: number }

/** What is drawn of one series. For people: what is settled is computed from integers elsewhere. */
export type SeriesStory = {
  readonly series: string
  readonly unit: string
  readonly readings: readonly Reading[]
  /** How long a reading speaks for, when the policies say; else from the device's own pace. */
  readonly reachMs: number
  readonly isStepped: boolean
  readonly gaps: readonly Stretch[]
  readonly violations: readonly Stretch[]
  readonly limits: readonly { readonly value: number; readonly words: string }[]
  /** Drawn as a sum over time where a policy judges the integral. */
  readonly integral:
    | {
        readonly unit: string
        readonly perMs: number
        readonly marks: readonly { readonly value: number; readonly words: string }[]
      }
    | undefined
}

const perMs = { s: 1000, min: 60_000, h: 3_600_000, d: 86_400_000 } as const
const operatorWords = { lt: 'below', le: 'at most', gt: 'above', ge: 'at least' } as const

/** Puts together what one series of a device says under the policies that look at it. */
export function tellSeries(
  readings: readonly Reading[],
  policies: readonly Policy[],
  intervalMs: number,
): SeriesStory[] {
  const bySeries = new Map<string, Reading[]>()
  for (const reading of readings) {
    const beside = bySeries.get(reading.series)
    if (beside === undefined) bySeries.set(reading.series, [reading])
    else beside.push(reading)
  }
  return [...bySeries].map(([series, unsorted]) => {
    const own = unsorted.sort((left, right) => left.timeMs - right.timeMs)
    const unit = own[0]?.unit ?? ''
    const concerned = policies.filter(
      ({ signal }) => signal.series === series && signal.unit === unit,
    )
    const compiled = concerned.map((policy) => compilePolicy(policy))
    const first = compiled[0]
    const judging = compiled.find(({ hasPredicate }) => hasPredicate)
    const reachMs = first?.reachMs ?? Math.ceil(intervalMs * 1.5)
    const gaps: Stretch[] = []
    const violations: Stretch[] = []
    for (const [index, { timeMs, valueMicro }] of own.entries()) {
      const nextMs = own[index + 1]?.timeMs
      const heldUntilMs = Math.min(timeMs + reachMs, nextMs ?? timeMs + reachMs)
      if (nextMs !== undefined && nextMs > timeMs + reachMs) {
        gaps.push({ startMs: timeMs + reachMs, endMs: nextMs })
      }
      if (judging === undefined || valueMicro === null) continue
      const { low, high } = judging.good
      if (valueMicro >= low && valueMicro <= high) continue
      const last = violations.at(-1)
      if (last !== undefined && last.endMs === timeMs) {
        violations[violations.length - 1] = { startMs: last.startMs, endMs: heldUntilMs }
      } else violations.push({ startMs: timeMs, endMs: heldUntilMs })
    }
    return {
      series,
      unit,
      readings: own,
      reachMs,
      isStepped: first?.isIntervalMean === true,
      gaps,
      violations,
      limits: concerned.flatMap((policy) => limitsOf(policy)),
      integral: integralOf(concerned),
    }
  })
}

function limitsOf({ predicate, signal }: Policy): SeriesStory['limits'] {
  if (predicate === undefined) return []
  const unit = unitWords(signal.unit)
  const line = (text: string, words: string) => ({
    value: (parseDecimal(text) ?? 0) / 1e6,
    words: `${words} ${text} ${unit}`,
  })
  if (predicate.operator === 'between') {
    return [line(predicate.low, 'at least'), line(predicate.high, 'at most')]
  }
  if (predicate.operator === 'equals') return [line(predicate.limit, 'exactly')]
  return [line(predicate.limit, operatorWords[predicate.operator])]
}

function integralOf(policies: readonly Policy[]): SeriesStory['integral'] {
  for (const { aggregates } of policies) {
    const integral = aggregates.find(({ kind }) => kind === 'integral')
    if (integral?.kind !== 'integral') continue
    const marks = policies.flatMap(({ name, objectives }) =>
      objectives
        .filter(({ measure, limit }) => measure === 'integral' && limit !== '0')
        .map(({ operator, limit }) => ({
          value: Number(limit),
          words: `${operatorWords[operator]}: ${name}`,
        })),
    )
    return { unit: integral.unit, perMs: perMs[integral.per], marks }
  }
  return undefined
}

function color(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim()
}

type Chart = {
  readonly title: string
  readonly summary: string
  readonly unit: string
  readonly factor: number
  readonly x: number[]
  readonly y: (number | null)[]
  readonly isStepped: boolean
  readonly isFilled: boolean
  readonly lines: readonly { readonly value: number; readonly words: string }[]
  readonly gaps: readonly Stretch[]
  readonly violations: readonly Stretch[]
}

function readingsChart(story: SeriesStory): Chart {
  const largest = story.readings.reduce(
    (most, { valueMicro }) => Math.max(most, Math.abs(valueMicro ?? 0)),
    0,
  )
  const { factor, unit } = scaleFor(largest / 1e6, story.unit)
  const x: number[] = []
  const y: (number | null)[] = []
  for (const [index, { timeMs, valueMicro }] of story.readings.entries()) {
    x.push(timeMs / 1000)
    y.push(valueMicro === null ? null : valueMicro / 1e6 / factor)
    const nextMs = story.readings[index + 1]?.timeMs
    if (nextMs !== undefined && nextMs > timeMs + story.reachMs) {
      // A line across a time that nobody saw would be an invention.
      x.push((timeMs + story.reachMs) / 1000)
      y.push(null)
    }
  }
  const missingMs = story.gaps.reduce((sum, { startMs, endMs }) => sum + endMs - startMs, 0)
  const overMs = story.violations.reduce((sum, { startMs, endMs }) => sum + endMs - startMs, 0)
  const said = [
    count(story.readings.length, 'reading'),
    story.gaps.length === 0
      ? 'no gap'
      : `${count(story.gaps.length, 'gap')} (${spanText(missingMs)} unobserved)`,
  ]
  if (story.limits.length > 0) {
    said.push(
      story.violations.length === 0
        ? 'never outside the limit'
        : `outside the limit ${count(story.violations.length, 'time')}, ${spanText(overMs)} in all`,
    )
  }
  return {
    title: `${story.series}, ${unit}`,
    summary: `${said.join('; ')}.`,
    unit,
    factor,
    x,
    y,
    isStepped: story.isStepped,
    isFilled: false,
    lines: story.limits,
    gaps: story.gaps,
    violations: story.violations,
  }
}

function integralChart(story: SeriesStory): Chart | undefined {
  if (story.integral === undefined) return undefined
  const { marks, unit: base, perMs: per } = story.integral
  let sum = 0
  const x: number[] = []
  const sums: number[] = []
  for (const { timeMs, valueMicro } of story.readings) {
    sum += (Math.max(0, valueMicro ?? 0) / 1e6) * (story.reachMs / per)
    x.push((timeMs + story.reachMs) / 1000)
    sums.push(sum)
  }
  const { factor, unit } = scaleFor(sum, base)
  const reached = marks.filter(({ value }) => sum >= value).length
  return {
    title: `sum over time, ${unit}`,
    summary: `${(sum / factor).toFixed(3)} ${unit} in all; ${reached} of ${count(marks.length, 'mark')} reached.`,
    unit,
    factor,
    x,
    y: sums.map((value) => value / factor),
    isStepped: false,
    isFilled: true,
    lines: marks,
    gaps: story.gaps,
    violations: [],
  }
}

const height = 260
const daySeconds = 86_400

function momentText(seconds: number): string {
  return new Date(seconds * 1000).toISOString().slice(0, 19).replace('T', ' ')
}

/** Days where ticks are days apart, else the time of day, with the day where it begins. */
function tickText(seconds: number, stepSeconds: number): string {
  const moment = momentText(seconds)
  const isMidnight = seconds % daySeconds === 0
  if (stepSeconds >= daySeconds || isMidnight) return moment.slice(5, 10)
  return stepSeconds >= 60 ? moment.slice(11, 16) : moment.slice(11)
}

function draw(chart: Chart, width: number, target: HTMLElement): uPlot {
  const ink = color('--ink')
  const faint = color('--faint')
  const accent = color('--accent')
  const bad = color('--bad')
  const lines = chart.lines.map(({ value, words }) => ({ value: value / chart.factor, words }))
  const paintStretches = (plot: uPlot): void => {
    const { ctx, bbox } = plot
    const scale = devicePixelRatio
    const span = ({ startMs, endMs }: Stretch) => {
      const from = plot.valToPos(startMs / 1000, 'x', true)
      const to = plot.valToPos(endMs / 1000, 'x', true)
      return { from, width: Math.max(to - from, scale) }
    }
    ctx.save()
    ctx.beginPath()
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height)
    ctx.clip()
    ctx.fillStyle = color('--bad-wash')
    for (const stretch of chart.violations) {
      const { from, width } = span(stretch)
      ctx.fillRect(from, bbox.top, width, bbox.height)
    }
    ctx.strokeStyle = faint
    ctx.lineWidth = scale
    for (const stretch of chart.gaps) {
      const { from, width } = span(stretch)
      ctx.save()
      ctx.beginPath()
      ctx.rect(from, bbox.top, width, bbox.height)
      ctx.clip()
      ctx.beginPath()
      for (let at = from - bbox.height; at < from + width; at += 7 * scale) {
        ctx.moveTo(at, bbox.top + bbox.height)
        ctx.lineTo(at + bbox.height, bbox.top)
      }
      ctx.stroke()
      ctx.restore()
    }
    ctx.restore()
  }
  const paintLines = (plot: uPlot): void => {
    const { ctx, bbox } = plot
    const scale = devicePixelRatio
    ctx.save()
    ctx.strokeStyle = bad
    ctx.fillStyle = ink
    ctx.lineWidth = 1.5 * scale
    ctx.font = `${12 * scale}px system-ui, sans-serif`
    ctx.textAlign = 'left'
    ctx.textBaseline = 'bottom'
    for (const { value, words } of lines) {
      const y = plot.valToPos(value, 'y', true)
      ctx.setLineDash([6 * scale, 4 * scale])
      ctx.beginPath()
      ctx.moveTo(bbox.left, y)
      ctx.lineTo(bbox.left + bbox.width, y)
      ctx.stroke()
      ctx.fillText(words, bbox.left + 6 * scale, y - 3 * scale)
    }
    ctx.restore()
  }
  const stepped = uPlot.paths.stepped
  const axis = {
    stroke: faint,
    grid: { stroke: color('--rule'), width: 1 },
    ticks: { stroke: color('--rule'), width: 1 },
    font: '12px system-ui, sans-serif',
  }
  return new uPlot(
    {
      width,
      height,
      tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), 'Etc/UTC'),
      legend: { live: true },
      cursor: { y: false },
      scales: {
        y: {
          range: (_, low, high) => {
            const values = [low, high, ...lines.map(({ value }) => value)].filter(Number.isFinite)
            const least = Math.min(...values)
            const most = Math.max(...values)
            const room = (most - least || 1) * 0.08
            return [least >= 0 && least < room * 4 ? 0 : least - room, most + room]
          },
        },
      },
      axes: [
        {
          ...axis,
          space: 64,
          values: (_, splits, __, ___, stepSeconds) =>
            splits.map((seconds) => tickText(seconds, stepSeconds)),
        },
        { ...axis, size: 56 },
      ],
      series: [
        { label: 'UTC', value: (_, seconds) => (seconds === null ? '–' : momentText(seconds)) },
        {
          label: chart.unit,
          stroke: accent,
          value: (_, value) => (value === null ? '–' : String(Number(value.toFixed(3)))),
          width: 1.5,
          spanGaps: false,
          points: { show: false },
          ...(chart.isFilled ? { fill: color('--accent-wash') } : {}),
          ...(chart.isStepped && stepped !== undefined ? { paths: stepped({ align: 1 }) } : {}),
        },
      ],
      hooks: { drawClear: [paintStretches], draw: [paintLines] },
    },
    [chart.x, chart.y],
    target,
  )
}

/** A figure of one chart that follows its width and the colour scheme. */
function figureOf(chart: Chart): HTMLElement {
  const holder = h('div', { class: 'plot', role: 'img', 'aria-label': chart.summary })
  const figure = h(
    'figure',
    { class: 'chart' },
    h('figcaption', {}, h('strong', {}, chart.title), ' ', h('span', {}, chart.summary)),
    holder,
  )
  let plot: uPlot | undefined
  const redraw = (): void => {
    plot?.destroy()
    holder.replaceChildren()
    if (holder.clientWidth > 0) plot = draw(chart, holder.clientWidth, holder)
  }
  const scheme = matchMedia('(prefers-color-scheme: dark)')
  const observer = new ResizeObserver(() => {
    if (!figure.isConnected) {
      observer.disconnect()
      scheme.removeEventListener('change', redraw)
      plot?.destroy()
      return
    }
    if (plot === undefined) redraw()
    else plot.setSize({ width: holder.clientWidth, height })
  })
  scheme.addEventListener('change', redraw)
  observer.observe(holder)
  return figure
}

export function figuresOf(story: SeriesStory): HTMLElement[] {
  const integral = integralChart(story)
  const charts = integral === undefined ? [readingsChart(story)] : [readingsChart(story), integral]
  return charts.map(figureOf)
}
