import { availableParallelism } from 'node:os'
import { defineConfig } from 'vitest/config'

/** Longer than any honest test here; a hang must fail, not stall the gate. */
const testTimeoutMs = 60_000

export default defineConfig({
  test: {
    testTimeout: testTimeoutMs,
    hookTimeout: testTimeoutMs,
    // Vitest leaves one core to itself, which of two is half; most tests here wait for other processes.
    maxWorkers: Math.max(2, availableParallelism() - 1),
    projects: [
      {
        extends: true,
        test: {
          name: 'unit',
          include: ['test/**/*.test.ts'],
          exclude: [
            'test/relayer/workerd/**',
            'test/end-to-end/**',
            'test/explorer/**',
            'node_modules/**',
          ],
        },
      },
      {
        extends: true,
        test: {
          name: 'end-to-end',
          include: ['test/end-to-end/**/*.test.ts', 'test/explorer/**/*.test.ts'],
          testTimeout: 300_000,
          hookTimeout: 300_000,
          fileParallelism: false,
        },
      },
    ],
  },
})
