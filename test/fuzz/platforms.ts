import { utf8 } from '#schemas/bytes.ts'
import { InvalidJsonError } from '#schemas/adapters/jsonError.ts'
import {
  PlatformMessageError,
  awsConfirmationOf,
  awsDeliveries,
  cloudEventDeliveries,
  eventGridDeliveries,
  validationCodeOf,
} from '#worker/doors/platformMessages.ts'
import { type Fuzzer, fuzzMain } from './harness.ts'
import { mutateText } from './texts.ts'

/** Whether a door's reader takes a message; anything but its own refusals breaks the run. */
function isTaken(run: () => void): boolean {
  try {
    run()
    return true
  } catch (error) {
    if (error instanceof PlatformMessageError || error instanceof InvalidJsonError) return false
    throw error
  }
}

const confirmation = JSON.stringify({
  arn: 'arn:aws:iot:eu-central-1:123456789012:ruledestination/http/7a280e37-b9c6',
  confirmationToken: 'AYADeMXL',
  enableUrl: 'https://iot.eu-central-1.amazonaws.com/confirmdestination/AYADeMXL',
  messageType: 'DestinationConfirmation',
})

/** Whatever stands in the confirmation, what would be visited is AWS. */
export const confirmationFuzzer: Fuzzer = {
  name: 'aws-confirmation',
  attempt: (random) =>
    isTaken(() => {
      const { enableUrl } = awsConfirmationOf(utf8(mutateText(confirmation, random)))
      const { protocol, hostname, port } = new URL(enableUrl)
      if (protocol !== 'https:' || hostname !== 'iot.eu-central-1.amazonaws.com' || port !== '') {
        throw new Error(`would visit ${enableUrl}`)
      }
    }),
}

const telemetry = 'Microsoft.Devices.DeviceTelemetry'
const data =
  '{"systemProperties":{"iothub-connection-device-id":"a"},"body":[{"series":"p","time_ms":1700000000000,"value":1,"unit":"W"}]}'
const messages = [
  { read: awsDeliveries, text: '[{"packs":"AAAA"},{"source":"a","id":"1","readings":[{}]}]' },
  { read: eventGridDeliveries, text: `[{"id":"1","eventType":"${telemetry}","data":${data}}]` },
  {
    read: cloudEventDeliveries,
    text: `[{"specversion":"1.0","id":"1","source":"s","type":"${telemetry}","data":${data}}]`,
  },
  {
    read: validationCodeOf,
    text: '[{"eventType":"Microsoft.EventGrid.SubscriptionValidationEvent","data":{"validationCode":"1"}}]',
  },
]

export const deliveryFuzzer: Fuzzer = {
  name: 'platform-delivery',
  attempt(random) {
    const { read, text } = random.pick(messages)
    return isTaken(() => {
      read(utf8(mutateText(text, random)))
    })
  },
}

if (import.meta.main) fuzzMain([confirmationFuzzer, deliveryFuzzer])
