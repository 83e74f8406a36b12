import { config } from 'zod'

// Zod compiles its checks with `new Function` where it may. Here it may not, and must not try: the
// content security policy forbids it, and each attempt would be reported as a violation.
config({ jitless: true })
