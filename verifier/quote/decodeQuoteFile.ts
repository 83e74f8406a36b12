import { fromHex } from '#schemas/bytes.ts'
import { BaseError } from '#schemas/errors.ts'

/** Raised when a file holds no quote in any of the known wrappings. */
export class UnknownQuoteFileError extends BaseError {
  override readonly name = 'UnknownQuoteFileError'
}

export type QuoteFile = {
  readonly quote: Uint8Array
  /** What `GetQuote` returned beside the quote, when the file is its answer. */
  readonly eventLog: unknown
}

const decoder = new TextDecoder('utf-8', { fatal: true })

/**
 * Finds the quote in a file: raw bytes, hex text, the JSON answer of dstack's `GetQuote`, or a JSON
 * list of byte values.
 *
 * @throws {@link UnknownQuoteFileError}
 */
export function decodeQuoteFile(file: Uint8Array): QuoteFile {
  // A quote begins with its version, 3 to 5, and a zero; no text does.
  if (file[1] === 0) return { quote: file, eventLog: undefined }
  try {
    const text = decoder.decode(file).trim()
    if (!/^[{["]/.test(text)) return { quote: fromHex(text, 'quote'), eventLog: undefined }
    return decodeJson(JSON.parse(text))
  } catch (cause) {
    if (cause instanceof UnknownQuoteFileError) throw cause
    throw unknown(cause)
  }
}

function decodeJson(value: unknown): QuoteFile {
  if (typeof value === 'string') return { quote: fromHex(value, 'quote'), eventLog: undefined }
  if (Array.isArray(value)) {
    const isBytes = value.every(
      (item) => typeof item === 'number' && Number.isInteger(item) && item >= 0 && item <= 255,
    )
    if (!isBytes) throw unknown()
    return { quote: Uint8Array.from(value as number[]), eventLog: undefined }
  }
  if (typeof value !== 'object' || value === null || !('quote' in value)) throw unknown()
  const { quote } = decodeJson(value.quote)
  return { quote, eventLog: 'event_log' in value ? value.event_log : undefined }
}

function unknown(cause?: unknown): UnknownQuoteFileError {
  return new UnknownQuoteFileError('The file holds no quote.', {
    cause,
    field: 'quote',
    remedy: 'Pass raw bytes, hex, or the JSON that GetQuote answers.',
  })
}
