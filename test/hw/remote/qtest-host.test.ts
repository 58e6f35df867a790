import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { Errno } from '../../../core/lib/errno.js';
import { Log } from '../../../core/lib/log.js';
import { QtestHost } from '../../../hw/remote/qtest.js';
import * as EDU from '../../../hw/regs/edu.js';
import { describeQemus } from '../../helpers/qemu.js';
import { TempDir } from '../../helpers/temp-dir.js';
import { EDU_DEVFN, LIMIT_US, started, startedEdu } from './fixture.js';

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

afterEach(() => {
  vi.unstubAllEnvs();
});

describeQemus('QtestHost', (qemu) => {
  test('bus 0 holds what the command line put there', async () => {
    await using host = await started({ ...qemu.options, devices: ['edu,addr=4', 'nvme,serial=1,addr=5'] });
    const root = host.pci[0]!;
    const present = Array.from({ length: 32 }, (_, slot) => slot).filter(
      (slot) => root.config(0, slot << 3).read16(0) !== 0xffff,
    );
    expect(present).toEqual([0, 4, 5, 31]);
    const edu = root.config(0, EDU_DEVFN);
    expect(edu.sizeBytes).toBe(4096);
    expect([edu.read16(0), edu.read16(2)]).toEqual([EDU.EDU_VENDOR, EDU.EDU_DEVICE]);
    expect([edu.read8(0), edu.read32(0)]).toEqual([0x34, 0x11e8_1234]);
    expect(root.config(7, 0).read32(0)).toBe(0xffff_ffff);
  });

  test('an edu computes, answers by exact widths, and reads ones outside its BAR', async () => {
    await using edu = await startedEdu(qemu.options);
    expect(edu.barBytes).toBe(EDU.BAR_BYTES);
    expect(edu.regs.read(EDU.IDENT)).toBe(0x0100_00ed);
    edu.regs.write(EDU.LIVENESS, 0x1234_5678);
    expect(edu.regs.read(EDU.LIVENESS)).toBe(0xedcb_a987);
    edu.regs.write(EDU.FACTORIAL, 12);
    await edu.host.clock.poll(() => edu.regs.readField(EDU.STATUS, EDU.STATUS.fields.computing) === 0, { timeoutUs: LIMIT_US });
    expect(edu.regs.read(EDU.FACTORIAL)).toBe(479_001_600);
    expect(edu.regs.read32(EDU.BAR_BYTES)).toBe(0xffff_ffff);
    expect(edu.regs.read32(-4)).toBe(0xffff_ffff);
  });

  test('a 64-bit register keeps both words', async () => {
    await using edu = await startedEdu(qemu.options);
    edu.regs.write64(EDU.DMA_SOURCE.offset, 0x8000_0001, 0xfedc_ba98);
    const words = new Uint32Array(2);
    edu.regs.read64(EDU.DMA_SOURCE.offset, words);
    expect([...words]).toEqual([0x8000_0001, 0xfedc_ba98]);
  });

  test('DMA goes both ways through shared memory', async () => {
    await using edu = await startedEdu(qemu.options);
    const { dma, clock } = edu.host;
    const transfer = async (source: number, dest: number, direction: number): Promise<void> => {
      edu.regs.write(EDU.DMA_SOURCE, source);
      edu.regs.write(EDU.DMA_DEST, dest);
      edu.regs.write(EDU.DMA_COUNT, 256);
      edu.regs.write(EDU.DMA_COMMAND, { start: 1, direction });
      const done = () => edu.regs.readField(EDU.DMA_COMMAND, EDU.DMA_COMMAND.fields.start) === 0;
      await clock.poll(done, { timeoutUs: LIMIT_US, intervalUs: 1000 });
    };
    const from = dma.alloc(256, { mask: EDU.DMA_MASK });
    const to = dma.alloc(256, { mask: EDU.DMA_MASK });
    const bytes = Uint8Array.from({ length: 256 }, (_, i) => i);
    dma.write(from, bytes, 0, 256);
    await transfer(from, EDU.BUFFER_BASE, EDU.TO_DEVICE);
    await transfer(EDU.BUFFER_BASE, to, EDU.FROM_DEVICE);
    const back = new Uint8Array(256);
    dma.read(to, back, 0, 256);
    expect(back).toEqual(bytes);
  });

  test('INTx is heard as a line of the I/O APIC that goes up, and down at the acknowledge', async () => {
    await using edu = await startedEdu(qemu.options);
    const heard: [number, boolean][] = [];
    edu.host.irqLines.on((line, raised) => heard.push([line, raised]));
    edu.regs.write(EDU.IRQ_RAISE, 0x10);
    edu.regs.write(EDU.IRQ_ACK, edu.regs.read(EDU.IRQ_STATUS));
    edu.regs.read(EDU.IRQ_STATUS);
    // The machine's own timer drives a lower line, where time is real.
    const line = heard.find(([other]) => other >= 16)?.[0];
    expect(line).toBeDefined();
    expect(heard.filter(([other]) => other === line)).toEqual([
      [line, true],
      [line, false],
    ]);
  });

  test('a pc reaches 256 bytes of configuration space through its ports, aligned', async () => {
    await using host = await started({ ...qemu.options, machine: 'pc', devices: ['edu,addr=4'] });
    const config = host.pci[0]!.config(0, EDU_DEVFN);
    expect(config.sizeBytes).toBe(256);
    expect([config.read32(0), config.read16(2), config.read8(3)]).toEqual([0x11e8_1234, 0x11e8, 0x11]);
    config.write8(0x3c, 0x5a);
    expect(config.read32(0x3c) & 0xff).toBe(0x5a);
    expect([config.read32(2), config.read16(0x100)]).toEqual([0xffff_ffff, 0xffff]);
  });

  test('I/O space is read and written by width', async () => {
    await using host = await started(qemu.options);
    const ports = host.pci[0]!.map('io', 0xcf8, 8);
    ports.write32(0, 0x8000_0000);
    expect(ports.read32(0)).toBe(0x8000_0000);
    expect([ports.read32(4) & 0xffff, ports.read16(4), ports.read8(4)]).toEqual([0x8086, 0x8086, 0x86]);
    expect(ports.read8(8)).toBe(0xff);
  });

  test('two hosts do not see each other', async () => {
    await using one = await startedEdu(qemu.options);
    await using two = await startedEdu(qemu.options);
    one.regs.write(EDU.LIVENESS, 1);
    two.regs.write(EDU.LIVENESS, 2);
    expect([one.regs.read(EDU.LIVENESS), two.regs.read(EDU.LIVENESS)]).toEqual([0xffff_fffe, 0xffff_fffd]);
    const address = one.host.dma.alloc(4, { mask: 0xffff_ffff });
    one.host.dma.write32(address, 0xdead_beef);
    expect(two.host.dma.alloc(4, { mask: 0xffff_ffff })).toBe(address);
    expect(two.host.dma.read32(address)).toBe(0);
  });

  test('a QEMU that dies gives EIO with how it ended, on this access and all later ones, and the host stops', async () => {
    using temp = new TempDir();
    vi.stubEnv('TMPDIR', temp.path);
    const edu = await startedEdu(qemu.options);
    process.kill(edu.host.pid!, 'SIGKILL');
    expect(() => {
      for (;;) edu.regs.read(EDU.IDENT);
    }).toThrow('EIO: qemu: killed by signal 9');
    expect(() => edu.config.read8(0)).toThrow('EIO: qemu: killed by signal 9');
    await edu.host.stop();
    expect(() => edu.config.read8(0)).toThrow('EIO: qemu: not running: the host was stopped');
    expect(temp.names).toEqual([]);
  });

  test('a QEMU that falls silent is killed and named', async () => {
    await using edu = await startedEdu({ ...qemu.options, replyTimeoutMs: 200 });
    process.kill(edu.host.pid!, 'SIGSTOP');
    expect(() => edu.regs.read(EDU.IDENT)).toThrow(
      "EIO: qemu: silent for 200 ms after 'readl 0xe0000000', so killed by signal 9",
    );
  });

  test('stop leaves neither process nor folder, twice', async () => {
    using temp = new TempDir();
    vi.stubEnv('TMPDIR', temp.path);
    const host = await started(qemu.options);
    const pid = host.pid!;
    await Promise.all([host.stop(), host.stop()]);
    await host.stop();
    expect(isAlive(pid)).toBe(false);
    expect(temp.names).toEqual([]);
    await expect(host.start(new Log())).rejects.toThrow('EBUSY: qtest: started before');
  });

  test('a start that fails says why in the words of QEMU, and leaves nothing', async () => {
    using temp = new TempDir();
    vi.stubEnv('TMPDIR', temp.path);
    const host = new QtestHost({ ...qemu.options, devices: ['flux-capacitor'] });
    await expect(host.start(new Log())).rejects.toThrow(/^EIO: qemu: exited with status 1: .*'flux-capacitor'/);
    expect(temp.names).toEqual([]);
    expect(host.pid).toBeUndefined();
  });

  test('stop during the start ends it', async () => {
    using temp = new TempDir();
    vi.stubEnv('TMPDIR', temp.path);
    const host = new QtestHost(qemu.options);
    const start = host.start(new Log());
    const stop = host.stop();
    await expect(start).rejects.toThrow('ECANCELED: qtest: stopped during its start');
    await stop;
    expect(temp.names).toEqual([]);
  });

  test('nothing is left when our own process is killed', { timeout: 30_000 }, async () => {
    using temp = new TempDir();
    const program = fileURLToPath(new URL('./hold-qemu.ts', import.meta.url));
    const child = spawn(process.execPath, ['--import', '@oxc-node/core/register', program, String(qemu.options.qemu)], {
      env: { ...process.env, TMPDIR: temp.path },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [line] = (await once(child.stdout, 'data')) as [Buffer];
    const pid = Number(line.toString());
    expect(isAlive(pid)).toBe(true);
    child.kill('SIGKILL');
    await vi.waitFor(() => expect([isAlive(pid), temp.names]).toEqual([false, []]), { timeout: 20_000 });
  });

  test('accel=tcg gives real time', async () => {
    await using host = await started({ ...qemu.options, accel: 'tcg' });
    expect(host.capabilities).toEqual({ time: 'real', hotplug: false });
    expect(host.clock.relax()).toBe(true);
    await host.clock.sleep(1);
    expect(host.clock.now()).toBeGreaterThan(0);
  });
});

describeQemus(
  'QtestHost with real time',
  (qemu) => {
    test('accel=qtest is refused by name where it is missing', async () => {
      const host = new QtestHost({ ...qemu.options, accel: 'qtest' });
      await expect(host.start(new Log())).rejects.toThrow(/EIO: qemu: exited with status 1: .*invalid accelerator qtest/);
    });
  },
  'real',
);

describeQemus(
  'QtestHost with virtual time',
  (qemu) => {
    test('sleeping moves QEMU by the same amount, and nothing else moves it', async () => {
      await using edu = await startedEdu(qemu.options);
      const { clock, capabilities } = edu.host;
      expect(capabilities.time).toBe('virtual');
      edu.regs.write(EDU.DMA_SOURCE, edu.host.dma.alloc(8, { mask: EDU.DMA_MASK }));
      edu.regs.write(EDU.DMA_DEST, EDU.BUFFER_BASE);
      edu.regs.write(EDU.DMA_COUNT, 8);
      edu.regs.write(EDU.DMA_COMMAND, { start: 1, direction: EDU.TO_DEVICE });
      const pending = () => edu.regs.readField(EDU.DMA_COMMAND, EDU.DMA_COMMAND.fields.start);
      await clock.sleep(EDU.DMA_TIME_US - 2);
      expect([clock.now(), pending()]).toEqual([EDU.DMA_TIME_US - 2, 1]);
      await clock.sleep(4);
      expect([clock.now(), pending()]).toEqual([EDU.DMA_TIME_US + 2, 0]);
    });

    test('relax brings a busy-waiting driver to the end of a transfer', async () => {
      await using edu = await startedEdu(qemu.options);
      edu.regs.write(EDU.DMA_COUNT, 8);
      edu.regs.write(EDU.DMA_DEST, EDU.BUFFER_BASE);
      edu.regs.write(EDU.DMA_COMMAND, { start: 1, direction: EDU.TO_DEVICE });
      while (edu.regs.readField(EDU.DMA_COMMAND, EDU.DMA_COMMAND.fields.start) === 1) edu.host.clock.relax();
      expect(edu.host.clock.now()).toBe(EDU.DMA_TIME_US);
    });

    test('an interrupt on a long way opens a window there, not at its end', async () => {
      await using edu = await startedEdu(qemu.options);
      const { clock, irqLines } = edu.host;
      let raised = false;
      const seen: number[] = [];
      irqLines.on((line, up) => {
        raised ||= up && line >= 16;
      });
      clock.onEvent(() => {
        if (raised) seen.push(clock.now());
      });
      edu.regs.write(EDU.DMA_COUNT, 8);
      edu.regs.write(EDU.DMA_DEST, EDU.BUFFER_BASE);
      edu.regs.write(EDU.DMA_COMMAND, { start: 1, direction: EDU.TO_DEVICE, irq: 1 });
      await clock.sleep(1_000_000);
      expect(seen[0]).toBeGreaterThanOrEqual(EDU.DMA_TIME_US);
      expect(seen[0]).toBeLessThanOrEqual(EDU.DMA_TIME_US + 1000);
      expect(clock.now()).toBe(1_000_000);
    });
  },
  'virtual',
);

describe('QtestHost', () => {
  test('a missing binary is ENOENT with the remedy', async () => {
    const inPath = new QtestHost({ qemu: 'qemu-system-pdp11' });
    await expect(inPath.start(new Log())).rejects.toThrow(
      "ENOENT: qemu: qemu-system-pdp11 is not an executable file of PATH: install Debian's qemu-system-x86 or give a path",
    );
    const byPath = new QtestHost({ qemu: ['/nowhere/qemu'] });
    await expect(byPath.start(new Log())).rejects.toThrow('ENOENT: qemu: /nowhere/qemu is not an executable file: install');
  });

  test('a program that is no QEMU is ended at the limit, and leaves nothing', async () => {
    using temp = new TempDir();
    vi.stubEnv('TMPDIR', temp.path);
    const host = new QtestHost({ qemu: ['sh', '-c', 'exec sleep 1000'], startTimeoutMs: 50 });
    await expect(host.start(new Log())).rejects.toThrow('ETIMEDOUT: qemu: no answer within 50 ms of its start');
    expect(temp.names).toEqual([]);
  });

  test('before its start, every access is EIO and the clock stands at 0', () => {
    const host = new QtestHost();
    const root = host.pci[0]!;
    expect(() => root.config(0, 0).read32(0)).toThrow('EIO: qemu: not running: start the host first');
    expect(() => host.dma.alloc(4096, { mask: 0xffff_ffff })).toThrow('EIO: qtest: memory of a host that is not running');
    expect(host.clock.now()).toBe(0);
    expect(() => host.clock.after(1, () => {})).toThrow('EIO: qtest: the clock does not run yet');
  });

  test('stop without a start is nothing', async () => {
    await expect(new QtestHost().stop()).resolves.toBeUndefined();
  });

  test.each([
    [{ memoryMiB: 4 }, 'ERANGE'],
    [{ memoryMiB: 4096 }, 'ERANGE'],
    [{ replyTimeoutMs: 0 }, 'ERANGE'],
    [{ qemu: [] }, 'EINVAL'],
    [{ devices: [''] }, 'EINVAL'],
    [{ args: ['a\0b'] }, 'EINVAL'],
  ] as const)('the options %j are %s', (options, code) => {
    let thrown: unknown;
    try {
      thrown = new QtestHost(options);
    } catch (error) {
      thrown = error;
    }
    expect(Errno.is(thrown, code)).toBe(true);
  });

  test('a window that is no range of its space is EINVAL', () => {
    const root = new QtestHost().pci[0]!;
    expect(() => root.map('io', 0xfffc, 8)).toThrow('EINVAL: qtest: 8 bytes at 0xfffc are no range of io space');
    expect(() => root.map('mem', 0.5, 8)).toThrow('EINVAL');
    expect(() => root.config(256, 0)).toThrow('EINVAL: qtest: bus 256, function 0');
  });
});
