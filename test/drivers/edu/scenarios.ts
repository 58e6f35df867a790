import { describe, expect, test } from 'vitest';
import { type Host, type Plugin, System } from '../../../core/index.js';
import { Edus } from '../../../drivers/edu/api.js';
import { BUFFER_BYTES } from '../../../hw/regs/edu.js';
import edu from '../../../plugins/edu.js';

/** A host to run on, made afresh for each test. */
export interface EduHost {
  /** @param count how many educational devices it has, from 00:04.0 on */
  make(count: number): Host & { readonly plugin: Plugin };
}

const bytes = (length: number): Uint8Array => Uint8Array.from({ length }, (_, i) => (i * 7 + 1) % 256);

/** What the driver does, on whatever host the device is. */
export function eduScenarios(name: string, host: EduHost): void {
  const start = (count: number): Promise<System> => System.start(host.make(count).plugin, edu);
  const names = (system: System): string[] => system.list(Edus).map(([own]) => own);

  describe(`the edu driver on ${name}`, () => {
    test('binds, and the device answers', async () => {
      await using system = await start(1);
      expect(names(system)).toEqual(['edu0']);
      expect(system.get(Edus, 'edu0').isAlive()).toBe(true);
    });

    test('computes factorials on the device', async () => {
      await using system = await start(1);
      const dev = system.get(Edus, 'edu0');
      expect(await dev.factorial(0)).toBe(1);
      expect(await dev.factorial(5)).toBe(120);
      expect(await dev.factorial(12)).toBe(479_001_600);
    });

    test.each([-1, 13, 1.5, Number.NaN])('a factorial of %d is ERANGE', async (n) => {
      await using system = await start(1);
      await expect(system.get(Edus, 'edu0').factorial(n)).rejects.toThrow(`ERANGE: 0000:00:04.0: factorial of ${n}`);
    });

    test('does what is asked for at once one after the other', async () => {
      await using system = await start(1);
      const dev = system.get(Edus, 'edu0');
      const sent = bytes(16);
      expect(await Promise.all([dev.factorial(4), dev.copy(sent), dev.factorial(6)])).toEqual([24, sent, 720]);
    });

    test('sends as much as it takes through the device and back', async () => {
      await using system = await start(1);
      const sent = bytes(BUFFER_BYTES - 1);
      expect(await system.get(Edus, 'edu0').copy(sent)).toEqual(sent);
    });

    test('copies what the data was when it was asked to', async () => {
      await using system = await start(1);
      const sent = bytes(3);
      const back = system.get(Edus, 'edu0').copy(sent);
      sent.fill(0);
      expect(await back).toEqual(bytes(3));
    });

    test.each([0, BUFFER_BYTES])('a copy of %d bytes is ERANGE', async (length) => {
      await using system = await start(1);
      await expect(system.get(Edus, 'edu0').copy(bytes(length))).rejects.toThrow(
        `ERANGE: 0000:00:04.0: copy of ${length} bytes: must be 1 to 4095`,
      );
    });

    test('serves two devices that do not disturb each other', async () => {
      await using system = await start(2);
      expect(names(system)).toEqual(['edu0', 'edu1']);
      const [first, second] = [system.get(Edus, 'edu0'), system.get(Edus, 'edu1')];
      expect(await Promise.all([first.factorial(7), second.copy(bytes(8)), second.factorial(3)])).toEqual([5040, bytes(8), 6]);
    });

    test('is loaded, unloaded and loaded again, and works', async () => {
      await using system = await start(1);
      await system.unload('edu');
      expect(names(system)).toEqual([]);
      await system.load(edu);
      expect(await system.get(Edus, 'edu0').factorial(5)).toBe(120);
    });

    test('a handle kept past the removal of the device throws ENODEV', async () => {
      await using system = await start(1);
      const dev = system.get(Edus, 'edu0');
      await system.kernel.pci.remove(system.kernel.pci.find('0000:00:04.0')!);
      expect(() => dev.isAlive()).toThrow('ENODEV: edu0: is gone');
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
      expect(rules).toEqual([]);
    });

    test('a reload in the middle of a command finds a device that is at rest', async () => {
      await using system = await start(1);
      const dev = system.get(Edus, 'edu0');
      const lost = [dev.factorial(3), dev.copy(bytes(64))].map((wait) => wait.catch((error: Error) => error.message));
      await system.reload('edu');
      const next = system.get(Edus, 'edu0');
      expect(await Promise.all([next.factorial(6), next.copy(bytes(32))])).toEqual([720, bytes(32)]);
      expect(await Promise.all(lost)).toEqual(['ENODEV: edu0: is gone', 'ENODEV: edu0: is gone']);
    });
  });
}
