import { describe, expect, test } from 'vitest';
import { IMS_SLOT_BYTES, type MdevDevice, VFIO_PCI_IRQ } from '../../../core/index.js';
import { SubDevice } from '../../../drivers/idxd/mdev/sub-device.js';
import * as DSA from '../../../hw/regs/dsa.js';
import { revokedOnRequest } from '../../helpers/idxd-handles.js';
import { Parts, copy, settingsOf, stateOf, take } from './mdev-fixture.js';

/** Shares for many. */
const WIDE = { ...settingsOf('shared'), size: 300, threshold: 300 } as const;
const WIDE_PROFILE = { wqSizeTotal: 300 } as const;
const HANDLES = { commandCap: 0x7ffe } as const;

const slotOf = (dev: MdevDevice): number | undefined => stateOf(dev).handle.slot;
/** The words of a slot: address, address, data, control. */
const words = (parts: Parts, slot: number): number[] =>
  [0, 4, 8, 12].map((at) => parts.bench.silicon.interrupts.slots.read32(slot * IMS_SLOT_BYTES + at));

describe('the interrupts of virtual devices', () => {
  test('D8 are slots of one domain, which others keep when one is given back and taken again', async () => {
    await using parts = await Parts.start(['shared']);
    const user = parts.process('anna');
    const devs = [await parts.create(), await parts.create(), await parts.create()];
    const open = await Promise.all(devs.map((dev) => parts.open(dev, user)));
    for (const part of open) await part.enable();
    expect(devs.map(slotOf)).toEqual([0, 1, 2]);
    expect(open.map(({ handle }) => handle)).toEqual([0, 1, 2]);
    await open[1]!.file.close();
    await parts.remove(devs[1]!);
    const fourth = await parts.create();
    await using part = await parts.open(fourth, user);
    await part.enable();
    expect([...devs.slice(0, 1), fourth, devs[2]!].map(slotOf)).toEqual([0, 1, 2]);
    for (const one of [open[0]!, part, open[2]!]) {
      one.submit(copy(one));
      await parts.settle();
      expect([open[0]!, part, open[2]!].map((each) => take(each.completions))).toEqual(
        [open[0]!, part, open[2]!].map((each) => (each === one ? 1 : 0)),
      );
    }
    for (const one of open) await one[Symbol.asyncDispose]();
  });

  test('are allocated when they are enabled, with the address space of the user, and freed when they are not', async () => {
    await using parts = await Parts.start(['dedicated']);
    const dev = await parts.create();
    expect(parts.ims.count).toBe(0);
    await using part = await parts.open(dev, parts.process('anna'));
    expect([parts.ims.count, slotOf(dev)]).toEqual([1, 0]);
    const { pasid } = stateOf(dev);
    expect(words(parts, 0)[3]).toBe(((pasid! << 12) | 8) >>> 0);
    expect(dev.devres.entries().map(({ label }) => label)).toContain('ims slot');
    part.disableInterrupts();
    expect([parts.ims.count, slotOf(dev), words(parts, 0)]).toEqual([0, undefined, [0, 0, 0, 1]]);
    part.enableInterrupts();
    expect(parts.ims.count).toBe(1);
    await part.file.close();
    expect([parts.ims.count, words(parts, 0), stateOf(dev).pasid]).toEqual([0, [0, 0, 0, 1], undefined]);
  });

  test('93 message 0 alone takes no slot; message 1 gets one when it is wanted, and keeps it when it is deassigned', async () => {
    await using parts = await Parts.start(['dedicated']);
    await using part = await parts.open(await parts.create(), parts.process('anna'));
    const { events, completions, file } = part;
    part.disableInterrupts();
    const set = { index: VFIO_PCI_IRQ.MSIX, action: 'trigger', count: 1 } as const;
    expect(file.setIrqs({ ...set, start: 0, eventfds: [events] })).toBe(0);
    expect(parts.ims.count).toBe(0);
    expect(file.setIrqs({ ...set, start: 1, eventfds: [completions] })).toBe(0);
    expect(parts.ims.count).toBe(1);
    // One that is deassigned stays allocated until all are given up.
    file.setIrqs({ ...set, start: 1, eventfds: [undefined] });
    expect(parts.ims.count).toBe(1);
  });

  test('D9 91 with all slots taken the next user is told how many he can have, and nothing changes for the others', async () => {
    await using parts = await Parts.start([WIDE], { profile: WIDE_PROFILE, machine: { cpus: 2 } });
    const user = parts.process('anna');
    const open: SubDevice[] = [];
    for (let n = 0; n < 256; n++) open.push(await parts.open(await parts.create(), user));
    const dev = await parts.create();
    await expect(parts.open(dev, user)).rejects.toThrow(/^ENOSPC: /);
    await using file = parts.vfio.openDevice(dev.name);
    await file.bind(parts.vfio.container(user.space));
    const set = { index: VFIO_PCI_IRQ.MSIX, action: 'trigger', start: 0, count: 2 } as const;
    expect(file.setIrqs({ ...set, eventfds: [open[0]!.events, open[0]!.completions] })).toBe(1);
    expect([parts.ims.count, slotOf(dev)]).toEqual([256, undefined]);
    await open[0]!.enable();
    open[0]!.submit(copy(open[0]!));
    await parts.settle();
    expect(take(open[0]!.completions)).toBe(1);
    for (const one of open) await one.file.close();
  });

  test('D10 the queue is drained and disabled before its slot is masked, cleared and free', async () => {
    await using parts = await Parts.start(['dedicated'], { profile: HANDLES });
    const { bench } = parts;
    await using part = await parts.open(await parts.create(), parts.process('anna'));
    await part.enable();
    bench.takeWire();
    await part.file.close();
    const wire = bench.takeWire().filter((line) => /^w.*(CMD|IMS\[0\]|WQCFG)/.test(line) || line.startsWith('r32 IMS'));
    expect(wire.slice(0, 9)).toEqual([
      'w32 CMD 0x80800001', // drain queue 0
      'w32 CMD 0x80700001', // disable it
      'w32 CMD 0xe10020', // release the handle
      'w32 WQCFG[0]+0x8 0xa1', // no address space any more
      'w32 IMS[0]+0xc 0x1', // masked
      'w32 IMS[0]+0x0 0x0',
      'w32 IMS[0]+0x4 0x0',
      'w32 IMS[0]+0x8 0x0',
      'r32 IMS[0]+0xc',
    ]);
    // The core clears it again when it is deactivated, and when it is freed; that is all.
    expect(new Set(wire.slice(9))).toEqual(new Set([...wire.slice(4, 9), 'r32 IMS[0]+0x8']));
    expect(parts.ims.count).toBe(0);
  });

  test('what is under way when its user closes it is done, and interrupts him', async () => {
    await using parts = await Parts.start(['dedicated']);
    const user = parts.process('anna');
    await using part = await parts.open(await parts.create(), user);
    await part.enable();
    let signals = 0;
    part.completions.listen(() => signals++);
    part.submit(copy(part));
    await part.file.close();
    expect([user.status(), signals]).toEqual([DSA.STATUS.success, 1]);
  });

  test('what is under way when it is reset is lost', async () => {
    await using parts = await Parts.start(['dedicated']);
    const user = parts.process('anna');
    await using part = await parts.open(await parts.create(), user);
    await part.enable();
    part.submit(copy(part));
    await part.file.reset();
    await parts.settle();
    expect([user.status(), take(part.completions)]).toEqual([0, 0]);
  });

  test('are given back when a handle of theirs is still out, and that is worth nothing then', async () => {
    await using parts = await Parts.start(['shared'], { profile: HANDLES });
    const user = parts.process('anna');
    await using part = await parts.open(await parts.create(), user);
    await part.enable();
    expect(part.handle).toBe(0x20);
    expect((await part.command('releaseHandle', 0x21)).status).toBe(DSA.ERRORS.noHandleForIndex);
    const kept = copy(part);
    part.disableInterrupts();
    expect((await noMessage(part)).status).toBe(DSA.ERRORS.noHandleForIndex);
    part.enableInterrupts();
    part.submit(kept);
    await parts.settle();
    expect([user.status(), take(part.completions)]).toEqual([DSA.STATUS.handle, 0]);
  });

  test('a handle that comes when its message has been given up is given back at once', async () => {
    await using parts = await Parts.start(['shared'], { profile: HANDLES });
    await using part = await parts.open(await parts.create(), parts.process('anna'));
    part.write(DSA.CMD, { command: DSA.COMMANDS.requestHandle, operand: 1 });
    part.disableInterrupts();
    await parts.settle();
    expect(part.read(DSA.CMDSTATUS) & 0xff).toBe(DSA.ERRORS.noHandleForIndex);
    expect(parts.bench.silicon.interrupts.indexOf(0x20, true)).toBe(-1);
  });

  test.each([0, 3, 6])(
    'M51 a handle that is taken back on its way to the user, %i turns on, is not the one he gets',
    async (turns) => {
      await using parts = await Parts.start(['shared'], { profile: HANDLES });
      const user = parts.process('anna');
      await using part = await parts.open(await parts.create(), user);
      const revoked = revokedOnRequest(parts.bench.silicon, turns);
      await part.enable();
      await revoked;
      await parts.settle();
      part.submit(copy(part));
      await parts.settle();
      expect([user.status(), take(part.completions)]).toEqual([DSA.STATUS.success, 1]);
    },
  );

  test('M51 when the device takes its handles back, the user is told, and asks anew', async () => {
    await using parts = await Parts.start(['shared'], { profile: HANDLES });
    const user = parts.process('anna');
    await using part = await parts.open(await parts.create(), user);
    await part.enable();
    take(part.events);
    const old = copy(part);
    parts.bench.silicon.revokeHandles();
    await parts.settle();
    expect([part.read(DSA.INTCAUSE), take(part.events)]).toEqual([0x8000_0000, 1]);
    part.submit(old);
    await parts.settle();
    expect(user.status()).toBe(DSA.STATUS.handle);
    expect((await part.command('releaseHandle', part.handle)).status).toBe(DSA.ERRORS.noHandleForIndex);
    const { status, result } = await part.command('requestHandle', 1);
    part.submit(copy({ handle: result }));
    await parts.settle();
    expect([status, result === part.handle, user.status(), take(part.completions)]).toEqual([0, false, DSA.STATUS.success, 1]);
  });
});

/** Asks for the handle of a message that nobody wants; its answer is told by no interrupt. */
async function noMessage(part: SubDevice): Promise<{ status: number }> {
  part.write(DSA.CMD, { command: DSA.COMMANDS.requestHandle, operand: 1 });
  while (part.read(DSA.CMDSTATUS) >>> 31 === 1) await Promise.resolve();
  return { status: part.read(DSA.CMDSTATUS) & 0xff };
}
