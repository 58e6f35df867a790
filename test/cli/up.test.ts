import { existsSync, lstatSync, readdirSync } from 'node:fs';
import { createConnection } from 'node:net';
import { describe, expect, test, vi } from 'vitest';
import { Project, Up, ended, written } from './fixture.js';

// Each of them starts several processes, on machines that may be busy.
vi.setConfig({ testTimeout: 60_000 });

describe('up', () => {
  test('keeps a system that other calls act on, in a directory of its owner alone', async () => {
    using project = new Project();
    await using up = await Up.start(project);
    expect(lstatSync(`${project.runtime}/backplane`).mode & 0o777).toBe(0o700);
    expect(lstatSync(project.socket).mode & 0o777).toBe(0o600);
    expect((await project.run(['unbind', '0000:00:04.0'])).out).toBe('0000:00:04.0: unbound from edu\n');
    expect((await project.run(['unbind', '0000:00:04.0'])).code).toBe(1);
    expect((await project.run(['hotplug', '00:05.0', 'edu'])).code).toBe(0);
    expect((await project.run(['tree'])).out).toContain('0000:00:05.0  pci  -> edu');
    expect((await project.run(['shell'], 'bind 0000:00:04.0\n')).out).toBe('0000:00:04.0: bound to edu\n');
    expect((await project.run(['--one-shot', 'lspci', '-n'])).out).toBe('00:04.0 00ff: 1234:11e8 (rev 10)\n');
    expect(await up.stop()).toBe(0);
    expect(readdirSync(project.runtime)).toEqual([]);
  });
  test.each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)('ends by %s with its system, socket and directory', async (signal) => {
    using project = new Project();
    await using up = await Up.start(project);
    expect(await up.stop(signal)).toBe(0);
    expect(readdirSync(project.runtime)).toEqual([]);
  });
  test('refuses to be there twice, and takes the place of one that was killed', async () => {
    using project = new Project();
    await using first = await Up.start(project);
    expect(await project.run(['up'])).toMatchObject({ code: 1, err: expect.stringContaining('EADDRINUSE: ') });
    expect((await project.run(['tree'])).code).toBe(0);
    await first.stop('SIGKILL');
    expect(existsSync(project.socket)).toBe(true);
    await using second = await Up.start(project);
    expect((await project.run(['tree'])).code).toBe(0);
    expect(await second.stop()).toBe(0);
  });
  test('has instances by --socket, which calls must name', async () => {
    using project = new Project();
    const socket = `${project.runtime}/own.sock`;
    await using up = await Up.start(project, ['--socket', socket, '--device', 'edu@00:0a.0']);
    expect((await project.run(['lspci', '-n', '--socket', socket])).out).toBe('00:0a.0 00ff: 1234:11e8 (rev 10)\n');
    expect((await project.run(['lspci', '-n'])).out).toBe('00:04.0 00ff: 1234:11e8 (rev 10)\n');
    expect(await project.run(['lspci', '--socket', socket, '--seed', '2'])).toMatchObject({ code: 2 });
    expect(await up.stop()).toBe(0);
    expect(await project.run(['lspci', '--socket', socket])).toMatchObject({
      code: 1,
      err: expect.stringContaining(`ECONNREFUSED: ${socket}: nobody listens: start 'backplane up --socket ${socket}'`),
    });
  });
  test('outlives a caller that talks garbage, and one that says nothing', async () => {
    using project = new Project();
    await using up = await Up.start(project);
    const silent = createConnection(project.socket);
    const rude = createConnection(project.socket);
    rude.end('\0garbage\n');
    await new Promise((resolve) => rude.resume().once('close', resolve));
    expect((await project.run(['tree'])).code).toBe(0);
    expect(await up.stop()).toBe(0);
    silent.destroy();
  });
  test('serves calls at the same time', async () => {
    using project = new Project();
    await using up = await Up.start(project);
    const calls = Array.from({ length: 4 }, () => project.run(['elapse', '10']));
    const times = (await Promise.all(calls)).map(({ out }) => out);
    expect(times.sort()).toEqual(['now 10 us\n', 'now 20 us\n', 'now 30 us\n', 'now 40 us\n']);
    expect(await up.stop()).toBe(0);
  });
  test('lets interrupts be watched while time passes', async () => {
    using project = new Project();
    await using up = await Up.start(project, ['--device', 'timer', '--plugin', 'timer']);
    expect((await project.run(['interrupts'])).out).toContain('IR-IMS-0000:00:04.0    0-edge      timer0\n');
    const { code, out } = await project.run(['irqtop', '-n', '2', '-d', '1', '--json']);
    const looks = out
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as unknown);
    expect({ code, looks }).toEqual({ code: 0, looks: [expect.objectContaining({ nowUs: 0, delta: 0 }), expect.anything()] });
    const watch = project.start(['irqtop']);
    const watched = ended(watch);
    await written(watch, 'irqtop | now 0 us');
    expect((await project.run(['elapse', '10'])).code).toBe(0);
    watch.kill('SIGINT');
    expect(await watched).toMatchObject({ code: 130, err: '' });
    expect(await up.stop()).toBe(0);
  });
  test('shows the log as it grows, until the caller is interrupted or the system ends', async () => {
    using project = new Project();
    await using up = await Up.start(project);
    const [first, second] = [project.start(['dmesg', '-w']), project.start(['dmesg', '-w'])];
    const results = [ended(first), ended(second)];
    const seen = [written(first, 'is gone'), written(second, 'is gone')];
    await project.run(['yank', '0000:00:04.0']);
    await Promise.all(seen);
    first.kill('SIGINT');
    expect(await results[0]).toMatchObject({ code: 130, err: '' });
    expect(await up.stop()).toBe(0);
    expect(await results[1]).toMatchObject({ code: 0, err: '' });
  });
  test("loads plugins from the caller's folder, and again from a file that has changed", async () => {
    const plugin = (text: string): string => `
      import { PciDriver, Plugin, pciId, type PciDevice } from 'backplane';
      const driver = { name: 'mine', ids: [pciId(0x1234, 0x11e8)], probe: (dev: PciDevice) => dev.log('info', '${text}') };
      export default new Plugin('mine', ({ bind }) => { bind(PciDriver).toConstantValue(driver); });`;
    using project = new Project({ 'mine.ts': plugin('old') });
    await using up = await Up.start(project, ['--device', 'edu']);
    expect(await project.run(['load', './mine.ts'])).toMatchObject({ out: 'plugin mine: loaded\n', err: '' });
    project.write('mine.ts', plugin('new'));
    expect((await project.run(['reload', 'mine'])).out).toBe('plugin mine: reloaded\n');
    expect((await project.run(['reload', '--fresh', 'mine'])).out).toContain('the old module stays in memory');
    const { out } = await project.run(['dmesg']);
    expect(out.match(/: (old|new)$/gm)).toEqual([': old', ': old', ': new']);
    expect(await up.stop()).toBe(0);
  });
  test('ends with exit code 1 when something is left, which it names', async () => {
    using project = new Project({
      'leaky.js': `
        import { Device, PciDriver, Plugin, pciId } from 'backplane';
        const probe = (dev) => void dev.core.add(new Device({ name: 'orphan', release: () => {} }).get());
        const driver = { name: 'leaky', ids: [pciId(0x1234, 0x11e8)], probe };
        export default new Plugin('leaky', ({ bind }) => { bind(PciDriver).toConstantValue(driver); });`,
    });
    const child = project.start(['up', '--device', 'edu', '--plugin', './leaky.js']);
    const result = ended(child);
    await written(child, 'listening');
    child.kill('SIGTERM');
    expect(await result).toMatchObject({ code: 1, err: expect.stringContaining('left over at the end: device orphan') });
    expect(readdirSync(project.runtime)).toEqual([]);
  });
});
