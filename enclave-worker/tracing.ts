/** What a span may tell: counts, sizes, sequences and digests. Never readings, packs or keys. */
export type SpanFacts = Readonly<Record<string, string | number | boolean>>

/** A piece of work that is being timed. */
export type Span = {
  /** Adds what became known on the way. */
  tell(facts: SpanFacts): void
  /** Times a piece of this piece. */
  during<Result>(name: string, work: (span: Span) => Promise<Result>): Promise<Result>
}

/** Times what a worker does from ingest to signature. It decides and delays nothing. */
export type Tracer = {
  during<Result>(name: string, work: (span: Span) => Promise<Result>): Promise<Result>
}

const silentSpan: Span = {
  tell: () => undefined,
  during: (_, work) => work(silentSpan),
}

/** Tracing switched off: work is done and nothing is kept of it. */
export const noTracing: Tracer = silentSpan
