#!/usr/bin/env node
import { join } from 'node:path'
import { root } from '../tools/install.mjs'
import { launch } from '../tools/launch.mjs'

launch(join(root, 'cli', 'main.ts'), process.argv.slice(2))
