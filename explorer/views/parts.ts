import type { Hex } from '#schemas/bytes.ts'
import type { Check } from '#verifier/bundle/checklist.ts'
import { type CheckId, checkTitles } from '#verifier/bundle/checklist.ts'
import { h } from '../dom.ts'
import { shortHex, verdictName } from '../format.ts'

const verdictWords = { PASS: 'Pass', FAIL: 'Fail', INCONCLUSIVE: 'Inconclusive' } as const
const verdictMarks = { PASS: '✓', FAIL: '✗', INCONCLUSIVE: '?' } as const

export function verdictBadge(verdict: number): HTMLElement {
  const name = verdictName(verdict)
  return h(
    'span',
    { class: `badge ${name.toLowerCase()}` },
    h('span', { 'aria-hidden': 'true' }, verdictMarks[name]),
    ` ${verdictWords[name]}`,
  )
}

/** A hash, short to read and whole to copy. */
export function hexText(hex: Hex): HTMLElement {
  return h('code', { class: 'hex', title: hex }, shortHex(hex))
}

export function facts(rows: readonly (readonly [string, Node | string])[]): HTMLElement {
  return h(
    'dl',
    { class: 'facts' },
    rows.map(([name, value]) => h('div', {}, h('dt', {}, name), h('dd', {}, value))),
  )
}

export function empty(text: string): HTMLElement {
  return h('p', { class: 'empty' }, text)
}

const statusMarks = { passed: '✓', failed: '✗', 'not-checked': '–', pending: '·' } as const
const statusWords = {
  passed: 'passed',
  failed: 'failed',
  'not-checked': 'not checked',
  pending: 'waiting',
} as const

/** The lines of an examination, all of them there from the start, each ticked as it is finished. */
export function createChecklistView(ids: readonly CheckId[]): {
  readonly node: HTMLElement
  readonly reset: () => void
  readonly show: (check: Check) => void
} {
  const node = h('ol', { class: 'checks' })
  const items = new Map<CheckId, HTMLElement>()
  const fill = (
    item: HTMLElement,
    id: CheckId,
    status: keyof typeof statusMarks,
    detail: string,
  ): void => {
    item.className = `check ${status}`
    item.dataset['status'] = status
    item.replaceChildren(
      h('span', { class: 'mark', 'aria-hidden': 'true' }, statusMarks[status]),
      h(
        'div',
        {},
        h(
          'p',
          { class: 'title' },
          checkTitles[id],
          h('span', { class: 'unseen' }, `: ${statusWords[status]}`),
        ),
        detail === '' ? undefined : h('p', { class: 'detail' }, detail),
      ),
    )
  }
  const reset = (): void => {
    for (const [id, item] of items) fill(item, id, 'pending', '')
  }
  for (const id of ids) {
    const item = h('li', { 'data-check': id })
    items.set(id, item)
    node.append(item)
  }
  reset()
  return {
    node,
    reset,
    show(check) {
      const item = items.get(check.id)
      if (item !== undefined) fill(item, check.id, check.status, check.detail)
    },
  }
}
