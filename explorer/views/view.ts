import type { World } from '../world.ts'

/** One page: made once, told of every change, ended when another takes its place. */
export type View = {
  readonly title: string
  readonly node: HTMLElement
  readonly update: (world: World) => void
  readonly end?: () => void
}
