import { Options } from '@layerzerolabs/lz-v2-utilities'
import { type Hex, fromHex } from '#schemas/bytes.ts'
import { InvalidOptionsError } from './errors.ts'

/**
 * Options of type 3 through LayerZero's own library, with the checks that it leaves out: it encodes a
 * gas of −1 as 2^128 − 1, adds up options that stand twice, and reads what it was handed although
 * lengths do not add up. Whatever it writes is read again here by a strict decoder of our own.
 *
 * @see LayerZero V2, "Message Execution Options"
 */

/** One option of an executor: what it gives to `lzReceive`. */
export type LzReceiveOption = { readonly gas: bigint; readonly valueWei: bigint }

/** No chain takes a transaction with more. */
const maxGas = 100_000_000n
const maxValueWei = 10n ** 24n

const optionsType = 3
const executorWorker = 1
const lzReceiveOption = 1

function refuse(message: string, field: string, actual: unknown): InvalidOptionsError {
  return new InvalidOptionsError(message, { field, metaMessages: [`Actual: ${String(actual)}`] })
}

/**
 * Options that give `lzReceive` this much gas.
 *
 * @throws {@link InvalidOptionsError} for a gas or value that no executor could give
 */
export function encodeLzReceiveOptions({
  gas,
  valueWei = 0n,
}: {
  readonly gas: bigint
  readonly valueWei?: bigint
}): Hex {
  if (gas < 1n || gas > maxGas) throw refuse('Gas for lzReceive is out of range.', 'gas', gas)
  if (valueWei < 0n || valueWei > maxValueWei) {
    throw refuse('The value for lzReceive is out of range.', 'valueWei', valueWei)
  }
  const options = Options.newOptions().addExecutorLzReceiveOption(gas, valueWei).toHex() as Hex
  const [written, ...more] = readLzReceiveOptions(options)
  if (written?.gas !== gas || written.valueWei !== valueWei || more.length > 0) {
    throw refuse('The library wrote other options than it was asked for.', 'options', options)
  }
  return options
}

/**
 * Every option in the order in which they stand; a gas floor and a caller's own stand behind each
 * other, and executors add them up.
 *
 * @throws {@link InvalidOptionsError} unless each byte belongs to an option of `lzReceive`
 */
export function readLzReceiveOptions(options: Hex): readonly LzReceiveOption[] {
  const bytes = fromHex(options, 'options')
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (bytes.length < 2 || view.getUint16(0) !== optionsType) {
    throw refuse('Options are not of type 3.', 'options', options.slice(0, 6))
  }
  const found: LzReceiveOption[] = []
  let at = 2
  while (at < bytes.length) {
    // 3 = worker 1 + length 2; the length counts the option's type.
    if (at + 3 > bytes.length) throw refuse('An option is cut off.', 'options', options)
    const worker = view.getUint8(at)
    const length = view.getUint16(at + 1)
    const start = at + 3
    if (start + length > bytes.length) throw refuse('An option is cut off.', 'options', options)
    if (worker !== executorWorker || length < 1 || view.getUint8(start) !== lzReceiveOption) {
      throw refuse('An option is not one for lzReceive.', 'options', options)
    }
    // 17 = type 1 + gas 16; 33 = that + value 16.
    if (length !== 17 && length !== 33) {
      throw refuse('An option for lzReceive has the wrong length.', 'options', length)
    }
    const word = (offset: number) =>
      (view.getBigUint64(offset) << 64n) | view.getBigUint64(offset + 8)
    found.push({ gas: word(start + 1), valueWei: length === 33 ? word(start + 17) : 0n })
    at = start + length
  }
  return found
}

/**
 * Gas and value that an executor gives in all.
 *
 * @throws {@link InvalidOptionsError} for options that the library and our decoder read differently, or
 *   that come to nothing an executor would give
 */
export function lzReceiveGas(options: Hex): LzReceiveOption {
  const parts = readLzReceiveOptions(options)
  const gas = parts.reduce((sum, part) => sum + part.gas, 0n)
  const valueWei = parts.reduce((sum, part) => sum + part.valueWei, 0n)
  if (gas < 1n || gas > maxGas) throw refuse('Gas for lzReceive is out of range.', 'gas', gas)
  if (valueWei > maxValueWei) {
    throw refuse('The value for lzReceive is out of range.', 'valueWei', valueWei)
  }
  const second = Options.fromOptions(options).decodeExecutorLzReceiveOption()
  if (second === undefined || second.gas !== gas || second.value !== valueWei) {
    throw refuse('Two decoders read these options differently.', 'options', options)
  }
  return { gas, valueWei }
}
