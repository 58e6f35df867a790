/** The accelerator in the tour: it copies, and a queue of it lives as a device of a guest. */
import { DmaChannels, Random, System, formatInterrupts, hex } from 'backplane';
import { type HostSim, hostSim } from 'backplane/plugins/host-sim';
import { SubDevice, idxd, loadConfig } from 'backplane/plugins/idxd';
import { KERNEL, MDEV, accelerator, copyDescriptor } from './accelerator.js';
import { Process } from './process.js';

/** What the tour has for its sections. */
export interface Tour {
  readonly seed: number;
  readonly say: (text: string) => void;
  readonly section: (title: string) => void;
  /** Remembers a system, and its devices of now, for the end. */
  readonly note: (system: System) => void;
}

const UUID = '83b8f4f2-509f-382f-3c1e-e6bfe0fa1001';
const [RECORD, FROM, TO] = [0x1000, 0x2000, 0x3000] as const;
const VECTOR = 0x41;
const TEXT = 'text of the guest';

export async function accelerated({ seed, say, section, note }: Tour): Promise<void> {
  const sim = hostSim({ dsa: [{ pasid: true }], seed });
  await using system = await System.start(sim.plugin, idxd());
  section('An accelerator: configured as by accel-config, it copies on its own');
  const { enabled } = await loadConfig(system, accelerator(KERNEL, MDEV), { enable: true });
  say(`enabled: ${enabled.join(', ')}`);
  say(await copied(sim, system, seed));
  say(formatInterrupts(system.kernel.irqs.core));
  note(system);
  section('A queue of it becomes a device of a guest, with an interrupt of its own');
  await lent(sim, system, say, note);
  await system[Symbol.asyncDispose]();
}

async function copied(sim: HostSim, system: System, seed: number): Promise<string> {
  const { dma } = system.kernel;
  const channel = system.get(DmaChannels, 'dma0chan0');
  const random = new Random(seed);
  const data = Uint8Array.from({ length: 2 ** 16 }, () => random.below(256));
  const back = new Uint8Array(data.length);
  const from = dma.map(channel.device(), data, 'to-device');
  const to = dma.map(channel.device(), back, 'from-device');
  const start = sim.clock.now();
  await channel.wait(channel.submit(channel.prepareMemcpy(to.address, from.address, data.length)));
  const tookUs = sim.clock.now() - start;
  for (const mapping of [to, from]) mapping[Symbol.dispose]();
  const isSame = back.every((byte, i) => byte === data[i]);
  return `dma0chan0: ${data.length} bytes copied in ${tookUs} us, ${isSame ? 'the same' : 'not the same'}`;
}

async function lent(sim: HostSim, system: System, say: Tour['say'], note: Tour['note']): Promise<void> {
  const { iommu, irqs, mdev, vfio } = system.kernel;
  const type = mdev.parents[0]!.type('dsa-1dwq-v1')!;
  const device = await mdev.create(type, UUID);
  note(system);
  say(`${device.uuid}: made of ${device.maker.name}, as ${type.name}`);
  using vmm = new Process(sim, 'vmm');
  for (const at of [RECORD, FROM, TO]) vmm.page(at);
  vmm.write(FROM, new TextEncoder().encode(TEXT));
  const container = vfio.container(vmm.space);
  const part = await SubDevice.open(vfio, UUID, container);
  container.map({ iova: RECORD, vaddr: RECORD, sizeBytes: 3 * 4096, read: true, write: true });
  for (const { pasid, domain } of iommu.groups.flatMap(({ pasids }) => pasids)) {
    say(`PASID ${pasid}: ${domain.mappedBytes} bytes of ${domain.owner}`);
  }
  await using guest = vfio.guest();
  guest.irqfd(part.completions, { vcpus: [0], vector: VECTOR });
  const vcpu = guest.vcpu(0);
  vcpu.handle(VECTOR, (vector) => say(`${vcpu.name}: vector 0x${hex(vector)}: there is "${vmm.text(TO, TEXT.length)}"`));
  vcpu.run();
  await part.enable();
  part.submit(copyDescriptor({ from: FROM, to: TO, sizeBytes: TEXT.length, record: RECORD, handle: part.handle }));
  sim.elapse(10);
  for (const { virq, total, data } of irqs.list().filter((desc) => desc.action?.dev === device)) {
    say(`irq ${virq}, ${data.chip.name} slot ${data.hwirq}: posted to the guest; ${total} came to the host`);
  }
  await part[Symbol.asyncDispose]();
  await mdev.remove(device);
  say(`removed: ${type.available} of ${type.name} can be made`);
}
