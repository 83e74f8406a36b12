import { readFileSync } from 'node:fs'
import { flushCompileCache } from 'node:module'
import { decodePlanText } from '../../plan/plan.ts'
import { signerOfSettings } from '../../signers/signerOfSettings.ts'
import { type NodeRelayer, startNodeRelayer } from './nodeRelayer.ts'

/**
 * The Node adapter as a process of its own: `main.js PLAN DATA_FOLDER PORT`, keys and the operator's
 * token from the environment. It says where it listens on standard output, as one line of JSON. Started
 * with an IPC channel, it stops when that closes.
 */

const [, , planFile = '', dataFolder = '', port = '0'] = process.argv
const settings = { ...process.env }
const operatorToken = settings['OPERATOR_TOKEN'] ?? ''
async function start(): Promise<NodeRelayer> {
  return startNodeRelayer({
    plan: decodePlanText(readFileSync(planFile, 'utf8')),
    signerOf: (chainId) =>
      signerOfSettings(chainId, (name) => settings[name], {
        fetch: (url, init) => fetch(url, init),
        now: Date.now,
      }),
    dataFolder,
    port: Number(port),
    ...(operatorToken === '' ? {} : { operatorToken }),
  })
}

const relayer = await start().catch((cause: unknown) => {
  // What is wrong and what helps; the way through the code helps nobody who runs this.
  process.stderr.write(`${cause instanceof Error ? cause.message : String(cause)}\n`)
  process.exit(3)
})
process.stdout.write(`${JSON.stringify({ event: 'listen', url: relayer.url })}\n`)
// Compiled code is kept at a tidy end otherwise, which a crash is not.
setTimeout(flushCompileCache, 200).unref()
function stop(): void {
  void relayer.stop().then(() => process.exit(0))
}
process.once('SIGTERM', stop)
process.once('SIGINT', stop)
// A second engine may be started in place of one whose starter was killed: two would share the nonces.
process.once('disconnect', stop)
