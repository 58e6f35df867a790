import { describe, expect, test } from 'vitest';
import { CharDevices, type CharFile, CharNode, Ioctl, IoctlTable, type Task } from '../../../core/class/index.js';
import { Bus, Device, DeviceCore, type Driver } from '../../../core/device/index.js';
import { VirtualClock } from '../../../core/hal/index.js';

const ADD = new Ioctl<{ readonly a: number; readonly b: number }, number>('ADD');
const WHO = new Ioctl<undefined, string>('WHO');
const LATER = new Ioctl<undefined, string>('LATER');
/** Another one of the same name. */
const OTHER_ADD = new Ioctl<undefined, void>('ADD');

const task: Task = { name: 'app', mm: {} };

/** An open file of a device whose driver knows these calls. */
function opened(ioctls?: IoctlTable): { readonly file: CharFile; readonly unbind: () => unknown } {
  const core = new DeviceCore({ clock: new VirtualClock({ mode: 'manual' }) });
  const bus = new Bus('test');
  core.registerBus(bus);
  const driver: Driver = {
    name: 'chars',
    probe: (dev) => dev.publish(CharDevices, new CharNode(dev, { open: () => ({ ...(ioctls && { ioctls }) }) }), 'd0'),
  };
  void core.registerDriver(bus, driver);
  const dev = new Device({ name: 'd0', bus, release: () => {} });
  void core.add(dev);
  return { file: CharDevices.get(core, 'd0').open(task) as CharFile, unbind: () => core.unbind(dev) };
}

const table = (): IoctlTable =>
  new IoctlTable()
    .on(ADD, (_task, { a, b }) => a + b)
    .on(WHO, ({ name }) => name)
    .on(LATER, () => new Promise<string>(() => {}));

describe('calls of a driver', () => {
  test('come with what is given, and the task; what they give comes back', () => {
    const { file } = opened(table());
    expect([file.ioctl(ADD, { a: 2, b: 3 }), file.ioctl(WHO, undefined)]).toEqual([5, 'app']);
  });

  test('are known by themselves, not by their names: others are ENOTTY', () => {
    const { file } = opened(table());
    expect(() => file.ioctl(OTHER_ADD, undefined)).toThrow('ENOTTY: d0: file0: its driver has no ADD');
    expect(() => opened().file.ioctl(WHO, undefined)).toThrow('ENOTTY: d0: file0: its driver has no WHO');
  });

  test('are set once', () => {
    expect(() => table().on(ADD, () => 0)).toThrow('EEXIST: call ADD: is in the table already');
  });

  test('end with the device: who waits gets ENODEV; and with the file: EBADF', async () => {
    const { file, unbind } = opened(table());
    const waiting = Promise.resolve(file.ioctl(LATER, undefined)).catch(String);
    void unbind();
    expect(await waiting).toBe('Errno: ENODEV: d0: file0: is gone');
    await expect(async () => file.ioctl(WHO, undefined)).rejects.toThrow('ENODEV: d0: file0: is gone');
    void file.close();
    expect(() => file.ioctl(WHO, undefined)).toThrow(/^EBADF/);
  });
});
