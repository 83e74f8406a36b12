export { type Anvil, anvilKey, startAnvil } from '#tools/anvil.ts'
