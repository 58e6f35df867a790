/**
 * Two processes have one queue of an accelerator open at once. Each works in memory of its own, and has no way to the other's.
 * `backplane run idxd-user`
 */
import { CharDevices, type CharFile, type Mmio, System, describeError, hex } from 'backplane';
import { hostSim } from 'backplane/plugins/host-sim';
import { idxd, loadConfig } from 'backplane/plugins/idxd';
import { COMPLETION } from 'backplane/regs/dsa';
import { USER, accelerator, copyDescriptor, statusAt } from './lib/accelerator.js';
import { Process } from './lib/process.js';

/** Where both have a page, each its own; and where Alice alone has one. */
const RECORD = 0x8000;
const FROM = 0x1_0000;
const TO = 0x2_0000;
const SECRET = 0x3_0000;
const BYTES = 32;

const sim = hostSim({ dsa: [{ pasid: true }] });
await using system = await System.start(sim.plugin, idxd());
await loadConfig(system, accelerator({ ...USER, mode: 'shared', threshold: 8 }), { enable: true });
const queue = system.get(CharDevices, 'dsa/wq0.0');

/** A process that has the queue open, and its portal mapped. */
class User extends Process {
  #file: CharFile | undefined = undefined;
  #portal: Mmio | undefined = undefined;

  async open(): Promise<void> {
    for (const at of [RECORD, TO]) this.page(at);
    this.page(FROM, `text of ${this.name}`);
    this.#file = await queue.open(this.task);
    this.#portal = this.#file.mmap({ sizeBytes: 4096 });
  }

  /** Has the device copy, and looks at the completion record. No system call is made for it. */
  copy(from: number, pasid?: number): string {
    for (const at of [RECORD, TO]) this.write(at, new Uint8Array(BYTES));
    const words = copyDescriptor({ from, to: TO, sizeBytes: BYTES, record: RECORD, pasid });
    if (this.#portal!.enqcmd(0, words)) return 'the queue is full: once more';
    sim.elapse(10);
    const status = statusAt(this, RECORD);
    if (status === 1) return `"${this.text(TO, BYTES)}"`;
    const address = new DataView(this.read(RECORD, BYTES).buffer).getUint32(COMPLETION.faultAddress, true);
    return `status ${status}, page fault at 0x${hex(address)}`;
  }

  /** Lets another have the open file. */
  lend(other: User): CharFile {
    return this.#file!.share(other.task);
  }

  async close(): Promise<void> {
    await this.#file?.close();
  }
}

using alice = new User(sim, 'alice');
using bob = new User(sim, 'bob');
for (const user of [alice, bob]) await user.open();
alice.page(SECRET, 'nobody else must see this');
/** Who has which PASID; that of the device itself is for the kernel. */
const pasids = (): Map<string, number> =>
  new Map(system.kernel.iommu.groups.flatMap((group) => group.pasids.map(({ pasid, domain }) => [domain.owner, pasid] as const)));
console.log('PASIDs:', Object.fromEntries(pasids()));

console.log(`alice copies from 0x${hex(FROM)}: ${alice.copy(FROM)}`);
console.log(`bob copies from 0x${hex(FROM)}: ${bob.copy(FROM)}`);
console.log(`alice copies from 0x${hex(SECRET)}: ${alice.copy(SECRET)}`);
console.log(`bob copies from 0x${hex(SECRET)}: ${bob.copy(SECRET)}`);
console.log(`bob, with the PASID of alice in his descriptor: ${bob.copy(SECRET, pasids().get('alice'))}`);
const lent = alice.lend(bob);
try {
  lent.mmap({ sizeBytes: 4096 });
} catch (error) {
  console.log(`bob, with the file of alice: ${describeError(error)}`);
}
await lent.close();

await alice.close();
try {
  alice.copy(FROM);
} catch (error) {
  console.log(`alice, with a portal that she has kept: ${describeError(error)}`);
}
console.log(`bob copies from 0x${hex(FROM)}: ${bob.copy(FROM)}`);
await bob.close();
console.log('PASIDs:', Object.fromEntries(pasids()));
