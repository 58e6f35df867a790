import { System } from 'backplane';
import { hostSim } from 'backplane/plugins/host-sim';
import { Dice } from './driver.js';
import { die } from './model.js';
import dice from './plugin.js';

const sim = hostSim({
  devices: [
    { at: '00:04.0', model: die },
    { at: '00:05.0', model: die },
  ],
});
const system = await System.start(sim.plugin, dice);
for (const [name, one] of system.list(Dice)) console.log(`${name}: ${await one.roll()} ${await one.roll()} ${await one.roll()}`);
await system.stop();
