/**
 * A million reports closed into one batch by a whole worker: `fleet.bench.ts` with fifty policies for
 * each of twenty thousand devices. It takes five minutes, nearly all of them to judge ahead.
 *
 * `node --expose-gc enclave-worker/million.bench.ts [--short]`
 */
const isShort = process.argv.includes('--short')
const [devices, reports] = isShort ? [100, 12_000] : [20_000, 1_000_000]
process.argv.push('--windows', '1', '--devices', String(devices), '--reports', String(reports))
await import('./fleet.bench.ts')
