import { createHash } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import type { Command } from 'commander'
import { fromBase64Url } from '#schemas/adapters/base64Url.ts'
import { readCsv } from '#schemas/adapters/csv.ts'
import { createNodeSignatures } from '#schemas/adapters/nodeSignatures.ts'
import { streamId } from '#schemas/batch.ts'
import { type Hex, fromHex, toHex } from '#schemas/bytes.ts'
import { FormatRefusedError } from '#schemas/cbor/formatRefusedError.ts'
import { BaseError } from '#schemas/errors.ts'
import { annotatePack } from '#schemas/pack/annotatePack.ts'
import { type DecodedPack, decodePack } from '#schemas/pack/decodePack.ts'
import { type DeviceKey, type PublicJwk, deviceKeyFromJwk } from '#schemas/pack/deviceKey.ts'
import { encodePack } from '#schemas/pack/encodePack.ts'
import { noPrevious } from '#schemas/pack/packProfile.ts'
import { splitPackSequence } from '#schemas/pack/packSequence.ts'
import { type DeviceSigner, createDeviceSigner } from '#schemas/pack/portableSignatures.ts'
import { verifyPack } from '#schemas/pack/verifyPack.ts'
import { formatInstant } from '#schemas/policy/civilTime.ts'
import { formatDecimal } from '#schemas/policy/quantities.ts'
import { trustTiers } from '#schemas/trustTier.ts'
import { printable } from './printable.ts'

/** Exit codes of `plumbline pack inspect`, apart from 0 for packs that are all in order. */
export const packExitCodes = { refused: 1, error: 3 } as const

/** Raised when a file or an option cannot be used. */
export class PackCommandError extends BaseError {
  override readonly name = 'PackCommandError'
}

/** @throws {@link PackCommandError} */
export function readFile(file: string, field: string): Uint8Array {
  try {
    return readFileSync(file === '-' ? 0 : file)
  } catch (cause) {
    throw new PackCommandError(`${file} cannot be read.`, {
      cause,
      field,
      remedy: 'Check the path and the permissions.',
    })
  }
}

/** @throws {@link PackCommandError} */
export function writeFile(file: string, bytes: Uint8Array, field: string): void {
  try {
    writeFileSync(file, bytes)
  } catch (cause) {
    throw new PackCommandError(`${file} cannot be written.`, {
      cause,
      field,
      remedy: 'Check that the folder is there, and its permissions.',
    })
  }
}

/** A file of packs: a CBOR sequence, raw or as hexadecimal text. */
function readPacks(file: string): readonly Uint8Array[] {
  const bytes = readFile(file, 'packs')
  const text = new TextDecoder('latin1').decode(bytes.subarray(0, 140_000)).trim()
  const isHex = /^(0x)?[0-9a-fA-F\s]+$/.test(text)
  return splitPackSequence(
    isHex ? fromHex(new TextDecoder().decode(bytes).replaceAll(/\s/g, ''), 'packs') : bytes,
  )
}

/** @throws {@link PackCommandError} */
export function readJwk(file: string): PublicJwk {
  try {
    return JSON.parse(new TextDecoder().decode(readFile(file, 'key'))) as PublicJwk
  } catch (cause) {
    if (cause instanceof BaseError) throw cause
    throw new PackCommandError(`${file} is no JSON Web Key.`, { cause, field: 'key' })
  }
}

/** A stream by its id, or by the name that its id is made of. */
function readStream(text: string): Hex {
  return text.startsWith('0x') ? toHex(fromHex(text, 'stream', 32)) : streamId(text)
}

type InspectOptions = {
  readonly key?: string
  readonly stream?: string
  readonly bytes?: boolean
  readonly json?: boolean
}

type Inspection =
  | { readonly refused: string; readonly message: string }
  | { readonly pack: DecodedPack; readonly verified: boolean }

function inspectPack(
  bytes: Uint8Array,
  key: DeviceKey | undefined,
  stream: Hex | undefined,
): Inspection {
  try {
    const pack = decodePack(bytes)
    if (key === undefined) return { pack, verified: false }
    const verifier = createNodeSignatures({ capacity: 1 })
    verifyPack(pack, { key, stream: stream ?? pack.claims.stream, verifier })
    return { pack, verified: true }
  } catch (error) {
    if (!(error instanceof FormatRefusedError)) throw error
    return { refused: error.rule, message: error.message }
  }
}

function describe(pack: DecodedPack, verified: boolean) {
  const { claims } = pack
  return {
    device: pack.kid,
    algorithm: pack.algorithm,
    stream: claims.stream,
    sequence: claims.sequence.toString(),
    previous: claims.previous,
    hash: pack.packHash,
    bootCount: claims.bootCount.toString(),
    firmware: claims.firmware,
    verified,
    readings: pack.readings(trustTiers.software).map(({ series, unit, timeMs, valueMicro }) => ({
      series,
      unit,
      timeMs,
      valueMicro,
    })),
  }
}

function printPack(pack: DecodedPack, verified: boolean): readonly string[] {
  const { readings, ...facts } = describe(pack, verified)
  const label = verified
    ? 'VERIFIED under the given key'
    : 'NOT VERIFIED: no key given (--key device.jwk)'
  return [
    ...Object.entries(facts)
      .filter(([name]) => name !== 'verified')
      .map(([name, value]) => `  ${name.padEnd(10)} ${String(value)}`),
    ...readings.map(({ series, unit, timeMs, valueMicro }) => {
      const value = valueMicro === null ? '(no value)' : formatDecimal(BigInt(valueMicro))
      return `  ${formatInstant(timeMs)}  ${series}  ${value} ${valueMicro === null ? '' : unit}`.trimEnd()
    }),
    `  ${label}`,
  ]
}

function inspect(
  file: string,
  { key: keyFile, stream, bytes: isDump, json }: InspectOptions,
): void {
  const key = keyFile === undefined ? undefined : deviceKeyFromJwk(readJwk(keyFile))
  const expected = stream === undefined ? undefined : readStream(stream)
  if (expected !== undefined && key === undefined) {
    throw new PackCommandError('A stream is only compared where a signature is checked.', {
      field: '--stream',
      remedy: 'Give the device key too: --key device.jwk',
    })
  }
  const packs = readPacks(file)
  const found = packs.map((bytes) => inspectPack(bytes, key, expected))
  if (found.some((inspection) => 'refused' in inspection)) {
    process.exitCode = packExitCodes.refused
  }
  if (json === true) {
    const answer = found.map((inspection) =>
      'refused' in inspection ? inspection : describe(inspection.pack, inspection.verified),
    )
    process.stdout.write(`${JSON.stringify(answer, undefined, 2)}\n`)
    return
  }
  const lines = found.flatMap((inspection, index) => {
    const bytes = packs[index] ?? new Uint8Array()
    const title = `pack ${index + 1} of ${packs.length}, ${bytes.length} bytes`
    if ('refused' in inspection) {
      return [title, ...`REFUSED ${inspection.message}`.split('\n').map((line) => `  ${line}`)]
    }
    return [
      title,
      ...(isDump === true ? dump(bytes) : []),
      ...printPack(inspection.pack, inspection.verified),
    ]
  })
  process.stdout.write(`${lines.map(printable).join('\n')}\n`)
}

/** Longest run of bytes on one line of a dump. */
const bytesPerLine = 16

/** A pack byte by byte, as docs/packs.md shows it. */
export function dump(bytes: Uint8Array): readonly string[] {
  return annotatePack(bytes).flatMap(({ offset, bytes: hex, depth, meaning }) => {
    const rows = hex.match(new RegExp(`.{1,${bytesPerLine * 2}}`, 'g')) ?? ['']
    return rows.map((row, index) => {
      const at = (offset + index * bytesPerLine).toString(16).padStart(4, '0')
      const note = index === 0 ? `${'  '.repeat(depth)}${meaning}` : ''
      return `${at}  ${row.padEnd(bytesPerLine * 2)}  ${note}`.trimEnd()
    })
  })
}

type SignOptions = {
  readonly key: string
  readonly readings: string
  readonly stream: string
  readonly out: string
  readonly after?: string
  readonly boot: string
  readonly firmware: string
  readonly json?: boolean
}

/** A private JSON Web Key that devices and laboratories sign with. */
export function readSigner(file: string): DeviceSigner {
  const jwk = readJwk(file)
  const secret = typeof jwk.d === 'string' ? fromBase64Url(jwk.d) : undefined
  if (secret?.length !== 32) {
    throw new PackCommandError('The key holds no secret to sign with.', {
      field: 'key.d',
      remedy: 'Give a private JSON Web Key of P-256, secp256k1 or Ed25519.',
    })
  }
  const { d: _, ...publicMembers } = jwk
  const key = deviceKeyFromJwk(publicMembers)
  const signer = createDeviceSigner(key.algorithm, secret)
  if (signer.key.id !== key.id) {
    throw new PackCommandError('The secret does not belong to the public members of the key.', {
      field: 'key',
    })
  }
  return signer
}

/** Sequence and predecessor of the next pack: those after the last pack of a file, or the first. */
function nextLink(after: string | undefined): { sequence: bigint; previous: Hex } {
  if (after === undefined) return { sequence: 1n, previous: noPrevious }
  const last = readPacks(after).at(-1)
  if (last === undefined) {
    throw new PackCommandError(`${after} holds no pack to go on from.`, { field: '--after' })
  }
  const pack = decodePack(last)
  return { sequence: pack.claims.sequence + 1n, previous: pack.packHash }
}

function sign(options: SignOptions): void {
  const signer = readSigner(options.key)
  const { readings } = readCsv(new TextDecoder().decode(readFile(options.readings, 'readings')), {
    device: signer.key.id,
  })
  if (!/^\d{1,20}$/.test(options.boot)) {
    throw new PackCommandError('The boot counter is no whole number.', { field: '--boot' })
  }
  const firmware = /^0x[0-9a-fA-F]{64}$/.test(options.firmware)
    ? toHex(fromHex(options.firmware, 'firmware', 32))
    : toHex(createHash('sha256').update(readFile(options.firmware, 'firmware')).digest())
  const link = nextLink(options.after)
  const { bytes, packHash } = encodePack({
    claims: {
      stream: readStream(options.stream),
      ...link,
      bootCount: BigInt(options.boot),
      firmware,
    },
    kid: signer.key.id,
    algorithm: signer.key.algorithm,
    records: readings.map(({ series, unit, timeMs, valueMicro }) => ({
      name: series,
      unit,
      timeMs,
      valueMicro,
    })),
    sign: signer.sign,
  })
  writeFile(options.out, bytes, '--out')
  const answer = {
    file: options.out,
    device: signer.key.id,
    sequence: link.sequence.toString(),
    hash: packHash,
    bytes: bytes.length,
    readings: readings.length,
  }
  const text =
    options.json === true
      ? JSON.stringify(answer, undefined, 2)
      : Object.entries(answer)
          .map(([name, value]) => `${name.padEnd(10)} ${value}`)
          .join('\n')
  process.stdout.write(`${text}\n`)
}

/** Adds `plumbline pack inspect` and `plumbline pack sign`. */
export function registerPack(program: Command): void {
  const pack = program.command('pack').description('look into signed packs, or sign one')
  pack
    .command('inspect')
    .description('decode packs strictly, say what they hold, check signatures')
    .argument('<packs>', 'CBOR sequence of packs, raw or hexadecimal; - for standard input')
    .option('--key <jwk>', "the device's enrolled public key, a JSON Web Key file")
    .option('--stream <stream>', 'stream the packs must belong to: its name, or its id as 0x…')
    .option('--bytes', 'show every byte and what it is for')
    .option('--json', 'print as JSON')
    .addHelpText('after', '\nExit codes: 0 all in order, 1 a pack is refused, 3 error.')
    .action(inspect)
  pack
    .command('sign')
    .description('sign readings as the next pack of a device, for tests and firmware authors')
    .requiredOption('--key <jwk>', 'private JSON Web Key file')
    .requiredOption('--readings <csv>', 'series,ts_ms,value,unit rows; - for standard input')
    .requiredOption('--stream <stream>', 'name of the stream, or its id as 0x…')
    .requiredOption('--out <file>', 'where the pack goes')
    .requiredOption('--firmware <file>', 'firmware image, or its SHA-256 as 0x…')
    .option('--after <packs>', 'go on from the last pack in this file; first pack without it')
    .option('--boot <count>', 'boot counter', '1')
    .option('--json', 'print as JSON')
    .action(sign)
}
