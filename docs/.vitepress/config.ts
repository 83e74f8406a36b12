import { defineConfig } from 'vitepress'

/** `npm run docs`: the sources are laid out by `tools/docs/stage.ts`, from these pages and the code. */
// oxlint-disable-next-line import/no-default-export -- vitepress reads the default export
export default defineConfig({
  title: 'Plumbline',
  description: 'Device performance, proved: attested reports that settle on many chains',
  lang: 'en',
  srcDir: '../dist/docs-source',
  outDir: '../dist/docs',
  cacheDir: '../.cache/vitepress',
  ignoreDeadLinks: false,
  lastUpdated: false,
  head: [['link', { rel: 'icon', href: '/icon.svg', type: 'image/svg+xml' }]],
  themeConfig: {
    search: { provider: 'local' },
    outline: { level: [2, 3] },
    nav: [
      { text: 'Start', link: '/start-consumer' },
      { text: 'Reference', link: '/reference/formats' },
      { text: 'Invariants', link: '/invariants' },
    ],
    sidebar: [
      {
        text: 'Start',
        items: [
          { text: 'What this is', link: '/' },
          { text: 'Consume reports', link: '/start-consumer' },
          { text: 'Run a relayer', link: '/start-relayer' },
          { text: 'Deploy a worker', link: '/start-worker' },
        ],
      },
      {
        text: 'Workers',
        items: [
          { text: 'From zero to attested', link: '/deploy-worker' },
          { text: 'Worker', link: '/worker' },
          { text: 'Operating a worker', link: '/worker-operations' },
          { text: 'Packs', link: '/packs' },
          { text: 'Local TDX platform', link: '/local-tdx-platform' },
          { text: 'Quote verifier', link: '/quote-verifier' },
        ],
      },
      { text: 'Relayers', items: [{ text: 'Relayer', link: '/relayer' }] },
      {
        text: 'Reports',
        items: [
          { text: 'Reports', link: '/reports' },
          { text: 'Policies', link: '/policies' },
          { text: 'Settle on a report', link: '/contracts' },
          { text: 'Attestation on chain', link: '/onchain-attestation' },
          { text: 'Across chains', link: '/crosschain' },
          { text: 'Bundles, audits, exports', link: '/exports' },
          { text: 'Explorer', link: '/explorer' },
        ],
      },
      {
        text: 'Assurance',
        items: [
          { text: 'Invariants', link: '/invariants' },
          { text: 'Threats', link: '/threats' },
        ],
      },
      {
        text: 'Reference',
        items: [
          { text: 'JSON formats', link: '/reference/formats' },
          { text: 'Worker API', link: '/reference/worker-api' },
          { text: 'Contracts', link: '/reference/contracts' },
          { text: 'Commands', link: '/reference/commands' },
        ],
      },
      { text: 'Contributing', link: '/contributing' },
    ],
  },
})
