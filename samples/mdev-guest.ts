/**
 * A queue of an accelerator is handed to a guest as a device of its own. Its work is done in the guest's memory, and its interrupt, a slot
 * of the real device's message store, arrives at the guest's CPU without the host. `backplane run mdev-guest`
 */
import { System, formatInterrupts, hex } from 'backplane';
import { hostSim } from 'backplane/plugins/host-sim';
import { SubDevice, idxd, loadConfig } from 'backplane/plugins/idxd';
import { MDEV, accelerator, copyDescriptor, statusAt } from './lib/accelerator.js';
import { Process } from './lib/process.js';

const UUID = '83b8f4f2-509f-382f-3c1e-e6bfe0fa1001';
/** Where the guest has its pages, and where these are in the process that runs it. */
const [RECORD, FROM, TO] = [0x1000, 0x2000, 0x3000] as const;
const RAM = 0x7f00_0000_0000;
const BYTES = 32;
/** What the guest has chosen for the interrupt of its queue. */
const VECTOR = 0x41;

const sim = hostSim({ dsa: [{ pasid: true }] });
await using system = await System.start(sim.plugin, idxd());
await loadConfig(system, accelerator(MDEV), { enable: true });
const { mdev, vfio, irqs } = system.kernel;

// The administrator makes a device of the queue: of the first dedicated one that nobody has.
const type = mdev.parents[0]!.type('dsa-1dwq-v1')!;
console.log(`${type.parent.dev.name}: ${type.available} of type ${type.name} can be made`);
const device = await mdev.create(type, UUID);
console.log(`${device.uuid}: made of ${device.maker.name}, ${type.available} left`);

// The process that runs the guest gives it memory, a CPU, and the device.
using vmm = new Process(sim, 'vmm');
for (const at of [RECORD, FROM, TO]) vmm.page(RAM + at);
const guest = vfio.guest();
const container = vfio.container(vmm.space);
const part = await SubDevice.open(vfio, UUID, container);
container.map({ iova: RECORD, vaddr: RAM + RECORD, sizeBytes: 3 * 4096, read: true, write: true });
guest.irqfd(part.completions, { vcpus: [0], vector: VECTOR });

// From here on it is the guest's driver that works: with registers, a portal and an interrupt.
const vcpu = guest.vcpu(0);
vcpu.handle(VECTOR, (vector) => {
  console.log(`the guest: vector 0x${hex(vector)}, status ${statusAt(vmm, RAM + RECORD)}: "${vmm.text(RAM + TO, BYTES)}"`);
});
vcpu.run();
await part.enable();
vmm.write(RAM + FROM, new TextEncoder().encode('text of the guest'));
const copy = { from: FROM, to: TO, sizeBytes: BYTES, record: RECORD };
const descriptor = copyDescriptor({ ...copy, handle: part.handle });

part.submit(descriptor);
sim.elapse(10);
console.log(formatInterrupts(irqs.core).trimEnd());

// While the guest's CPU has nothing to do, an interrupt wakes it.
vmm.write(RAM + FROM, new TextEncoder().encode('another text of the guest'));
vcpu.block();
part.submit(descriptor);
sim.elapse(10);
const slots = () => irqs.list().filter((desc) => desc.data.chip.name.includes('IMS'));
console.log(`woken ${vcpu.wakeups} time; it has handled ${vcpu.handled} interrupts, and the host ${slots()[0]!.total} of them`);

// The device reaches what the process has mapped for it, and nothing else.
part.submit(copyDescriptor({ ...copy, from: 0x9000 }));
sim.elapse(10);
console.log(`a copy from 0x9000: status ${statusAt(vmm, RAM + RECORD)}, a page fault`);

console.log(`slots of the message store in use: ${slots().length}`);
await part[Symbol.asyncDispose]();
await mdev.remove(device);
console.log(`removed: ${slots().length} slots in use, ${type.available} of type ${type.name} can be made`);
