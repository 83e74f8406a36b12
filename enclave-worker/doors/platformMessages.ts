import { JsonNumber, type JsonValue, parseStrictJson } from '#schemas/adapters/strictJson.ts'
import { BaseError } from '#schemas/errors.ts'
import type { Platform } from './doorsConfig.ts'
import type { BrokerMessage } from './handIn.ts'
import type { Telemetry } from './sourceDesk.ts'

/** Raised for a body that a platform's door cannot make out. */
export class PlatformMessageError extends BaseError {
  override readonly name = 'PlatformMessageError'
}

/** Packs that a device signed, or what a platform says about somebody who signs nothing. */
export type Delivery =
  | { readonly kind: 'packs'; readonly message: BrokerMessage }
  | { readonly kind: 'telemetry'; readonly telemetry: Telemetry }

type JsonObject = ReadonlyMap<string, JsonValue>

/** More than any platform puts into one delivery. */
const maxDeliveries = 1000

function refuse(message: string, field: string, remedy?: string): never {
  throw new PlatformMessageError(message, { field, remedy })
}

function objectOf(value: JsonValue | undefined, field: string): JsonObject {
  return value instanceof Map ? (value as JsonObject) : refuse('An object is missing.', field)
}

function textOf(value: JsonValue | undefined, field: string): string {
  const text = value instanceof JsonNumber ? value.text : value
  return typeof text === 'string' && text.length > 0 && text.length <= 1024
    ? text
    : refuse('A text is missing.', field)
}

function bytesOf(text: string, field: string): Uint8Array {
  const isBase64 = /^[A-Za-z0-9+/]+={0,2}$/.test(text) && text.length % 4 === 0
  return isBase64 ? Buffer.from(text, 'base64') : refuse('The text is no base64.', field)
}

function itemsOf(value: JsonValue): readonly JsonValue[] {
  const items = Array.isArray(value) ? (value as readonly JsonValue[]) : [value]
  return items.length > 0 && items.length <= maxDeliveries
    ? items
    : refuse(`From 1 to ${maxDeliveries} deliveries come at once.`, 'body')
}

function packs(body: Uint8Array, contentType?: JsonValue, signature?: JsonValue): Delivery {
  return {
    kind: 'packs',
    message: {
      body,
      contentType: typeof contentType === 'string' ? contentType : undefined,
      signature: typeof signature === 'string' ? signature : undefined,
    },
  }
}

function telemetry(platform: Platform, source: string, id: string, readings: JsonValue): Delivery {
  return { kind: 'telemetry', telemetry: { platform, source, id, readings } }
}

/**
 * What the statement of an AWS IoT rule selects: `{ "packs": base64, "contentType"?, "signature"? }`
 * for devices that sign, `{ "source", "id", "readings" }` for those that do not; or an array of
 * them, where the action batches.
 *
 * @throws {@link PlatformMessageError}
 */
export function awsDeliveries(body: Uint8Array): readonly Delivery[] {
  return itemsOf(parseStrictJson(body)).map((item) => {
    const message = objectOf(item, 'body')
    const encoded = message.get('packs')
    if (typeof encoded === 'string') {
      return packs(bytesOf(encoded, 'packs'), message.get('contentType'), message.get('signature'))
    }
    const readings = message.get('readings')
    if (readings === undefined) {
      refuse(
        'The message holds neither packs nor readings.',
        'body',
        "Select encode(*, 'base64') AS packs, or clientid() AS source, newuuid() AS id and readings.",
      )
    }
    return telemetry(
      'awsIot',
      textOf(message.get('source'), 'source'),
      textOf(message.get('id'), 'id'),
      readings,
    )
  })
}

/** What a device sent through Azure IoT Hub: `body` is JSON, or base64 of other bytes. */
function hubDelivery(data: JsonObject, id: string): Delivery {
  const system = objectOf(data.get('systemProperties'), 'data.systemProperties')
  const properties = data.get('properties')
  const signature =
    properties instanceof Map ? (properties as JsonObject).get('x-signature') : undefined
  const body = data.get('body')
  if (typeof body === 'string') {
    return packs(bytesOf(body, 'data.body'), packTypeOf(system.get('contentType')), signature)
  }
  if (body === undefined || body === null) refuse('The event has no body.', 'data.body')
  const held = body instanceof Map ? (body as JsonObject).get('readings') : undefined
  return telemetry(
    'eventGrid',
    textOf(system.get('iothub-connection-device-id'), 'iothub-connection-device-id'),
    id,
    held ?? body,
  )
}

/** Devices often leave the hub's default, which says nothing about the bytes. */
function packTypeOf(contentType: JsonValue | undefined): JsonValue | undefined {
  return contentType === 'application/octet-stream' ? undefined : contentType
}

const telemetryType = 'Microsoft.Devices.DeviceTelemetry'

/** What Event Grid delivers in its own schema: an array of events. */
export function eventGridDeliveries(body: Uint8Array): readonly Delivery[] {
  return itemsOf(parseStrictJson(body)).map((item) => {
    const event = objectOf(item, 'event')
    if (event.get('eventType') !== telemetryType) {
      refuse(`Only events of the type ${telemetryType} are taken.`, 'eventType')
    }
    return hubDelivery(objectOf(event.get('data'), 'data'), textOf(event.get('id'), 'id'))
  })
}

/**
 * CloudEvents 1.0 in structured or batched JSON. With `data_base64` an event of any type carries
 * packs, as `datacontenttype` says; with `data` it has to be what Azure IoT Hub reports.
 *
 * @see CloudEvents 1.0.2, JSON event format, sections 3 and 4
 */
export function cloudEventDeliveries(body: Uint8Array): readonly Delivery[] {
  return itemsOf(parseStrictJson(body)).map((item) => {
    const event = objectOf(item, 'event')
    if (event.get('specversion') !== '1.0') refuse('The event is no CloudEvent 1.0.', 'specversion')
    const id = `${textOf(event.get('source'), 'source')} ${textOf(event.get('id'), 'id')}`
    const encoded = event.get('data_base64')
    if (typeof encoded === 'string') {
      return packs(
        bytesOf(encoded, 'data_base64'),
        packTypeOf(event.get('datacontenttype')),
        event.get('xsignature'),
      )
    }
    if (event.get('type') !== telemetryType) {
      refuse(`An event with data has to be of the type ${telemetryType}.`, 'type')
    }
    return hubDelivery(objectOf(event.get('data'), 'data'), id)
  })
}

/** The code of Event Grid's subscription validation, to be said back. */
export function validationCodeOf(body: Uint8Array): string {
  const items = itemsOf(parseStrictJson(body))
  const event = objectOf(items[0], 'event')
  if (
    items.length !== 1 ||
    event.get('eventType') !== 'Microsoft.EventGrid.SubscriptionValidationEvent'
  ) {
    refuse('The message is no subscription validation.', 'eventType')
  }
  return textOf(objectOf(event.get('data'), 'data').get('validationCode'), 'data.validationCode')
}

/** What AWS IoT asks before it delivers anything. */
export type AwsConfirmation = {
  readonly arn: string
  readonly account: string
  readonly region: string
  readonly enableUrl: string
}

const arnPattern =
  /^arn:aws(?:-cn)?:iot:([a-z]{2}(?:-[a-z]+)+-\d):(\d{12}):ruledestination\/http\/[0-9a-f-]{1,64}$/

/**
 * The confirmation request of a rule destination. Its address is only believed when it is on the
 * rules engine's own host of the very region that the destination names: anybody can post here, and
 * would choose what the enclave calls.
 *
 * @throws {@link PlatformMessageError}
 * @see AWS IoT Core developer guide, "Managing HTTP action destinations"
 */
export function awsConfirmationOf(body: Uint8Array): AwsConfirmation {
  const message = objectOf(parseStrictJson(body), 'body')
  if (message.get('messageType') !== 'DestinationConfirmation') {
    refuse('The message is no confirmation of a destination.', 'messageType')
  }
  const arn = textOf(message.get('arn'), 'arn')
  const [, region, account] = arnPattern.exec(arn) ?? []
  if (region === undefined || account === undefined) {
    return refuse('The destination is none of the rules engine.', 'arn')
  }
  const text = message.get('enableUrl')
  const url = typeof text === 'string' && text.length <= 4096 ? URL.parse(text) : null
  const host = `iot.${region}.amazonaws.com${region.startsWith('cn-') ? '.cn' : ''}`
  if (
    url?.protocol !== 'https:' ||
    url.host !== host ||
    url.username !== '' ||
    url.password !== '' ||
    !url.pathname.startsWith('/confirmdestination/')
  ) {
    return refuse(
      'The address of the confirmation is not one of AWS IoT in the destination’s region.',
      'enableUrl',
      `Only https://${host}/confirmdestination/… is ever visited.`,
    )
  }
  return { arn, account, region, enableUrl: url.href }
}
