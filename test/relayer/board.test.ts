import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { openMetrics } from '#relayer/http/metrics.ts'
import { type RelayerStatus, relayerStatus } from '#relayer/runtime/status.ts'
import { createLane } from '#relayer/lane/lane.ts'
import { createLaneStore } from '#relayer/runtime/laneStore.ts'
import { createNodeSql } from '#relayer/adapters/node/nodeSql.ts'
import { feedStatus, laneStatus } from '#relayer/runtime/status.ts'
import { decodePlan } from '#relayer/plan/plan.ts'
import { zeroHash } from '#schemas/report.ts'
import { simulatedContract } from './support/simulatedChain.ts'
import { simulatedPolicy } from './support/simulation.ts'
import { testStream } from './support/testStream.ts'

const folder = new URL('../../deploy/', import.meta.url)
const board = readFileSync(new URL('grafana/relayer.json', folder), 'utf8')
const alerts = readFileSync(new URL('prometheus/relayer.yml', folder), 'utf8')
const runbook = readFileSync(new URL('../../docs/relayer.md', import.meta.url), 'utf8')

function sampleStatus(): RelayerStatus {
  const plan = decodePlan({
    version: 1,
    worker: 'http://worker',
    stream: testStream,
    chains: [
      {
        chainId: 7,
        rpcUrls: ['http://chain'],
        enclaveRegistry: simulatedContract,
        proofRegistry: simulatedContract,
      },
    ],
    settlements: [],
  })
  const [chain] = plan.chains
  if (chain === undefined) throw new Error('no chain')
  const store = createLaneStore(createNodeSql(':memory:'))
  const endpoints = [{ host: 'chain', isUsable: true, failures: 0 }]
  const cursor = { sequence: 3n, digest: zeroHash }
  const feed = feedStatus(plan, { cursor, workerHead: 4n, failures: 0, lastAnswerMs: 1 })
  return relayerStatus([feed], [laneStatus(chain, createLane(simulatedPolicy), store, endpoints)])
}

/** Sample names, each with the labels that it is served with. */
function served(): ReadonlyMap<string, ReadonlySet<string>> {
  const names = new Map<string, ReadonlySet<string>>()
  for (const line of openMetrics(sampleStatus(), 10_000).split('\n')) {
    const found = /^(plumbline_[a-z_]+)(?:\{(.*)\})? /.exec(line)
    if (found === null) continue
    const labels = [...(found[2] ?? '').matchAll(/([a-z]+)="/g)].map(([, label]) => label ?? '')
    names.set(found[1] ?? '', new Set(labels))
  }
  return names
}

function expressions(): readonly string[] {
  const { panels } = JSON.parse(board) as {
    panels: { targets: { expr: string; legendFormat: string }[] }[]
  }
  const ofBoard = panels.flatMap(({ targets }) => targets.map(({ expr }) => expr))
  const ofAlerts = [...alerts.matchAll(/^\s+expr: (.+)$/gm)].map(
    ([, expression]) => expression ?? '',
  )
  return [...ofBoard, ...ofAlerts]
}

describe('board and alerts', () => {
  it('every metric and label that they name is really served', () => {
    const names = served()
    const asked = expressions().flatMap((expression) =>
      [...expression.matchAll(/(plumbline_[a-z_]+)(?:\{([^}]*)\})?/g)].map((found) => ({
        name: found[1] ?? '',
        labels: [...(found[2] ?? '').matchAll(/([a-z]+)[=!]/g)].map(([, label]) => label ?? ''),
      })),
    )
    expect(asked.length).toBeGreaterThan(20)
    for (const { name, labels } of asked) {
      expect(names.has(name), name).toBe(true)
      for (const label of labels) expect(names.get(name)?.has(label), `${name} ${label}`).toBe(true)
    }
  })

  it('every metric that is served is on the board', () => {
    for (const name of served().keys()) expect(board, name).toContain(name)
  })

  it('every alert leads to a section of the runbook that exists', () => {
    const sections = [...alerts.matchAll(/runbook: 'docs\/relayer\.md, "(.+)"'/g)]
    expect(sections.length).toBe([...alerts.matchAll(/- alert:/g)].length)
    for (const [, section] of sections)
      expect(runbook).toMatch(new RegExp(`^#+ ${section ?? ''}$`, 'm'))
  })
})
