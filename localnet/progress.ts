/** Tells a person what is happening while it happens: one line when a step ends, with its time. */
export type Progress = {
  readonly step: <Result>(title: string, work: () => Promise<Result>) => Promise<Result>
  readonly note: (text: string) => void
}

export function createProgress(write: (text: string) => void, isTerminal: boolean): Progress {
  return {
    step: async (title, work) => {
      const begun = performance.now()
      if (isTerminal) write(`  … ${title}`)
      try {
        const result = await work()
        const seconds = ((performance.now() - begun) / 1000).toFixed(1).padStart(5)
        write(`${isTerminal ? '\r\u001B[K' : ''}  ✓ ${seconds} s  ${title}\n`)
        return result
      } catch (error) {
        write(`${isTerminal ? '\r\u001B[K' : ''}  ✗          ${title}\n`)
        throw error
      }
    },
    note: (text) => {
      write(`${isTerminal ? '\r\u001B[K' : ''}    ${text}\n`)
    },
  }
}
