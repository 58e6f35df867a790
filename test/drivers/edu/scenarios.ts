import { describe, expect, test } from 'vitest';
import { type Host, type PciDevice, type Plugin, System, type Window } from '../../../core/index.js';
import { interruptTable } from '../../../core/irq/index.js';
import { PCI } from '../../../core/hal/index.js';
import { Edus } from '../../../drivers/edu/api.js';
import * as EDU from '../../../hw/regs/edu.js';
import edu from '../../../plugins/edu.js';

type MadeHost = Host & { readonly plugin: Plugin };

/** A host to run on, made afresh for each test. */
export interface EduHost {
  /** @param count how many educational devices it has, from 00:04.0 on */
  make(count: number): MadeHost;
  /** Names of the chips of a message and of a line there, with the device's name left out. */
  readonly chips: { readonly msi: string; readonly intx: string };
}

const FIRST = '0000:00:04.0';
/** The first device whose line is the same as that of the first: there are four, and each slot takes the next. */
const SHARING = 4;

const bytes = (length: number): Uint8Array => Uint8Array.from({ length }, (_, i) => (i * 7 + 1) % 256);
const names = (system: System): string[] => system.list(Edus).map(([own]) => own);
const deviceOf = (system: System, name = FIRST): PciDevice => system.kernel.pci.find(name)!;

/** A system whose educational devices interrupt by `kind`; no driver is loaded. */
export async function startWithout(host: MadeHost, kind: 'msi' | 'intx'): Promise<System> {
  const system = await System.start(host.plugin);
  for (const dev of system.kernel.pci.devices) if (dev.deviceId === EDU.EDU_DEVICE) dev.noMsi = kind === 'intx';
  return system;
}

/** How often the interrupt of each device came, with its chip. */
const counts = (system: System) =>
  interruptTable(system.kernel.irqs.core).interrupts.map(
    ({ chip, counts: each, handlers }) => `${chip} ${each.join(' ')} ${handlers.join(' ')}`,
  );

/** What went wrong and was got over. */
export const complaints = (system: System): string[] =>
  system.core.log
    .records()
    .filter(({ level }) => ['err', 'warn'].includes(level))
    .map(({ who, text, id }) => `${who}: ${id ?? text}`);

/** Registers of a device as a stranger to the driver sees them. */
export function strange(host: MadeHost, dev: PciDevice): Window {
  return host.pci[0]!.map('mem', dev.bar(0)!.address!, EDU.BAR_BYTES);
}

/** Whether a device asks for its line, whether or not it may have it. */
const asksForLine = ({ config }: PciDevice): boolean => config.readField(PCI.STATUS, PCI.STATUS.fields.intx) === 1;

/** What the driver does, on whatever host the device is. */
export function eduScenarios(name: string, host: EduHost): void {
  describe(`the edu driver on ${name}`, () => {
    const start = (count: number): Promise<System> => System.start(host.make(count).plugin, edu);

    test('binds, and the device answers', async () => {
      await using system = await start(1);
      expect(names(system)).toEqual(['edu0']);
      expect(system.get(Edus, 'edu0').isAlive()).toBe(true);
    });

    test.each([-1, 13, 1.5, Number.NaN])('a factorial of %d is ERANGE', async (n) => {
      await using system = await start(1);
      await expect(system.get(Edus, 'edu0').factorial(n)).rejects.toThrow(`ERANGE: 0000:00:04.0: factorial of ${n}`);
    });

    test('copies what the data was when it was asked to', async () => {
      await using system = await start(1);
      const sent = bytes(3);
      const back = system.get(Edus, 'edu0').copy(sent);
      sent.fill(0);
      expect(await back).toEqual(bytes(3));
    });

    test.each([0, EDU.BUFFER_BYTES])('a copy of %d bytes is ERANGE', async (length) => {
      await using system = await start(1);
      await expect(system.get(Edus, 'edu0').copy(bytes(length))).rejects.toThrow(
        `ERANGE: 0000:00:04.0: copy of ${length} bytes: must be 1 to 4095`,
      );
    });

    test('a handle kept past the removal of the device throws ENODEV', async () => {
      await using system = await start(1);
      const dev = system.get(Edus, 'edu0');
      await system.kernel.pci.remove(deviceOf(system));
      expect(() => dev.isAlive()).toThrow('ENODEV: edu0: is gone');
    });

    test('is loaded with messages, then with lines, then with messages, and works by each', async () => {
      await using system = await start(1);
      for (const noMsi of [true, false]) {
        expect(await system.get(Edus, 'edu0').factorial(5)).toBe(120);
        deviceOf(system).noMsi = noMsi;
        await system.reload('edu');
      }
      expect(await system.get(Edus, 'edu0').factorial(5)).toBe(120);
      expect(complaints(system)).toEqual([]);
    });
  });

  describe.each(['msi', 'intx'] as const)(`the edu driver by %s on ${name}`, (kind) => {
    const start = async (count: number): Promise<System> => {
      const system = await startWithout(host.make(count), kind);
      await system.load(edu);
      return system;
    };
    /** `DB-PCI-MSI-0000:00:04.0 3 edu`: what came for whom. */
    const interrupts = (count: number, dev = FIRST): string =>
      `${host.chips[kind]}${kind === 'msi' ? `-${dev}` : ''} ${count} edu`;

    test('each command completes by one interrupt', async () => {
      await using system = await start(1);
      const dev = system.get(Edus, 'edu0');
      expect(deviceOf(system).vectorKind).toBe(kind);
      expect([await dev.factorial(0), await dev.factorial(5), await dev.factorial(12)]).toEqual([1, 120, 479_001_600]);
      expect(counts(system)).toEqual([interrupts(3)]);
      const sent = bytes(EDU.BUFFER_BYTES - 1);
      expect(await dev.copy(sent)).toEqual(sent);
      expect(counts(system)).toEqual([interrupts(5)]);
      expect(complaints(system)).toEqual([]);
    });

    test('what is asked for at once is done one after the other', async () => {
      await using system = await start(1);
      const dev = system.get(Edus, 'edu0');
      const sent = bytes(16);
      expect(await Promise.all([dev.factorial(4), dev.copy(sent), dev.factorial(6)])).toEqual([24, sent, 720]);
      expect(counts(system)).toEqual([interrupts(4)]);
    });

    test('two devices do not disturb each other, on one line or on two', async () => {
      await using system = await start(SHARING + 1);
      const one = system.get(Edus, 'edu0');
      for (const other of [system.get(Edus, 'edu1'), system.get(Edus, `edu${SHARING}`)]) {
        const asked = [one.factorial(7), other.copy(bytes(8)), one.copy(bytes(9)), other.factorial(3)];
        expect(await Promise.all(asked)).toEqual([5040, bytes(8), bytes(9), 6]);
      }
      expect(complaints(system)).toEqual([]);
      const isShared = deviceOf(system).irqVector(0) === deviceOf(system, '0000:00:08.0').irqVector(0);
      expect(isShared).toBe(kind === 'intx');
    });

    test('one that leaves a shared line leaves the other in peace', async () => {
      await using system = await start(SHARING + 1);
      const left = system.get(Edus, `edu${SHARING}`).copy(bytes(4));
      left.catch(() => {});
      await system.kernel.pci.remove(deviceOf(system, '0000:00:08.0'));
      await expect(left).rejects.toThrow('ENODEV');
      const { irqs } = system.kernel;
      const virq = deviceOf(system).irqVector(0);
      const before = irqs.desc(virq).total;
      expect(await system.get(Edus, 'edu0').factorial(6)).toBe(720);
      expect(irqs.desc(virq).total).toBe(before + 1);
      expect(complaints(system)).toEqual([]);
    });

    test('an interrupt whose cause is gone is accounted as nobody`s, and does no harm', async () => {
      const made = host.make(1);
      await using system = await startWithout(made, kind);
      await system.load(edu);
      const desc = system.kernel.irqs.desc(deviceOf(system).irqVector(0));
      const regs = strange(made, deviceOf(system));
      regs.write32(EDU.IRQ_RAISE.offset, EDU.IRQ_FACTORIAL);
      regs.write32(EDU.IRQ_ACK.offset, EDU.IRQ_FACTORIAL);
      regs.read32(EDU.IRQ_STATUS.offset);
      system.kernel.irqs.drain();
      expect([desc.total, desc.unhandled]).toEqual([1, 1]);
      expect(await system.get(Edus, 'edu0').factorial(5)).toBe(120);
      expect([desc.total, desc.unhandled, complaints(system)]).toEqual([2, 1, []]);
    });

    test('what the device raised before the driver came, and raises as it goes, keeps no line busy', async () => {
      const made = host.make(1);
      await using system = await startWithout(made, kind);
      const dev = deviceOf(system);
      const raise = (): void => {
        const regs = strange(made, dev);
        regs.write32(EDU.IRQ_RAISE.offset, EDU.IRQ_DMA);
        expect(regs.read32(EDU.IRQ_STATUS.offset)).toBe(EDU.IRQ_DMA);
      };
      dev.isUserEnabled = true;
      raise();
      expect(asksForLine(dev)).toBe(true);
      await system.load(edu);
      expect(await system.get(Edus, 'edu0').factorial(3)).toBe(6);
      expect(complaints(system)).toEqual([]);
      raise();
      // At once: nothing is handled in between.
      await system.core.unbind(dev);
      expect([strange(made, dev).read32(EDU.IRQ_STATUS.offset), asksForLine(dev)]).toEqual([0, false]);
      dev.isUserEnabled = false;
    });

    test('it is loaded, unloaded and loaded again, and works', async () => {
      await using system = await start(1);
      await system.unload('edu');
      expect([names(system), counts(system)]).toEqual([[], []]);
      await system.load(edu);
      expect(await system.get(Edus, 'edu0').factorial(5)).toBe(120);
      expect(complaints(system)).toEqual([]);
    });

    test('an unload wakes those who wait, and breaks no rule', async () => {
      await using system = await start(1);
      const rules: string[] = [];
      system.core.violations.on(({ rule }) => rules.push(rule));
      const dev = system.get(Edus, 'edu0');
      const waits = [dev.copy(bytes(4)), dev.factorial(3)].map((wait) => wait.catch((error: Error) => error.message));
      await system.unload('edu');
      expect(await Promise.all(waits)).toEqual(['ENODEV: edu0: is gone', 'ENODEV: edu0: is gone']);
      // The driver's own loops end too, and touch nothing on the way.
      await system.core.clock.sleep(10_000);
      expect([rules, asksForLine(deviceOf(system))]).toEqual([[], false]);
    });

    test('a reload in the middle of a command finds a device that is at rest', async () => {
      await using system = await start(1);
      const dev = system.get(Edus, 'edu0');
      const lost = [dev.factorial(3), dev.copy(bytes(64))].map((wait) => wait.catch((error: Error) => error.message));
      await system.reload('edu');
      const next = system.get(Edus, 'edu0');
      expect(await Promise.all([next.factorial(6), next.copy(bytes(32))])).toEqual([720, bytes(32)]);
      expect(await Promise.all(lost)).toEqual(['ENODEV: edu0: is gone', 'ENODEV: edu0: is gone']);
      expect(complaints(system)).toEqual([]);
    });
  });
}
