/**
 * A device that has IMS and nothing else: its timers tick, each by a message of its own. `backplane run timer`
 */
import { System, formatInterrupts } from 'backplane';
import { hostSim } from 'backplane/plugins/host-sim';
import timer, { Timers } from 'backplane/plugins/timer';

const sim = hostSim({ timers: 2, cpus: 2 });
await using system = await System.start(sim.plugin, timer);

let periodUs = 1_000;
for (const [name, one] of system.list(Timers)) {
  one.start(periodUs, () => console.log(`${name}: tick at ${sim.clock.now()} us`));
  periodUs += 500;
}
sim.elapse(3_000);
console.log(formatInterrupts(system.kernel.irqs.core).trimEnd());
