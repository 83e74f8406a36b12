type Child = Node | string | number | undefined | readonly Child[]
type Attributes = Readonly<
  Record<string, string | number | boolean | undefined | ((event: Event) => void)>
>

function append(parent: Node, child: Child): void {
  if (child === undefined) return
  if (typeof child === 'string' || typeof child === 'number') {
    parent.appendChild(document.createTextNode(String(child)))
  } else if (child instanceof Node) parent.appendChild(child)
  else for (const each of child) append(parent, each)
}

/**
 * An element. Texts become text nodes, never markup: whatever a worker or a file says cannot be read
 * as HTML. An attribute whose name begins with `on` is an event's listener.
 */
export function h<Name extends keyof HTMLElementTagNameMap>(
  name: Name,
  attributes: Attributes = {},
  ...children: readonly Child[]
): HTMLElementTagNameMap[Name] {
  const element = document.createElement(name)
  for (const [key, value] of Object.entries(attributes)) {
    if (value === undefined || value === false) continue
    if (typeof value === 'function') element.addEventListener(key.slice(2), value)
    else element.setAttribute(key, value === true ? '' : String(value))
  }
  append(element, children)
  return element
}

/** Renders into a node again only when what it shows has changed, so that focus and scroll stay. */
export function createLive<Shown>(
  node: HTMLElement,
  render: (shown: Shown) => readonly Child[],
): (shown: Shown) => void {
  let last: string | undefined
  return (shown) => {
    const key = JSON.stringify(shown, (_, item: unknown) =>
      typeof item === 'bigint' ? `${item}n` : item,
    )
    if (key === last) return
    last = key
    node.replaceChildren()
    append(node, render(shown))
  }
}
