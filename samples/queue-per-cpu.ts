/**
 * A disk controller in the manner of NVMe, whose driver wants a queue for each CPU, and a vector for each queue: one for its own commands,
 * and the rest from a pool, shared when there are too few. It does not know whether a vector is MSI-X. `backplane run queue-per-cpu`
 */
import {
  CpuMask,
  DeviceClass,
  Irqs,
  type PciDevice,
  PciDriver,
  Plugin,
  System,
  inject,
  injectable,
  pciId,
  reg32,
  regAt,
} from 'backplane';
import { hostSim } from 'backplane/plugins/host-sim';
import { type PciModel, RegisterFile, msix, pcie } from 'backplane/sim';
import { MsixSource, VectorTable } from 'backplane/vectors';

const ID = { vendor: 0x1de5, device: 0x0003 };
const CPUS = 8;
const QUEUES_MAX = 1 + CPUS;
/** Write 1: the queue has something to do, and interrupts when that is done. */
const DOORBELL = reg32('DOORBELL', 0x000);
/** The vector of queue 0; that of queue n is 4 * n bytes further on. */
const VECTOR = reg32('VECTOR', 0x100);

interface Disk {
  /** Has the queue of a CPU do something. */
  submit(cpu: number): void;
  /** Of each CPU: its vector, where that is delivered, and what was completed. */
  queues(): readonly { readonly virq: number; readonly cpus: string; readonly completed: number }[];
}
const Disks = new DeviceClass<Disk>('disk', { methods: ['submit', 'queues'] });

@injectable()
class DiskDriver implements PciDriver<void> {
  readonly name = 'disk';
  readonly ids = [pciId(ID.vendor, ID.device)];

  constructor(@inject(Irqs) private readonly irqs: Irqs) {}

  probe(dev: PciDevice): void {
    const regs = dev.mapBar(0);
    const { cpus } = this.irqs.core;
    const table = new VectorTable(dev, this.irqs, [new MsixSource(dev, QUEUES_MAX)]);
    const admin = table.indexed({ name: 'admin', first: 0, last: 0 }).request(dev, 0);
    const pool = table.balanced({ name: 'queue', first: 1, last: cpus.count, shareBelow: 0 });
    const completed = Array.from({ length: cpus.count }, () => 0);
    const pending = new Set<number>();
    const leases = [...cpus.online].map((cpu) => pool.request(dev, table.available > 0 ? CpuMask.of(cpu) : cpus.online));
    for (const [cpu, lease] of leases.entries()) {
      // Those who share a vector are all asked when it comes.
      lease.attach(() => {
        if (pending.delete(cpu)) completed[cpu]!++;
      });
    }
    for (const [n, { target }] of [admin, ...leases].entries()) {
      if (target.kind === 'msix') regs.write(regAt(VECTOR, n, 4), target.index);
    }
    dev.publish(Disks, {
      submit: (cpu) => {
        pending.add(cpu);
        regs.write(DOORBELL, 1 + cpu);
      },
      queues: () => leases.map(({ virq, affinity }, cpu) => ({ virq, cpus: String(affinity), completed: completed[cpu]! })),
    });
  }
}

const disk = new Plugin('disk', ({ bind }) => {
  bind(PciDriver).to(DiskDriver);
});

/** The silicon, with so many entries in its table. */
function diskModel(vectors: number): PciModel {
  return {
    name: 'disk',
    config: {
      ...ID,
      classCode: 0x010802,
      bars: { 0: { kind: 'mem32', sizeBytes: 4096 } },
      capabilities: [pcie(), msix({ vectors, table: { bar: 0, offset: 0x800 }, pba: { bar: 0, offset: 0xc00 } })],
    },
    create: ({ irq }) => {
      const registers = Array.from({ length: QUEUES_MAX }, (_, n) => regAt(VECTOR, n, 4));
      const regs = new RegisterFile([DOORBELL, ...registers], 4096);
      regs.onWrite(DOORBELL, (queue) => irq.msix(regs.read32(registers[queue]!.offset)));
      return { regions: { 0: regs }, reset: () => regs.reset() };
    },
  };
}

for (const vectors of [1 + CPUS, 4]) {
  const sim = hostSim({ cpus: CPUS, devices: [{ at: '00:04.0', model: diskModel(vectors) }] });
  await using system = await System.start(sim.plugin, disk);
  const one = system.get(Disks, 'disk0');
  for (let cpu = 0; cpu < CPUS; cpu++) {
    one.submit(cpu);
    sim.drain();
  }
  console.log(`${vectors} vectors for ${QUEUES_MAX} queues`);
  for (const [cpu, { virq, cpus, completed }] of one.queues().entries()) {
    console.log(`  queue of cpu ${cpu}: irq ${virq} on cpu ${cpus}, completed ${completed}`);
  }
}
