/** The NIC in the tour: sub-functions come and go, with vectors from one pool of MSI-X entries and messages in memory. */
import { parseMac } from 'backplane';
import { cable } from 'backplane/sim';
import { SubFunctions } from './sub-functions.js';
import type { Tour } from './tour-accelerator.js';

const SFS = 3;
const FRAMES = 50;
const FRAME_BYTES = 64;

export async function networked({ seed, say, section, note }: Tour): Promise<void> {
  const [near, far] = cable();
  far.attach({ receive: () => {}, setLink: () => {} });
  await using farm = await SubFunctions.start({ sfs: 4, cpus: 2, msix: 4, ims: 8, wire: near, machine: { seed } });
  const { sim, system } = farm;
  section('A NIC: its sub-functions get vectors of one pool, MSI-X or messages in memory');
  const received: number[] = [];
  for (let n = 0; n < SFS; n++) {
    const sf = await farm.add();
    received.push(0);
    sf.eth.onReceive(() => received[n]!++);
  }
  note(system);
  const frame = new Uint8Array(FRAME_BYTES);
  for (const { mac } of farm.all) {
    frame.set(parseMac(mac));
    for (let n = 0; n < FRAMES; n++) far.send(frame, 0, FRAME_BYTES);
    await sim.settle(100);
  }
  for (const [n, { core, mac }] of farm.all.entries()) say(`${core.dev.name}: ${mac}: ${received[n]} of ${FRAMES} frames`);
  const { irqs } = system.kernel;
  for (const { virq, name, source, cpus } of farm.pf.irqTable.vectors.pools.flatMap((pool) => pool.list())) {
    const what = source === 'msix' ? 'entry of the MSI-X table' : 'message in memory';
    say(`irq ${virq}, ${name.split('@')[0]!.padEnd(13)} ${what.padEnd(25)} cpu${cpus}, interrupts: ${irqs.desc(virq).total}`);
  }
  section('One of them goes; the others keep what they have');
  const gone = farm.all[1]!;
  await farm.devlink.deletePort(gone.core.vport);
  await sim.settle(1000);
  const names = system.kernel.auxiliary.devices.map(({ name }) => name).filter((name) => name.startsWith('mlx5_core.sf'));
  say(`sub-functions: ${names.join(', ')}; vectors that can be had: ${farm.pf.irqTable.vectors.available}`);
  await system.stop();
}
