/** A program that makes a TAP interface and never lets it go: what is left when it is killed? */
import { TapWire } from '../../../hw/remote/tap-wire.js';

const wire = await TapWire.open({ name: process.argv[2]!, address: process.argv[3]! });
process.stdout.write(`${wire.name}\n`);
