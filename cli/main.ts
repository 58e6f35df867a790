#!/usr/bin/env node
import { readFileSync } from 'node:fs';
import process from 'node:process';
import { run } from './app.js';
import { INTERRUPTED } from './report.js';

const interrupt = new AbortController();
for (const signal of ['SIGHUP', 'SIGINT', 'SIGTERM']) {
  process.on(signal, () => {
    // The second time is for a system that does not come to its end.
    if (interrupt.signal.aborted) process.exit(INTERRUPTED);
    interrupt.abort();
  });
}
// Whoever reads has seen enough.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  interrupt.abort();
});

// A system at rest has nothing that keeps the process alive, and may yet be waited for.
setInterval(() => {}, 2 ** 30);

const manifest = new URL('../../package.json', import.meta.url);
const code = await run(process.argv.slice(2), {
  out: (text) => void process.stdout.write(text),
  err: (text) => void process.stderr.write(text),
  isTerminal: process.stdout.isTTY && process.env['NO_COLOR'] === undefined,
  cwd: process.cwd(),
  signal: interrupt.signal,
  get version() {
    return (JSON.parse(readFileSync(manifest, 'utf8')) as { version: string }).version;
  },
});
// Whatever plugins may have left running. What was written is out: Node writes to files, pipes and terminals at once.
process.exit(code);
