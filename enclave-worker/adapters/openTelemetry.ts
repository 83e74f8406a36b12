import { type Context, ROOT_CONTEXT, SpanStatusCode, trace } from '@opentelemetry/api'
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http'
import {
  BatchSpanProcessor,
  ParentBasedSampler,
  TraceIdRatioBasedSampler,
  TracerProvider,
  type TracerProviderOptions,
} from '@opentelemetry/sdk-trace'
import { BaseError } from '#schemas/errors.ts'
import type { Span, Tracer } from '../tracing.ts'

export type TracesConfig = {
  /** Where a collector takes OTLP over HTTP, the path included: `http://collector:4318/v1/traces`. */
  readonly endpoint: string
  /** Which share of traces is kept, from 0 to 1. */
  readonly ratio: number
}

/** Spans that wait to be sent; beyond it new ones are dropped rather than memory is spent. */
const maxWaitingSpans = 4096
const sendEveryMs = 1000
const sendTimeoutMs = 5000

type Resource = NonNullable<TracerProviderOptions['resource']>

/** Who speaks, said without asking the machine about itself: no host name, no command line. */
function resourceOf(attributes: Record<string, string>): Resource {
  const resource: Resource = {
    asyncAttributesPending: false,
    attributes,
    merge: (other) => (other === null ? resource : other),
    getRawAttributes: () => Object.entries(attributes),
  }
  return resource
}

/**
 * Sends spans to a collector by OTLP over HTTP. A collector that is slow or away costs the worker
 * nothing but the spans.
 *
 * @see OpenTelemetry protocol specification 1.x, "OTLP/HTTP"
 */
export function createOpenTelemetry(
  { endpoint, ratio }: TracesConfig,
  stream: string,
): Tracer & { close(): Promise<void> } {
  const exporter = new OTLPTraceExporter({ url: endpoint, timeoutMillis: sendTimeoutMs })
  const provider = new TracerProvider({
    resource: resourceOf({ 'service.name': 'plumbline-worker', 'plumbline.stream': stream }),
    sampler: new ParentBasedSampler({ root: new TraceIdRatioBasedSampler(ratio) }),
    spanProcessors: [
      new BatchSpanProcessor({
        exporter,
        maxQueueSize: maxWaitingSpans,
        scheduledDelayMillis: sendEveryMs,
        exportTimeoutMillis: sendTimeoutMs,
      }),
    ],
  })
  const tracer = provider.getTracer('plumbline-worker')

  async function during<Result>(
    name: string,
    work: (span: Span) => Promise<Result>,
    parent: Context,
  ): Promise<Result> {
    const span = tracer.startSpan(name, {}, parent)
    const context = trace.setSpan(parent, span)
    try {
      return await work({
        tell: (facts) => {
          span.setAttributes(
            Object.fromEntries(
              Object.entries(facts).map(([fact, value]) => [`plumbline.${fact}`, value]),
            ),
          )
        },
        during: (inner, piece) => during(inner, piece, context),
      })
    } catch (error) {
      // The class alone: messages name devices and addresses.
      span.setStatus({
        code: SpanStatusCode.ERROR,
        message: error instanceof BaseError ? error.name : 'Error',
      })
      throw error
    } finally {
      span.end()
    }
  }

  return {
    during: (name, work) => during(name, work, ROOT_CONTEXT),
    close: () => provider.shutdown(),
  }
}
