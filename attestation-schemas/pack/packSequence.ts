import { CborReader } from '../cbor/cborReader.ts'
import { PackProfileError } from './packErrors.ts'
import { maxPackBytes } from './packProfile.ts'

/** Tag, message array, header map and one value in it: what a COSE_Sign1 without nesting needs. */
const maxPackDepth = 4

/**
 * Splits a CBOR sequence into its packs, as views of the input. Only the outer structure of each is
 * looked at; a sequence with one malformed item is refused whole, since nothing after it can be
 * trusted to start where it seems to.
 *
 * @param limits.maxPacks - More are refused.
 * @throws {@link InvalidCborError}, {@link PackProfileError}
 * @see RFC 8742
 */
export function splitPackSequence(
  bytes: Uint8Array,
  { maxPacks = 10_000 }: { readonly maxPacks?: number } = {},
): readonly Uint8Array[] {
  const reader = new CborReader(bytes)
  const packs: Uint8Array[] = []
  while (reader.position < reader.end) {
    const start = reader.position
    if (packs.length >= maxPacks) {
      throw new PackProfileError('The sequence holds too many packs.', {
        rule: 'too-many-packs',
        offset: start,
        metaMessages: [`Expected: at most ${maxPacks}`],
        remedy: 'Send several sequences.',
      })
    }
    reader.skipItem(maxPackDepth)
    if (reader.position - start > maxPackBytes) {
      throw new PackProfileError('A pack of the sequence is too large.', {
        rule: 'pack-too-large',
        offset: start,
        metaMessages: [
          `Expected: at most ${maxPackBytes} bytes`,
          `Actual: ${reader.position - start} bytes`,
        ],
      })
    }
    packs.push(bytes.subarray(start, reader.position))
  }
  return packs
}
