/**
 * The driver of QEMU's educational device, on a simulated one. `backplane run edu`
 */
import { System } from 'backplane';
import edu, { Edus } from 'backplane/plugins/edu';
import { hostSim } from 'backplane/plugins/host-sim';

const sim = hostSim({ edu: 2 });
await using system = await System.start(sim.plugin, edu);
for (const [name, one] of system.list(Edus)) {
  console.log(`${name}: 5! = ${await one.factorial(5)}`);
}
sim.yank('00:04.0');
await system.core.settle();
const left = system.list(Edus).map(([name]) => name);
console.log('left:', left);
