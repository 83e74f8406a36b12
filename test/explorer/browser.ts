import { type Browser, type Page, chromium } from 'playwright-core'

/** A page, and everything about it that must stay empty. */
export type Watched = {
  readonly page: Page
  /** Errors, warnings and violations of the content security policy that the console was told. */
  readonly complaints: string[]
  /** Addresses outside the page's own origin that it tried to reach. */
  readonly strangers: string[]
}

/** Longer than a loaded machine takes for anything here: a hang must fail, not stall the gate. */
const timeoutMs = 120_000

/** A browser with a profile of its own, empty and thrown away at its end. */
export function launch(executablePath: string): Promise<Browser> {
  return chromium.launch({
    executablePath,
    timeout: timeoutMs,
    args: [
      // Also as root, and in a container whose shared memory is a few megabytes.
      '--no-sandbox',
      '--disable-dev-shm-usage',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      '--disable-breakpad',
      '--no-default-browser-check',
    ],
  })
}

export async function open(
  browser: Browser,
  origin: string,
  path = '/',
  options: { width?: number; height?: number; colorScheme?: 'light' | 'dark' } = {},
): Promise<Watched> {
  const { width = 1180, height = 900, colorScheme = 'light' } = options
  const context = await browser.newContext({ viewport: { width, height }, colorScheme })
  context.setDefaultTimeout(timeoutMs)
  const page = await context.newPage()
  const complaints: string[] = []
  const strangers: string[] = []
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) complaints.push(message.text())
  })
  page.on('pageerror', (error) => complaints.push(String(error)))
  page.on('request', (request) => {
    if (!request.url().startsWith(`${origin}/`)) strangers.push(request.url())
  })
  await page.goto(`${origin}${path}`)
  return { page, complaints, strangers }
}

/** The status of every line of an examination, by its id. */
export async function statuses(page: Page): Promise<Record<string, string>> {
  const pairs = await page
    .locator('li[data-check]')
    .evaluateAll((items) =>
      items.map((item) => [item.getAttribute('data-check'), item.getAttribute('data-status')]),
    )
  return Object.fromEntries(pairs) as Record<string, string>
}

/** How many pixels stick out sideways. */
export function overflow(page: Page): Promise<number> {
  // As text: it runs in the page, whose globals this file does not know.
  return page.evaluate<number>('document.documentElement.scrollWidth - innerWidth')
}
