/**
 * Plugins come and go while their devices are in use. `backplane run load-unload`
 */
import { Errno, System } from 'backplane';
import edu, { Edus } from 'backplane/plugins/edu';
import { hostSim } from 'backplane/plugins/host-sim';

const sim = hostSim({ edu: 2 });
await using system = await System.start(sim.plugin, edu);

const before = system.list(Edus);
for (const [name, one] of before) console.log(`${name}: 5! = ${await one.factorial(5)}`);

await system.reload('edu');
console.log('reloaded');

// What was handed out before belongs to the devices as they were bound then.
for (const [name, one] of before) {
  await one.factorial(5).catch((error: unknown) => console.log(`${name}: ${Errno.is(error) ? error.message : String(error)}`));
}
for (const [name, one] of system.list(Edus)) console.log(`${name}: 6! = ${await one.factorial(6)}`);

await system.unload('edu');
console.log(`unloaded: ${system.list(Edus).length} left`);
