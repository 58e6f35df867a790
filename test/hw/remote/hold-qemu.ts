/** A program that starts a host, prints QEMU's process id, and never stops it: what is left when it is killed? */
import { Log } from '../../../core/lib/log.js';
import { QtestHost } from '../../../hw/remote/qtest.js';

const host = new QtestHost({ qemu: process.argv[2]! });
await host.start(new Log());
process.stdout.write(`${host.pid}\n`);
setInterval(() => {}, 60_000);
