import type { RelayerStatus } from '../runtime/status.ts'

type Sample = {
  readonly labels: Readonly<Record<string, string | number>>
  readonly value: number | bigint
}

type Family = {
  readonly name: string
  readonly type: 'gauge' | 'counter'
  readonly help: string
  readonly samples: readonly Sample[]
}

function escaped(text: string | number): string {
  return String(text).replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')
}

function write({ name, type, help, samples }: Family): string[] {
  return [
    `# TYPE ${name} ${type}`,
    `# HELP ${name} ${help}`,
    ...samples.map(({ labels, value }) => {
      const pairs = Object.entries(labels).map(([key, item]) => `${key}="${escaped(item)}"`)
      const suffix = type === 'counter' ? '_total' : ''
      const set = pairs.length === 0 ? '' : `{${pairs.join(',')}}`
      return `${name}${suffix}${set} ${value}`
    }),
  ]
}

/** @see OpenMetrics 1.0, "Media Type" */
export const openMetricsType = 'application/openmetrics-text; version=1.0.0; charset=utf-8'

const holds = ['fee', 'spend', 'balance', 'rpc', 'nonce'] as const

/**
 * The relayer's state as OpenMetrics text. Wei are given in gwei, since a sample is a double.
 *
 * @param nowMs - For ages: how long ago something last worked.
 */
export function openMetrics(status: RelayerStatus, nowMs: number): string {
  const { lanes } = status
  const feeds = status.feeds.map((feed) => ({ feed, labels: { stream: feed.stream } }))
  const chains = lanes.map((lane) => ({ lane, labels: { chain: lane.chainId } }))
  const gwei = (wei: string | undefined): bigint => BigInt(wei ?? '0') / 1_000_000_000n
  const families: Family[] = [
    {
      name: 'plumbline_feed_sequence',
      type: 'gauge',
      help: 'Newest batch that was verified and handed to the lanes.',
      samples: feeds.map(({ feed, labels }) => ({ labels, value: BigInt(feed.sequence) })),
    },
    {
      name: 'plumbline_feed_backlog_batches',
      type: 'gauge',
      help: 'Batches that the worker has and the feed has not.',
      samples: feeds.map(({ feed, labels }) => ({
        labels,
        value: BigInt(feed.workerHead) - BigInt(feed.sequence),
      })),
    },
    {
      name: 'plumbline_feed_failures',
      type: 'gauge',
      help: 'Consecutive failures to read or verify the worker.',
      samples: feeds.map(({ feed, labels }) => ({ labels, value: feed.failures })),
    },
    {
      name: 'plumbline_feed_silence_seconds',
      type: 'gauge',
      help: 'Time since the worker last answered.',
      samples: feeds.flatMap(({ feed, labels }) =>
        feed.lastAnswerMs === undefined
          ? []
          : [{ labels, value: Math.round((nowMs - feed.lastAnswerMs) / 1_000) }],
      ),
    },
    {
      name: 'plumbline_lane_jobs',
      type: 'gauge',
      help: 'Jobs of a lane by stage.',
      samples: chains.flatMap(({ lane, labels }) =>
        Object.entries(lane.counts).map(([stage, value]) => ({
          labels: { ...labels, stage },
          value,
        })),
      ),
    },
    {
      name: 'plumbline_lane_in_flight',
      type: 'gauge',
      help: 'Transactions that are not in a block yet.',
      samples: chains.map(({ lane, labels }) => ({ labels, value: lane.inFlight })),
    },
    {
      name: 'plumbline_lane_oldest_open_seconds',
      type: 'gauge',
      help: 'Age of the oldest job that is neither final nor quarantined.',
      samples: chains.map(({ lane, labels }) => ({
        labels,
        value:
          lane.oldestOpenMs === undefined ? 0 : Math.round((nowMs - lane.oldestOpenMs) / 1_000),
      })),
    },
    {
      name: 'plumbline_lane_held',
      type: 'gauge',
      help: '1 while something holds the whole lane.',
      samples: chains.flatMap(({ lane, labels }) =>
        holds.map((kind) => ({
          labels: { ...labels, kind },
          value: lane.hold?.kind === kind ? 1 : 0,
        })),
      ),
    },
    {
      name: 'plumbline_lane_running',
      type: 'gauge',
      help: '0 while an operator has paused or drained the lane.',
      samples: chains.map(({ lane, labels }) => ({
        labels,
        value: lane.mode === 'running' ? 1 : 0,
      })),
    },
    {
      name: 'plumbline_lane_head_block',
      type: 'gauge',
      help: 'Newest block that was seen.',
      samples: chains.map(({ lane, labels }) => ({ labels, value: lane.head?.number ?? 0 })),
    },
    {
      name: 'plumbline_lane_base_fee_gwei',
      type: 'gauge',
      help: 'Base fee of the newest block.',
      samples: chains.map(({ lane, labels }) => ({ labels, value: gwei(lane.baseFeePerGasWei) })),
    },
    {
      name: 'plumbline_lane_balance_gwei',
      type: 'gauge',
      help: 'Gas money of the sender.',
      samples: chains.map(({ lane, labels }) => ({ labels, value: gwei(lane.balanceWei) })),
    },
    {
      name: 'plumbline_lane_spent_today_gwei',
      type: 'gauge',
      help: 'Gas money spent on this UTC day.',
      samples: chains.map(({ lane, labels }) => ({ labels, value: gwei(lane.spentTodayWei) })),
    },
    {
      name: 'plumbline_lane_reorgs',
      type: 'counter',
      help: 'Transactions that a reorganisation put back in flight.',
      samples: chains.map(({ lane, labels }) => ({ labels, value: lane.reorgs })),
    },
    {
      name: 'plumbline_lane_endpoint_usable',
      type: 'gauge',
      help: '1 while an RPC endpoint answers as it should.',
      samples: chains.flatMap(({ lane, labels }) =>
        lane.endpoints.map(({ host, isUsable }, position) => ({
          labels: { ...labels, position, host },
          value: isUsable ? 1 : 0,
        })),
      ),
    },
  ]
  return `${families.flatMap(write).join('\n')}\n# EOF\n`
}
