import { batchDigest } from '#schemas/batch.ts'
import { zeroHash } from '#schemas/report.ts'
import { recoverSigner } from '#schemas/signatures.ts'
import type { SignedBatch } from '#schemas/workerApi.ts'
import { createLive, h } from '../dom.ts'
import { count, instantText } from '../format.ts'
import { reportHref } from './overview.ts'
import { empty, facts, hexText, verdictBadge } from './parts.ts'
import type { View } from './view.ts'

/** What this browser finds when it looks at a batch and the one before it. */
function looksRight({ batch, signature, signer }: SignedBatch, before: SignedBatch | undefined) {
  const isSigned = recoverSigner(batchDigest(batch), signature) === signer
  const expected = before === undefined ? zeroHash : batchDigest(before.batch)
  const isFirst = before === undefined && batch.sequence !== 1n
  return { isSigned, isChained: isFirst ? undefined : batch.previous === expected }
}

function tick(is: boolean | undefined, yes: string, no: string, open: string): HTMLElement {
  const status = is === undefined ? 'not-checked' : is ? 'passed' : 'failed'
  const mark = is === undefined ? '–' : is ? '✓' : '✗'
  return h(
    'span',
    { class: `tick ${status}` },
    h('span', { 'aria-hidden': 'true' }, mark),
    ` ${is === undefined ? open : is ? yes : no}`,
  )
}

const shownAtMost = 50

export function batches(): View {
  const list = h('ol', { class: 'batches' })
  const show = createLive(list, (all: readonly SignedBatch[]) => {
    if (all.length === 0) return [empty('No window has closed yet.')]
    return all
      .map((signed, index) => ({ signed, before: all[index - 1] }))
      .slice(-shownAtMost)
      .reverse()
      .map(({ signed, before }) => {
        const { batch, digest, signer, reports } = signed
        const { isSigned, isChained } = looksRight(signed, before)
        return h(
          'li',
          { class: 'card batch' },
          h('h2', {}, `Batch ${batch.sequence}`),
          h(
            'p',
            { class: 'under' },
            tick(isSigned, 'signed', 'signature does not fit', ''),
            tick(
              isChained,
              batch.sequence === 1n ? 'first of its chain' : 'follows the one before',
              'does not follow the one before',
              'the one before is not shown',
            ),
          ),
          facts([
            ['Digest', hexText(digest)],
            ['Previous', batch.previous === zeroHash ? 'none' : hexText(batch.previous)],
            ['Signer', hexText(signer)],
            ['Closed', `${instantText(Number(batch.closedAtMs))} UTC`],
            ['Not before', `block ${batch.anchorNumber} of the anchor chain`],
            ['Roster', count(batch.rosterCount, 'device')],
          ]),
          reports.length === 0
            ? h('p', { class: 'detail' }, 'No report: it commits to packs and to the roster.')
            : h(
                'ul',
                { class: 'plain' },
                reports.map((proven) =>
                  h(
                    'li',
                    {},
                    verdictBadge(proven.report.verdict),
                    ' ',
                    h(
                      'a',
                      { href: reportHref(batch.sequence, proven.index) },
                      `${proven.subjectName}: ${proven.policyName}`,
                    ),
                  ),
                ),
              ),
        )
      })
  })
  const node = h(
    'article',
    {},
    h('h1', {}, 'Batches'),
    h(
      'p',
      { class: 'lede' },
      'Each names the one before it, so that none can be left out, replaced or put in later. Signatures and links are checked in this browser.',
    ),
    list,
  )
  return {
    title: 'Batches',
    node,
    update(world) {
      show(world.batches)
    },
  }
}
