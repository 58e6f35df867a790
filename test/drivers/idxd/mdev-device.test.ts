import { describe, expect, test } from 'vitest';
import { EventFd, PCI, VFIO_PCI_IRQ, VFIO_PCI_REGION, packFields, regAt } from '../../../core/index.js';
import type { SubDevice } from '../../../drivers/idxd/mdev/sub-device.js';
import * as DSA from '../../../hw/regs/dsa.js';
import { Parts, copy, settingsOf, stateOf, take } from './mdev-fixture.js';
import { DESTINATION, PAGE, descriptor } from './user-fixture.js';

const { ERRORS, STATES, SWERRORS } = DSA;
const { BAR0, BAR2, CONFIG } = VFIO_PCI_REGION;
/** Tables of a virtual device. */
const PERM = regAt(DSA.MSIX_PERM, 1, 0x300);
const WQ = (reg: typeof DSA.WQ_MODE | typeof DSA.WQ_STATUS | typeof DSA.WQ_SIZE) => regAt(reg as typeof DSA.WQ_MODE, 1, 0x500);
const MODE = WQ(DSA.WQ_MODE);
const STATUS = WQ(DSA.WQ_STATUS);
const ENTRY_CONTROL = regAt(PCI.MSIX_ENTRY_CONTROL, 1, 0x600);

const MASTER = packFields(PCI.COMMAND, { master: 1, memory: 1 });

function config(part: SubDevice, offset: number, bytes = 4): number {
  const out = new Uint8Array(4);
  part.file.read(CONFIG, offset, out.subarray(0, bytes));
  return new DataView(out.buffer).getUint32(0, true);
}

function setConfig(part: SubDevice, offset: number, value: number, bytes = 4): void {
  const data = new Uint8Array(4);
  new DataView(data.buffer).setUint32(0, value, true);
  part.file.write(CONFIG, offset, data.subarray(0, bytes));
}

const statusOf = async (part: SubDevice, ...command: Parameters<SubDevice['command']>): Promise<number> =>
  (await part.command(...command)).status;
const errorOf = (part: SubDevice): number => (part.read(DSA.SWERROR) >>> DSA.SWERROR.fields.error.lsb) & 0xff;

describe.each(['dedicated', 'shared'] as const)('a virtual device of a %s queue', (mode) => {
  test('copies in the memory of its user, and interrupts him', async () => {
    await using parts = await Parts.start([mode]);
    const user = parts.process('anna');
    await using part = await parts.open(await parts.create(), user);
    await part.enable();
    expect(part.submit(copy(part))).toBe(true);
    await parts.settle();
    expect([user.status(), take(part.completions)]).toEqual([DSA.STATUS.success, 1]);
    expect(user.read(DESTINATION)).toEqual(new Uint8Array(64).fill(97));
  });

  test('is an accelerator by its configuration space', async () => {
    await using parts = await Parts.start([mode]);
    await using part = await parts.open(await parts.create(), parts.process('anna'));
    expect([config(part, 0), config(part, 8) >>> 8]).toEqual([0x0b25_8086, 0x08_8000]);
    const msix = config(part, 0x34, 1);
    expect([msix, config(part, msix), config(part, msix + 4), config(part, msix + 8)]).toEqual([0x40, 0x0001_5011, 0x600, 0x700]);
    expect(config(part, 0x50) & 0xff).toBe(PCI.CAP_PCIE);
    // Sizing: all ones read back as the length.
    setConfig(part, 0x10, 0xffff_ffff);
    setConfig(part, 0x18, 0xffff_ffff);
    expect([config(part, 0x10), config(part, 0x18)]).toEqual([0xffff_e00c, 0xffff_e00c]);
    setConfig(part, 0, 0xffff_ffff);
    expect(config(part, 0)).toBe(0x0b25_8086);
    expect(part.file.info()).toMatchObject({ pci: true, reset: true });
    expect(part.file.irqInfo(VFIO_PCI_IRQ.MSIX)).toMatchObject({ count: 2, eventfd: true, noResize: false });
  });

  test('tells of one queue, one group, and a configuration that is fixed', async () => {
    await using parts = await Parts.start([mode]);
    await using part = await parts.open(await parts.create(), parts.process('anna'));
    const upper = (at: number): number => part.read(regAt(DSA.CMDCAP, 1, at + 4 - DSA.CMDCAP.offset));
    // Overlap, cache control, commands, readback, event log of 64 bytes, 2 GiB, 1024; no store of its own, not configurable.
    expect(part.read(DSA.GENCAP)).toBe(0x015f_2116);
    expect([part.read(DSA.WQCAP), upper(DSA.WQCAP.offset)]).toEqual([0x0001_0010, mode === 'dedicated' ? 1 << 17 : 1 << 16]);
    expect([part.read(DSA.GRPCAP), part.read(DSA.ENGCAP), part.read(DSA.OPCAP)]).toEqual([1, 1, 0x003f_027f]);
    expect([part.read(DSA.TABLE_OFFSETS), upper(DSA.TABLE_OFFSETS.offset)]).toEqual([0x0005_0004, 0x0010_0003]);
    expect(part.read(DSA.CMDCAP)).toBe(0x7ffe);
    expect([part.read(WQ(DSA.WQ_SIZE)) & 0xffff, part.read(MODE) & 0xf1]).toEqual([16, 0xa0 | (mode === 'dedicated' ? 1 : 0)]);
    for (const { offset } of [DSA.VERSION, DSA.GENCAP, DSA.WQCAP, DSA.GENSTATUS, DSA.CMDSTATUS, WQ(DSA.WQ_SIZE), STATUS]) {
      const reg = regAt(DSA.CMDCAP, 1, offset - DSA.CMDCAP.offset);
      const before = part.read(reg);
      part.write(reg, 0xffff_ffff);
      expect(part.read(reg)).toBe(before);
    }
    part.write(PERM, 0xffff_ffff);
    expect(part.read(PERM)).toBe(0xffff_f00d);
  });

  test('refuses commands as the real one does', async () => {
    await using parts = await Parts.start([mode]);
    await using part = await parts.open(await parts.create(), parts.process('anna'));
    expect(await statusOf(part, 'enableDevice')).toBe(ERRORS.busMaster);
    expect(await statusOf(part, 'disableDevice')).toBe(ERRORS.deviceNotEnabled);
    expect(await statusOf(part, 'enableWq', 0)).toBe(ERRORS.deviceDisabled);
    setConfig(part, PCI.COMMAND.offset, MASTER, 2);
    expect(await statusOf(part, 'enableDevice')).toBe(ERRORS.none);
    expect(await statusOf(part, 'enableDevice')).toBe(ERRORS.deviceNotDisabled);
    expect(await statusOf(part, 'enableWq', 1)).toBe(ERRORS.wqIndex);
    const preset = part.read(MODE);
    part.write(MODE, preset ^ 1);
    expect(await statusOf(part, 'enableWq', 0)).toBe(ERRORS.wqMode);
    part.write(MODE, preset | (1 << 28));
    expect(await statusOf(part, 'enableWq', 0)).toBe(ERRORS.wqPasid);
    part.write(MODE, preset);
    for (const command of ['drainWq', 'abortWq', 'disableWq', 'resetWq'] as const) {
      expect([await statusOf(part, command, 1), await statusOf(part, command, 2)]).toEqual([ERRORS.wqNotEnabled, ERRORS.wqIndex]);
    }
    expect(await statusOf(part, 'enableWq', 0)).toBe(ERRORS.none);
    expect(await statusOf(part, 'enableWq', 0)).toBe(ERRORS.wqNotDisabled);
    part.write(MODE, 0);
    expect(part.read(MODE)).toBe(preset);
    for (const operand of [0, 2]) expect(await statusOf(part, 'requestHandle', operand)).toBe(ERRORS.tableIndex);
    expect(await statusOf(part, 'requestHandle', DSA.HANDLE_IMS | 1)).toBe(ERRORS.noHandle);
    expect(await statusOf(part, 'releaseHandle', 5)).toBe(ERRORS.noHandleForIndex);
    for (const command of ['drainWq', 'abortWq'] as const) expect(await statusOf(part, command, 1)).toBe(ERRORS.none);
    for (const command of ['drainAll', 'abortAll', 'drainPasid', 'abortPasid'] as const) {
      expect(await statusOf(part, command)).toBe(ERRORS.none);
    }
    expect(await statusOf(part, 'resetWq', 1)).toBe(ERRORS.none);
    expect(part.read(STATUS) >>> 30).toBe(DSA.WQ_STATES.disabled);
    part.write(DSA.CMD, { command: 15 });
    expect(part.read(DSA.CMDSTATUS)).toBe(ERRORS.command);
    part.write(DSA.CMD, 0x0200_0000 | (1 << 20));
    expect(part.read(DSA.CMDSTATUS)).toBe(ERRORS.reserved);
  });

  test('a command that is written while another is active is an error, and not done', async () => {
    await using parts = await Parts.start([mode]);
    await using part = await parts.open(await parts.create(), parts.process('anna'));
    await part.enable();
    part.write(DSA.CMD, { command: DSA.COMMANDS.drainWq, operand: 1 });
    expect(part.read(DSA.CMDSTATUS)).toBe(0x8000_0000);
    part.write(DSA.CMD, { command: DSA.COMMANDS.disableDevice });
    await parts.settle();
    expect([part.read(DSA.CMDSTATUS), part.read(DSA.GENSTATUS)]).toEqual([0, STATES.enabled]);
    expect(errorOf(part)).toBe(SWERRORS.commandActive);
  });

  test('M34 what is submitted while its queue is disabled is lost, and leaves nothing behind', async () => {
    await using parts = await Parts.start([mode]);
    const user = parts.process('anna');
    await using part = await parts.open(await parts.create(), user);
    await part.enable();
    await part.disable();
    expect(part.submit(copy(part))).toBe(mode === 'dedicated');
    await parts.settle();
    expect([user.status(), part.read(STATUS) >>> 30]).toEqual([0, DSA.WQ_STATES.disabled]);
    expect(await statusOf(part, 'enableDevice')).toBe(ERRORS.none);
    expect(await statusOf(part, 'enableWq', 0)).toBe(ERRORS.none);
    part.submit(copy(part));
    await parts.settle();
    expect(user.status()).toBe(DSA.STATUS.success);
  });

  test.each(['VFIO', 'function-level', 'command'])('is as it was at first after a reset (%s)', async (kind) => {
    await using parts = await Parts.start([mode]);
    const dev = await parts.create();
    const user = parts.process('anna');
    await using part = await parts.open(dev, user);
    await part.enable();
    part.write(DSA.GENCTRL, 7);
    if (kind === 'VFIO') await part.file.reset();
    else if (kind === 'function-level') setConfig(part, 0x58, 0x8000, 2);
    else expect(await statusOf(part, 'resetDevice')).toBe(ERRORS.none);
    await parts.settle();
    expect([part.read(DSA.GENSTATUS), part.read(DSA.GENCTRL), part.read(STATUS) >>> 30]).toEqual([0, 0, 0]);
    expect(config(part, PCI.COMMAND.offset, 2)).toBe(kind === 'command' ? MASTER : 0);
    expect(stateOf(dev).isQueueEnabled).toBe(false);
    // Interrupts are the user's: he has them as before.
    await part.enable();
    part.submit(copy(part));
    await parts.settle();
    expect([user.status(), take(part.completions)]).toEqual([DSA.STATUS.success, 1]);
  });

  test('M27 the loss of the bus is an error, and interrupts if that is wanted', async () => {
    await using parts = await Parts.start([mode]);
    await using part = await parts.open(await parts.create(), parts.process('anna'));
    await part.enable();
    take(part.events);
    part.write(DSA.GENCTRL, { softwareError: 1 });
    setConfig(part, PCI.COMMAND.offset, 0, 2);
    expect([errorOf(part), part.read(DSA.INTCAUSE), take(part.events)]).toEqual([SWERRORS.pciConfiguration, 1, 1]);
  });

  test.each(['table', 'function'])('message 0 waits while it is masked (%s)', async (where) => {
    await using parts = await Parts.start([mode]);
    await using part = await parts.open(await parts.create(), parts.process('anna'));
    const mask = (on: boolean): void => {
      if (where === 'table') part.write(ENTRY_CONTROL, on ? 1 : 0);
      else setConfig(part, 0x42, on ? 0xc000 : 0x8000, 2);
    };
    mask(true);
    part.write(DSA.CMD, { interrupt: 1, command: DSA.COMMANDS.resetDevice });
    await parts.settle();
    expect([take(part.events), part.read(regAt(PERM, 1, 0x400)) & 1]).toEqual([0, 1]);
    mask(false);
    expect([take(part.events), part.read(regAt(PERM, 1, 0x400)) & 1]).toEqual([1, 0]);
  });

  test('D17 its portal is one page, and ends with the descriptor', async () => {
    await using parts = await Parts.start([mode]);
    await using part = await parts.open(await parts.create(), parts.process('anna'));
    const portal = part.file.mmap(BAR2, PAGE, PAGE);
    expect([portal.sizeBytes, portal.read32(0)]).toEqual([PAGE, 0xffff_ffff]);
    expect(() => part.file.mmap(BAR2, 0, 2 * PAGE)).toThrow('EINVAL: ');
    expect(() => part.file.mmap(BAR0, 0, PAGE)).toThrow('EINVAL: ');
    if (mode === 'shared') expect(() => part.file.mmap(BAR2, 0, PAGE)).toThrow('EINVAL: ');
    else expect(part.file.mmap(BAR2, 0, PAGE).sizeBytes).toBe(PAGE);
    await part.file.close();
    expect(() => portal.movdir64b(0, descriptor())).toThrow('ENODEV: ');
  });

  test('94 shows all its vectors as signalled when they are tried out', async () => {
    await using parts = await Parts.start([mode]);
    await using part = await parts.open(await parts.create(), parts.process('anna'));
    part.file.setIrqs({ index: VFIO_PCI_IRQ.MSIX, action: 'trigger', start: 0, count: 2 });
    expect([take(part.events), take(part.completions)]).toEqual([1, 1]);
  });

  test('is enabled as a whole or not at all', async () => {
    await using parts = await Parts.start([mode]);
    await using part = await parts.open(await parts.create(), parts.process('anna'));
    const state = (): number => part.read(DSA.GENSTATUS) & 3;
    part.disableInterrupts();
    await expect(part.enable()).rejects.toThrow(`EINVAL: ${part.file.name}: enableDevice: enable its interrupts first`);
    part.enableInterrupts();
    part.write(MODE, part.read(MODE) | packFields(DSA.WQ_MODE, { pasidEnable: 1 }));
    await expect(part.enable()).rejects.toThrow(`EIO: ${part.file.name}: enableWq refused with status 0x26`);
    expect([state(), part.handle]).toEqual([STATES.disabled, undefined]);
    part.write(MODE, part.read(MODE) & ~packFields(DSA.WQ_MODE, { pasidEnable: 1 }));
    await part.enable();
    expect([state(), part.handle]).toEqual([STATES.enabled, expect.any(Number)]);
    await expect(part.enable()).rejects.toThrow('enableDevice refused with status 0x10');
    expect(state()).toBe(STATES.enabled);
  });

  test('asks its user to give it up, and waits, when it is to go', async () => {
    await using parts = await Parts.start([mode]);
    const dev = await parts.create();
    await using part = await parts.open(dev, parts.process('anna'));
    const wanted = new EventFd('request');
    part.file.setIrqs({ index: VFIO_PCI_IRQ.REQ, action: 'trigger', start: 0, count: 1, eventfds: [wanted] });
    await part.enable();
    const removal = parts.remove(dev);
    await parts.bench.sim.settle(100);
    expect([wanted.count, dev.registered, stateOf(dev).isQueueEnabled]).toEqual([1, true, true]);
    await part.file.close();
    await removal;
    expect(dev.registered).toBe(false);
  });
});

describe('a virtual device of a dedicated queue', () => {
  test('M30 takes descriptors in pieces, as a monitor that traps each store hands them on', async () => {
    await using parts = await Parts.start(['dedicated']);
    const user = parts.process('anna');
    await using part = await parts.open(await parts.create(), user);
    await part.enable();
    const bytes = new Uint8Array(copy(part).buffer);
    for (let at = 0; at < 56; at += 8) part.file.write(BAR2, PAGE + at, bytes.slice(at, at + 8));
    await parts.settle();
    expect(user.status()).toBe(0);
    part.file.write(BAR2, PAGE + 56, bytes.slice(56));
    await parts.settle();
    expect([user.status(), take(part.completions)]).toEqual([DSA.STATUS.success, 1]);
    const out = new Uint8Array(8);
    part.file.read(BAR2, PAGE, out);
    expect([...out]).toEqual(new Array(8).fill(0xff));
  });

  test.each([1, 33, 64])('has the %i engines of its queue', async (engines) => {
    await using parts = await Parts.start(['dedicated'], { profile: { engines } });
    const { bench } = parts;
    await bench.unbind('dsa0');
    for (let i = 0; i < engines; i++) await bench.write(`engine0.${i}`, 'group_id', 0);
    await bench.configure(0, settingsOf('dedicated'));
    await bench.bind('dsa0');
    await bench.bind('wq0.0', 'mdev');
    await using part = await parts.open(await parts.create(), parts.process('anna'));
    const word = (at: number): number => part.read(regAt(DSA.CMDCAP, 1, at - DSA.CMDCAP.offset));
    const all = 2n ** BigInt(engines) - 1n;
    expect([word(0x38), word(0x420), word(0x424)]).toEqual([engines, Number(all & 0xffff_ffffn), Number(all >> 32n)]);
  });
});
