import { describe, expect, test } from 'vitest';
import {
  type CharDevice,
  CharDevices,
  type CharFile,
  CharNode,
  type CharOperations,
  type FileDevice,
  type FileOperations,
  POLL,
  type Task,
  capable,
} from '../../../core/class/index.js';
import { Bus, Device, DeviceCore, type Driver } from '../../../core/device/index.js';
import { VirtualClock } from '../../../core/hal/index.js';
import { Errno } from '../../../core/lib/index.js';
import { BufferWindow } from '../../../core/testing/index.js';

const task = (name = 'app', capabilities?: string[]): Task => ({ name, mm: {}, ...(capabilities && { capabilities }) });

/** What happened, in order. */
interface Log {
  readonly lines: string[];
}

/** A core with one device whose driver shows the character device `char/d0`. */
function fixture(operations: Partial<CharOperations> | FileOperations = {}, more: Partial<Driver> = {}) {
  const core = new DeviceCore({ clock: new VirtualClock({ mode: 'manual' }) });
  const bus = new Bus('test');
  core.registerBus(bus);
  const log: Log = { lines: [] };
  const files: FileDevice[] = [];
  const own = 'open' in operations ? (operations as CharOperations) : undefined;
  const opens: CharOperations = own ?? {
    open: (file, by) => {
      files.push(file);
      file.devres.defer('close', () => void log.lines.push(`close ${by.name}`));
      return operations as FileOperations;
    },
  };
  const driver: Driver = {
    name: 'chars',
    probe: (dev) => {
      dev.devres.defer('ledger', () => void log.lines.push('ledger'));
      return dev.publish(CharDevices, new CharNode(dev, opens), `char/${dev.name}`);
    },
    remove: () => void log.lines.push('remove'),
    ...more,
  };
  void core.registerDriver(bus, driver);
  const dev = new Device({ name: 'd0', bus, release: () => {} });
  void core.add(dev);
  const node = (): CharDevice => CharDevices.get(core, 'char/d0');
  const open = (by: Task = task()): CharFile => node().open(by) as CharFile;
  const unbind = (): unknown => core.unbind(dev);
  return { core, dev, log, files, node, open, unbind };
}

describe('a character device', () => {
  test('opens into a file whose operations are its driver’s, with the task that calls', () => {
    const seen: string[] = [];
    const { open } = fixture({
      read: (by, buffer) => (seen.push(`read ${by.name}`), buffer.fill(7), buffer.length),
      write: (by, data) => (seen.push(`write ${by.name}`), data.length - 1),
    });
    const file = open(task('one'));
    const buffer = new Uint8Array(4);
    expect([file.read(buffer), file.write(buffer), buffer[3]]).toEqual([4, 3, 7]);
    expect(seen).toEqual(['read one', 'write one']);
  });

  test('is in a directory by its name, and an open file is a device below the one that was opened', () => {
    const { core, dev, open } = fixture();
    expect(CharDevices.list(core).map(([name]) => name)).toEqual(['char/d0']);
    expect(dev.children.map((child) => child.path)).toEqual(['/devices/d0/char/char!d0']);
    const first = open();
    const second = open();
    expect([first, second].map((file) => file.device.path)).toEqual(['/devices/d0/file0', '/devices/d0/file1']);
    void first.close();
    expect(dev.children.map((child) => child.name)).toEqual(['char!d0', 'file1']);
    expect(open().device.name).toBe('file0');
  });

  test('what a file cannot do is EINVAL, and ENODEV for a mapping; it is always ready', () => {
    const file = fixture({}).open();
    expect(() => file.read(new Uint8Array(1))).toThrow('EINVAL: d0: file0: cannot be read');
    expect(() => file.write(new Uint8Array(1))).toThrow('EINVAL: d0: file0: cannot be written');
    expect(() => file.mmap({ sizeBytes: 1 })).toThrow('ENODEV: d0: file0: cannot be mapped');
    expect(file.poll()).toBe(POLL.IN | POLL.OUT | POLL.RDNORM | POLL.WRNORM);
  });

  test('an open that fails leaves nothing behind, and its number is free', () => {
    let isBroken = true;
    const log: string[] = [];
    const { dev, node, open } = fixture({
      open: (file) => {
        file.devres.defer('half', () => void log.push('half'));
        if (isBroken) throw new Errno('EBUSY', 'd0: has a user');
        return {};
      },
    });
    expect(() => node().open(task())).toThrow('EBUSY: d0: has a user');
    expect([log, dev.children.length]).toEqual([['half'], 1]);
    isBroken = false;
    expect(open().device.name).toBe('file0');
  });

  test('an open that fails, and whose undoing fails, throws both', () => {
    const { node } = fixture({
      open: (file) => {
        file.devres.defer('half', () => {
          throw new Errno('EIO', 'd0: stuck');
        });
        throw new Errno('EBUSY', 'd0: has a user');
      },
    });
    expect(() => node().open(task())).toThrow('EBUSY: d0: has a user (and 1 more: giving back what file0 had acquired)');
  });

  test('what is no task is EINVAL', () => {
    const { node } = fixture();
    const none = { name: 'ghost', mm: undefined } as never;
    expect(() => node().open(none)).toThrow('EINVAL: d0: ghost is no task that can open it');
  });

  test('close gives everything back, last first, once; afterwards all is EBADF', () => {
    const { open, log, files, unbind } = fixture({ poll: () => 0 });
    const file = open();
    files[0]!.devres.defer('later', () => void log.lines.push('later'));
    void file.close();
    void file.close();
    expect(log.lines).toEqual(['later', 'close app']);
    expect(() => file.poll()).toThrow('EBADF: file0: was closed by app');
    void unbind();
    expect(log.lines).toEqual(['later', 'close app', 'remove', 'ledger']);
  });

  test('close waits for what is asynchronous', async () => {
    const order: string[] = [];
    const { node } = fixture({
      open: async (file) => {
        await Promise.resolve();
        file.devres.defer('drain', async () => {
          await Promise.resolve();
          order.push('drained');
        });
        return {};
      },
    });
    const file = await node().open(task());
    const closing = file.close();
    expect(order).toEqual([]);
    await closing;
    expect(order).toEqual(['drained']);
  });

  test('a file that two tasks have is closed when both have closed it, and each calls in its own name', () => {
    const { open, log } = fixture({ read: (by) => (by.name === 'child' ? 1 : 2) });
    const file = open(task('parent'));
    const shared = file.share(task('child'));
    expect([file.read(new Uint8Array(1)), shared.read(new Uint8Array(1))]).toEqual([2, 1]);
    void file.close();
    expect([log.lines, shared.read(new Uint8Array(1))]).toEqual([[], 1]);
    void shared.close();
    expect(log.lines).toEqual(['close parent']);
  });
});

describe('an open file of a device that goes', () => {
  test('survives it: all that it does is ENODEV, and it is closed once, before remove', async () => {
    const { open, log, unbind } = fixture({ read: () => 1, poll: () => 0 });
    const file = open();
    void unbind();
    expect(log.lines).toEqual(['close app', 'remove', 'ledger']);
    const gone = 'ENODEV: d0: file0: is gone';
    expect(() => file.read(new Uint8Array(1))).toThrow(gone);
    expect(() => file.write(new Uint8Array(1))).toThrow(gone);
    expect(() => file.mmap({ sizeBytes: 4096 })).toThrow(gone);
    expect(() => file.poll()).toThrow(gone);
    await expect(file.wait()).rejects.toThrow(gone);
    await file.close();
    expect(log.lines).toEqual(['close app', 'remove', 'ledger']);
  });

  test('wakes those who wait with ENODEV', async () => {
    const { open, unbind } = fixture({ poll: () => 0 });
    const waiting = open().wait();
    void unbind();
    await expect(waiting).rejects.toThrow('ENODEV: d0: file0: is gone');
  });

  test('files close last first, and the device bound again knows nothing of the old ones', () => {
    const { core, dev, open, log, unbind } = fixture({ poll: () => 0 });
    const old = open(task('a'));
    open(task('b'));
    void unbind();
    expect(log.lines.slice(0, 2)).toEqual(['close b', 'close a']);
    void core.attach(dev);
    const fresh = open(task('c'));
    expect(fresh.poll()).toBe(0);
    expect(() => old.poll()).toThrow('ENODEV');
    void old.close();
    expect(fresh.poll()).toBe(0);
  });

  test('while it is being opened: the open is ENODEV, and what it acquires later is not', async () => {
    const order: string[] = [];
    let go = (): void => {};
    const { node, unbind } = fixture(
      {
        open: async (file) => {
          file.devres.defer('early', () => void order.push('early'));
          await new Promise<void>((resolve) => (go = resolve));
          order.push('went on');
          file.devres.defer('late', () => void order.push('late'));
          return {};
        },
      },
      { remove: () => void order.push('remove') },
    );
    const opening = node().open(task());
    const unbound = unbind();
    go();
    await expect(opening).rejects.toThrow('ENODEV: char/d0: is gone');
    await unbound;
    // `late` is refused, since the device is going, and what was to undo it runs at once.
    expect(order).toEqual(['went on', 'late', 'early', 'remove']);
  });

  test('that fails to close does not stop the others, nor the unbind', async () => {
    const { core, dev, open, files, log, unbind } = fixture({ poll: () => 0 });
    open(task('a'));
    open(task('b'));
    files[1]!.devres.defer('stuck', () => {
      throw new Errno('EIO', 'd0: stuck');
    });
    await expect((async () => unbind())()).rejects.toThrow('EIO: d0: stuck');
    expect(log.lines).toEqual(['close b', 'close a', 'remove', 'ledger']);
    expect([dev.bound, CharDevices.list(core)]).toEqual([false, []]);
  });
});

describe('waiting for a file', () => {
  test('ends when poll says one of the events, and not for others', async () => {
    let now = 0;
    const { open, files } = fixture({ poll: () => now });
    const waiting = open().wait(POLL.IN);
    let result: number | undefined;
    void waiting.then((events) => (result = events));
    now = POLL.OUT;
    files[0]!.wake();
    await Promise.resolve();
    await Promise.resolve();
    expect(result).toBeUndefined();
    now = POLL.IN | POLL.OUT;
    files[0]!.wake();
    expect(await waiting).toBe(POLL.IN);
  });

  test('ends at once when poll says so already, and for an error that nobody asked for', async () => {
    const { open } = fixture({ poll: () => POLL.ERR });
    expect(await open().wait(POLL.IN)).toBe(POLL.ERR);
  });

  test('a close wakes those who wait', async () => {
    const file = fixture({ poll: () => 0 }).open();
    const waiting = file.wait();
    void file.close();
    await expect(waiting).rejects.toThrow('ENODEV');
  });
});

describe('a mapping', () => {
  const mapped = (): ReturnType<typeof fixture> & { window: BufferWindow } => {
    const window = new BufferWindow(64);
    return { window, ...fixture({ mmap: () => window }) };
  };

  test('is the device, until the file is closed', () => {
    const { open, window } = mapped();
    const file = open();
    const mapping = file.mmap({ sizeBytes: 4096 });
    mapping.write32(8, 5);
    expect([window.read32(8), mapping.read32(8)]).toEqual([5, 5]);
    void file.close();
    expect(() => mapping.write32(8, 6)).toThrow('ENODEV: d0: mapping of file0');
    expect(window.read32(8)).toBe(5);
  });

  test('ends alone with munmap, once', () => {
    const file = mapped().open();
    const [first, second] = [file.mmap({ sizeBytes: 4096 }), file.mmap({ sizeBytes: 4096 })];
    file.munmap(first);
    expect(() => first.write32(8, 6)).toThrow('ENODEV: d0: mapping of file0');
    expect(second.read32(0)).toBe(0);
    expect(() => file.munmap(first)).toThrow('EINVAL: d0: file0: cannot unmap what it has not mapped');
    expect(() => mapped().open().munmap(second)).toThrow('EINVAL');
  });

  test('ends with the device before remove runs', () => {
    const { open, unbind } = mapped();
    const mapping = open().mmap({ sizeBytes: 4096 });
    void unbind();
    expect(() => mapping.read32(0)).toThrow('ENODEV');
  });

  test.each([0, -1, 1.5, NaN])('of %s bytes is EINVAL', (sizeBytes) => {
    expect(() => mapped().open().mmap({ sizeBytes })).toThrow('EINVAL: d0: file0: mapping of');
  });
});

test('capable goes by the capabilities that a task has', () => {
  expect([capable(task('root', ['CAP_SYS_RAWIO']), 'CAP_SYS_RAWIO'), capable(task(), 'CAP_SYS_RAWIO')]).toEqual([true, false]);
});
