/**
 * The whole of it in one minute: a machine, a driver, work, and nothing left. `npm start`, or `backplane run tour`
 */
import { type Device, Errno, Random, System, describeError, formatInterrupts, lspci, snapshot } from 'backplane';
import edu, { type Edu, Edus } from 'backplane/plugins/edu';
import { hostQtest } from 'backplane/plugins/host-qtest';
import { hostSim } from 'backplane/plugins/host-sim';
import timer, { Timers } from 'backplane/plugins/timer';
import { Boards, board, boardModel } from './lib/board.js';
import { accelerated } from './lib/tour-accelerator.js';
import { networked } from './lib/tour-nic.js';

/** What `backplane run` hands to a sample. */
interface Stage {
  readonly seed: number;
  readonly print: (line: string) => void;
}

const AT = '0000:00:04.0';
/** Less than the device's whole buffer, with which QEMU before 8 ends itself. */
const COPY_BYTES = 2048;

/** Every system there was, and every device, to be asked at the end what is left. */
const systems = new Set<System>();
const seen = new Set<Device>();

export default async function tour({ seed, print }: Stage): Promise<void> {
  const say = (text: string): void =>
    text
      .trimEnd()
      .split('\n')
      .forEach((line) => print(`  ${line}`));
  const section = (title: string): void => print(`\n== ${title}`);

  print(`Backplane: drivers outside the kernel (seed ${seed})`);

  section('A simulated machine with one PCI device, and no driver for it');
  const sim = hostSim({ edu: 1, seed });
  await using system = await System.start(sim.plugin);
  note(system);
  say(list(system));
  say(String(system.explain(AT)));

  section('A driver is a plugin: load one, and the device is bound');
  await system.load(edu);
  note(system);
  say(String(system.tree()));
  say(String(system.deviceTree()));

  section('What the driver holds for the device is in a ledger, last first');
  for (const { label } of system.device(AT).devres.entries()) say(label);

  section('Users call what the driver publishes, not the driver');
  const one = system.get(Edus, 'edu0');
  for (const n of [5, 10]) say(`edu0: ${n}! = ${await one.factorial(n)}`);
  const data = randomBytes(seed, COPY_BYTES);
  const before = sim.clock.now();
  say(`edu0: ${await copied(one, data)}`);
  say(`edu0: that took ${sim.clock.now() - before} us of virtual time`);

  section('Unbind: the published object is gone, and so is what was held');
  await system.core.unbind(system.device(AT));
  say(`ledger: ${system.device(AT).devres.size} entries`);
  try {
    await one.factorial(5);
  } catch (error) {
    say(describeError(error));
  }
  say(String(system.explain(AT)));

  section('Bind again, then pull the device out while it works');
  await system.core.attach(system.device(AT));
  const again = system.get(Edus, 'edu0');
  const work = again.copy(data).catch((error: unknown) => say(`the copy: ${describeError(error)}`));
  sim.yank(AT);
  await work;
  await system.core.settle();
  say(String(system.deviceTree()));

  section('The end: plugins, devices and host go, last first');
  await system[Symbol.asyncDispose]();
  say(`at ${sim.clock.now()} us of virtual time`);

  await interrupts(seed, say, section);
  await accelerated({ seed, say, section, note });
  await networked({ seed, say, section, note });

  print('\n-- qemu --');
  await onQemu(say);
  print('-- end of qemu --\n');

  print(`nothing left: ${leftOver()}`);
}

/** A timer that has IMS and nothing else, beside a device that has MSI-X as well. */
async function interrupts(seed: number, say: (text: string) => void, section: (title: string) => void): Promise<void> {
  section('A timer that has IMS and nothing else, beside a device with MSI-X');
  const sim = hostSim({ timers: 2, cpus: 2, devices: [{ at: '00:08.0', model: boardModel }], seed });
  await using system = await System.start(sim.plugin, timer, board);
  note(system);
  for (const [name, one] of system.list(Timers)) {
    one.start(name === 'timer0' ? 1_000 : 1_500, () => say(`${name}: tick at ${sim.clock.now()} us`));
  }
  sim.elapse(3_000);
  const one = system.get(Boards, 'board0');
  for (const n of [0, 1, 2]) one.send(n);
  sim.drain();
  say(formatInterrupts(system.kernel.irqs.core));

  section('Its first interrupt moves to CPU 1; the slot in the device stays as it is');
  const { irqs, msi } = system.kernel;
  const slots = msi.domain(system.device(AT), 'secondary')!;
  const { virq } = [...slots.descs()][0]!;
  const before = slots.message(0);
  irqs.setAffinity(virq, [1]);
  sim.elapse(2_000);
  say(`message in slot 0: ${slots.message(0) === before ? 'the same' : 'another'}`);
  say(formatInterrupts(irqs.core));
  await system[Symbol.asyncDispose]();
}

/** The same driver on the device model of a QEMU, if there is one. */
async function onQemu(say: (text: string) => void): Promise<void> {
  const qemu = hostQtest({ devices: ['edu,addr=4'] });
  let missing: string | undefined;
  await using system = await System.start(qemu.plugin, edu).catch((error: unknown) => {
    if (!Errno.is(error, 'ENOENT')) throw error;
    missing = error.message;
    return undefined;
  });
  if (system === undefined) {
    say(folded(`skipped: ${missing}`));
    return;
  }
  note(system);
  say(list(system));
  const one = system.get(Edus, 'edu0');
  say(`edu0: 10! = ${await one.factorial(10)}`);
  say(`edu0: ${await copied(one, randomBytes(1, COPY_BYTES))}`);
  say(formatInterrupts(system.kernel.irqs.core));
  await system[Symbol.asyncDispose]();
}

function list(system: System): string {
  const devices = system.kernel.pci.bus.devices.filter(({ name }) => name === AT);
  return lspci(devices.map(snapshot), { naming: 'nn', kernel: true });
}

async function copied(one: Edu, data: Uint8Array): Promise<string> {
  const back = await one.copy(data);
  const same = back.length === data.length && back.every((byte, i) => byte === data[i]);
  return `${back.length} bytes to the device and back by DMA, ${same ? 'the same' : 'not the same'}`;
}

function randomBytes(seed: number, count: number): Uint8Array {
  const random = new Random(seed);
  return Uint8Array.from({ length: count }, () => random.below(256));
}

function note(system: System): void {
  systems.add(system);
  for (const dev of system.core.order) seen.add(dev);
}

/** Counted, not claimed: devices in the trees, interrupts in the tables, and what the ledgers of all that ever were still hold. */
function leftOver(): string {
  const labels = [...seen].flatMap((dev) => dev.devres.entries().map(({ label }) => label));
  const devices = [...systems].reduce((sum, { core }) => sum + core.order.size, 0);
  const irqs = [...systems].reduce((sum, { kernel }) => sum + kernel.irqs.list().length, 0);
  return `${devices} devices, ${irqs} irqs, ${labels.length} mappings`;
}

/** Text in lines that fit a terminal of 80 columns, indented. */
function folded(text: string): string {
  return text.replace(/(.{1,76})(?: |$)/g, '$1\n').trimEnd();
}
