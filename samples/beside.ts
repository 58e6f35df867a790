/**
 * MSI-X and IMS at once on one device: its driver requests both in one loop, and freeing one leaves the other alone.
 * `backplane run beside`
 */
import { System, formatInterrupts } from 'backplane';
import { hostSim } from 'backplane/plugins/host-sim';
import { Boards, board, boardModel } from './lib/board.js';

const sim = hostSim({ cpus: 2, devices: [{ at: '00:04.0', model: boardModel }] });
await using system = await System.start(sim.plugin, board);
const one = system.get(Boards, 'board0');

for (const n of [0, 1, 1, 2, 3, 3, 3]) {
  one.send(n);
  sim.drain();
}
console.log('counts:', one.counts());
console.log(formatInterrupts(system.kernel.irqs.core));

one.freeTable();
for (const n of [0, 2, 3]) {
  one.send(n);
  sim.drain();
}
console.log('counts, without the table:', one.counts());
console.log(formatInterrupts(system.kernel.irqs.core).trimEnd());
