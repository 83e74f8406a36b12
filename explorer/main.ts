import './strictZod.ts'
import type { Hex } from '#schemas/bytes.ts'
import { batches } from './views/batches.ts'
import { device } from './views/device.ts'
import { enclave } from './views/enclave.ts'
import { overview } from './views/overview.ts'
import { report } from './views/report.ts'
import type { View } from './views/view.ts'
import { type VerifyView, verify } from './views/verify.ts'
import { type World, emptyWorld, lookAround } from './world.ts'

const pollMs = 1000

function element(id: string): HTMLElement {
  const found = document.querySelector<HTMLElement>(`#${id}`)
  if (found === null) throw new TypeError(`The page has no #${id}.`)
  return found
}

const content = element('content')
const live = element('live')

let world: World = emptyWorld
let current: (View & Partial<VerifyView>) | undefined

function viewFor(hash: string): View {
  const path = hash.replace(/^#\/?/, '')
  const atDevice = /^device\/(0x[0-9a-f]{64})$/.exec(path)
  if (atDevice !== null) return device(atDevice[1] as Hex)
  const atReport = /^(report|verify)\/(\d{1,18})\/(\d{1,9})$/.exec(path)
  if (atReport !== null) {
    const sequence = BigInt(atReport[2] ?? 0)
    const index = Number(atReport[3])
    return atReport[1] === 'report' ? report(sequence, index) : verify({ sequence, index })
  }
  if (path === 'batches') return batches()
  if (path === 'enclave') return enclave()
  if (path === 'verify') return verify()
  return overview()
}

function show(view: View, isNavigation: boolean): void {
  current?.end?.()
  current = view
  document.title = `${view.title} · Plumbline`
  content.replaceChildren(view.node)
  view.update(world)
  for (const link of document.querySelectorAll('nav a')) {
    if (
      link.getAttribute('href') === location.hash ||
      (location.hash === '' && link.getAttribute('href') === '#/')
    ) {
      link.setAttribute('aria-current', 'page')
    } else link.removeAttribute('aria-current')
  }
  if (isNavigation) {
    scrollTo(0, 0)
    content.focus({ preventScroll: true })
  }
}

addEventListener('hashchange', () => {
  // The skip link is no page.
  if (location.hash === '#content') return
  show(viewFor(location.hash), true)
})

// A bundle may be dropped anywhere.
addEventListener('dragover', (event) => {
  event.preventDefault()
  document.body.classList.add('dragging')
})
addEventListener('dragleave', (event) => {
  if (event.relatedTarget === null) document.body.classList.remove('dragging')
})
addEventListener('drop', (event) => {
  event.preventDefault()
  document.body.classList.remove('dragging')
  const file = event.dataTransfer?.files[0]
  if (file === undefined) return
  if (current?.take === undefined) {
    history.pushState(undefined, '', '#/verify')
    show(verify(), true)
  }
  current?.take?.(file)
})

function showLive(): void {
  const isLive = world.problem === undefined
  live.className = `live ${isLive ? 'on' : 'off'}`
  const text = isLive ? 'live' : world.problem
  if (live.textContent !== text) live.textContent = text ?? ''
}

async function follow(): Promise<never> {
  for (;;) {
    if (!document.hidden) {
      try {
        world = await lookAround(world)
      } catch {
        world = { ...world, problem: 'nothing answers' }
      }
      showLive()
      current?.update(world)
    }
    await new Promise((resolve) => setTimeout(resolve, pollMs))
  }
}

show(viewFor(location.hash), false)
void follow()
