import en from 'zod/v4/locales/en.js'
import { config } from 'zod/mini'

/**
 * zod's small interface, a quarter of the other's size, speaks no language of its own: what it refuses
 * is "Invalid input". Whoever reports its words imports this file.
 */
config(en())
