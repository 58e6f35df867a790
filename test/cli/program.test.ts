import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { describe, expect, test, vi } from 'vitest';
import { visible } from '../../cli/command.js';
import { COMMANDS } from '../../cli/table.js';
import { Project, ended, written } from './fixture.js';

// Each of them starts several processes, on machines that may be busy.
vi.setConfig({ testTimeout: 60_000 });

/** A plugin as a user writes it, with decorators. */
const PLUGIN = `
import { Dma, PciDriver, Plugin, inject, injectable, pciId, type PciDevice } from 'backplane';

@injectable()
class Blinker implements PciDriver<void> {
  readonly name = 'blinker';
  readonly ids = [pciId(0x1234, 0x11e8)];
  constructor(@inject(Dma) private readonly dma: Dma) {}
  probe(dev: PciDevice): void {
    dev.log('info', \`blinks with \${this.dma.constructor.name}\`);
  }
}
export default new Plugin('blinker', ({ bind }) => {
  bind(PciDriver).to(Blinker);
});
`;

/** A driver made of a probe. */
const driver = (name: string, probe: string): string => `
import { Command, PciDriver, Plugin, Errno, defer, pciId } from 'backplane';
const driver = { name: '${name}', ids: [pciId(0x1234, 0x11e8)], probe: (dev) => { ${probe} } };
export default new Plugin('${name}', ({ bind }) => {
  bind(PciDriver).toConstantValue(driver);
  bind(Command).toConstantValue({
    name: '${name}-say',
    summary: 'says something',
    usage: '<word>',
    run: (system, args, out) => {
      if (args[0] === undefined) throw new Errno('EINVAL', '${name}-say: no word');
      out.write(args.join(' ') + '\\n');
      return 3;
    },
  });
});
`;

describe('help', () => {
  test('of the program names every command, and loads neither the core nor the container', async () => {
    using project = new Project({
      'loaded.mjs': `
        import { register } from 'node:module';
        register('data:text/javascript,' + encodeURIComponent(\`
          export async function resolve(name, context, next) {
            const found = await next(name, context);
            process._rawDebug(found.url);
            return found;
          }\`));
      `,
    });
    for (const argv of [['--help'], ['--version'], ['completion'], ['lspci', '--help'], ['help', 'up']]) {
      const { code, out, err } = await ended(project.start(argv, ['--import', './loaded.mjs']));
      expect(code).toBe(0);
      expect(out).not.toBe('');
      expect(err).toContain('/dist/cli/app.js');
      expect(err).not.toMatch(/inversify|reflect-metadata|\/dist\/(core|plugins|hw|drivers)\//);
    }
  });
  test('is what the program prints without a command, as an error', async () => {
    using project = new Project();
    const { code, out, err } = await project.run([]);
    expect({ code, out }).toEqual({ code: 2, out: '' });
    for (const { name } of visible(COMMANDS)) expect(err).toContain(`\n  ${name} `);
  });
  test('is named when a command line is wrong', async () => {
    using project = new Project();
    expect(await project.run(['lspci', '--foo'])).toEqual({
      code: 2,
      out: '',
      err: "backplane lspci: unknown option --foo\nTry 'backplane lspci --help'.\n",
    });
    expect(await project.run(['--host', 'vax', 'tree'])).toMatchObject({
      code: 2,
      err: expect.stringContaining("--host is sim or qtest, got 'vax'"),
    });
    expect(await project.run(['frobnicate'])).toMatchObject({
      code: 2,
      err: expect.stringContaining('no such command; there are tree,'),
    });
  });
  test('completion for bash is a script that bash understands', async () => {
    using project = new Project();
    const { out } = await project.run(['completion']);
    const script = `${out}\nCOMP_WORDS=(backplane lspci --v); COMP_CWORD=2; _backplane; echo "\${COMPREPLY[@]}"`;
    expect(spawnSync('bash', ['-c', script], { encoding: 'utf8' })).toMatchObject({
      stdout: '--verbose --version\n',
      stderr: '',
    });
  });
});

describe('a command on a fresh system', () => {
  test('without a configuration finds one edu device, bound', async () => {
    using project = new Project();
    expect(await project.run(['lspci', '-nk'])).toEqual({
      code: 0,
      out: '00:04.0 00ff: 1234:11e8 (rev 10)\n\tSubsystem: 1af4:1100\n\tKernel driver in use: edu\n',
      err: '',
    });
    expect((await project.run(['drivers'])).out).toBe(
      'BUS   DRIVER       DEVICES\nfaux  faux_driver  -\npci   edu          0000:00:04.0\n',
    );
  });
  test('prints each result as one value of JSON when asked', async () => {
    using project = new Project();
    const at = '0000:00:04.0';
    const plugins: unknown[] = ['host-sim', 'core', 'edu'].map((name): unknown => expect.objectContaining({ name }));
    const expected: Readonly<Record<string, unknown>> = {
      lspci: [
        expect.objectContaining({
          name: at,
          vendorId: 0x1234,
          driver: 'edu',
          bars: [expect.objectContaining({ sizeBytes: 0x10_0000 })],
        }),
      ],
      'lspci -x': [expect.objectContaining({ config: expect.stringMatching(/^3412e811/) })],
      drivers: expect.arrayContaining([{ bus: 'pci', name: 'edu', devices: [at] }]),
      devices: expect.arrayContaining([{ name: 'edu0', subsystem: 'edu', path: `/devices/pci0000:00/${at}/edu/edu0` }]),
      [`tree ${at}`]: [
        expect.objectContaining({ name: at, driver: 'edu', children: [expect.objectContaining({ name: 'edu0' })] }),
      ],
      [`explain ${at}`]: expect.objectContaining({
        state: 'bound',
        drivers: [{ driver: 'edu', verdict: 'bound', text: 'is bound' }],
      }),
      plugins,
      'plugins --tree': plugins,
      deferred: [],
      [`attr ${at}`]: expect.arrayContaining([{ path: 'vendor', mode: 0o444 }]),
      [`attr ${at} vendor`]: '0x1234\n',
      'attr pci drivers_autoprobe': '1\n',
      'attr pci/edu': expect.arrayContaining([
        { path: 'bind', mode: 0o200 },
        { path: 'new_id', mode: 0o200 },
      ]),
      [`attr ${at} driver_override edu`]: { device: at, attribute: 'driver_override', value: 'edu' },
      [`unbind ${at}`]: { device: at, driver: 'edu' },
      [`bind ${at}`]: { device: at, driver: 'edu' },
      [`override ${at} x`]: { device: at, override: 'x' },
      'reload edu': { plugin: 'edu', loaded: true, fresh: false },
      'unload edu': { plugin: 'edu', loaded: false },
      'load edu': { plugin: 'edu', loaded: true },
      [`yank ${at}`]: { device: at, functions: [at] },
      'hotplug 00:05.0 edu': { place: '00:05.0', model: 'edu' },
      'elapse 25': { nowUs: 25 },
    };
    const script = Object.keys(expected).map((line) => `${line} --json\n`);
    const { code, out, err } = await project.run(['shell'], script.join(''));
    expect({ code, err }).toEqual({ code: 0, err: '' });
    const values = out
      .trimEnd()
      .split('\n')
      .map((line): unknown => JSON.parse(line));
    expect(values).toEqual(Object.values(expected));
  });
  test('prints the log a record a line when asked for JSON', async () => {
    using project = new Project();
    const { out } = await project.run(['shell'], 'elapse 7\nyank 0000:00:04.0\ndmesg --json\n');
    const [, , ...records] = out.trimEnd().split('\n');
    const last = JSON.parse(records.at(-1)!) as unknown;
    expect(last).toMatchObject({ seq: records.length - 1, timeUs: 7, who: '0000:00:04.0', text: 'is gone' });
  });
  test.each([
    [['bind', '0000:00:04.0'], 'EBUSY: 0000:00:04.0: is bound to driver edu: unbind it first'],
    [['bind', '0000:00:09.0'], 'ENODEV: 0000:00:09.0: no such device'],
    [['attr', 'pci/nobody'], 'ENODEV: pci/nobody: no such device, bus or bus/driver'],
    [['attr', '0000:00:04.0', 'x'], 'ENOENT: 0000:00:04.0: no attribute x'],
    [['attr', '0000:00:04.0', 'vendor', '1'], 'EACCES: 0000:00:04.0: attribute vendor has mode 0444, no w access'],
    [['unload', 'core'], 'EAGAIN: plugin core: is required by edu, the system: unload that first'],
    [['hotplug', '00:04.0', 'edu'], 'EBUSY: 0000:00:04.0: a function is there already'],
    [['hotplug', '00:05.0', 'vax'], 'ENOENT: vax: no such device, there is dsa, edu'],
    [['load', './none.js'], 'none.js: no such file'],
    [['load', 'none'], 'ENOENT: none: no file, no package in'],
    [['--device', 'vax', 'tree'], 'ENOENT: vax: no such device, there is dsa, edu'],
    [['--config', 'none.json', 'tree'], 'none.json: no such file'],
    [['--socket', 'x.sock', 'tree'], 'EPERM'],
  ])('%j fails with one line', async (argv, message) => {
    using project = new Project();
    const { code, out, err } = await project.run(argv);
    expect({ code, out }).toEqual({ code: 1, out: '' });
    expect(err).toContain(message);
    expect(err.match(/\n/g)).toHaveLength(1);
  });
  test('fails when something is left at the end, and names it', async () => {
    const orphan = "dev.core.add(new Device({ name: 'orphan', release: () => {} }).get())";
    using project = new Project({ 'leaky.js': `import { Device } from 'backplane';\n${driver('leaky', orphan)}` });
    const { code, err } = await project.run(['--device', 'edu', '--plugin', './leaky.js', 'tree']);
    expect(code).toBe(1);
    expect(err).toContain('left over at the end: device orphan');
  });
  test('has its turn even if a probe hangs, which the log tells', async () => {
    using project = new Project({ 'hang.js': driver('hang', 'return new Promise(() => {})') });
    const { code, out } = await project.run(['--device', 'edu', '--plugin', './hang.js', 'dmesg', '-l', 'err']);
    expect(code).toBe(0);
    expect(out).toContain('[   60.000000] 0000:00:04.0: probe of driver hang has not ended within 60000000 us and is given up');
  });
  test('may be one that a plugin brings, with options and exit code of its own', async () => {
    using project = new Project({ 'say.js': driver('say', '') });
    expect(await project.run(['--plugin', './say.js', 'say-say', 'a', '--json'])).toEqual({
      code: 3,
      out: 'a --json\n',
      err: '',
    });
    expect(await project.run(['--plugin', './say.js', 'say-say'])).toMatchObject({
      code: 1,
      err: 'usage: backplane say-say <word>\nbackplane say-say: EINVAL: say-say: no word\n',
    });
  });
  test('tells who waits for what', async () => {
    using project = new Project({ 'later.js': driver('later', "throw defer('waiting for clk0')") });
    const argv = ['--device', 'edu', '--plugin', './later.js'];
    expect((await project.run([...argv, 'deferred'])).out).toBe('0000:00:04.0  later: waiting for clk0\n');
    expect((await project.run([...argv, 'explain', '0000:00:04.0'])).out).toMatch(
      /^0000:00:04.0: deferred: later: waiting for clk0\n/,
    );
  });
});

describe('a configuration', () => {
  const DEVICES = "{ devices: ['edu', 'edu@00:09.0'], plugins: ['./blinker.ts'] }";

  test.each([
    ['backplane.config.ts', `export default ${DEVICES} satisfies object;`],
    ['backplane.config.js', `export default ${DEVICES};`],
    ['backplane.config.json', DEVICES.replace(/(\w+):(?= )/g, '"$1":').replaceAll("'", '"')],
  ])('%s is read, and a plugin in TypeScript with decorators needs no build', async (name, content) => {
    using project = new Project({ [name]: content, 'blinker.ts': PLUGIN });
    const { code, out, err } = await project.run(['drivers']);
    expect({ code, err }).toEqual({ code: 0, err: '' });
    expect(out).toContain('blinker      0000:00:04.0 0000:00:09.0\n');
  });
  test('in TypeScript needs a loader, and tells how to get it', async () => {
    const hooks = `export async function resolve(name, context, next) {
      if (!name.startsWith('@oxc-node/')) return next(name, context);
      throw Object.assign(new Error('not found'), { code: 'ERR_MODULE_NOT_FOUND' });
    }`;
    const url = JSON.stringify(`data:text/javascript,${encodeURIComponent(hooks)}`);
    using project = new Project({
      'without.mjs': `import { register } from 'node:module';\nregister(${url});`,
      'blinker.ts': PLUGIN,
    });
    const child = project.start(['--plugin', './blinker.ts', 'tree'], ['--import', './without.mjs']);
    expect(await ended(child)).toEqual({
      code: 1,
      out: '',
      err: expect.stringMatching(/blinker\.ts: TypeScript needs @oxc-node\/core: npm install --save-dev @oxc-node\/core\n$/),
    });
  });
  test('in TypeScript is read by the tsconfig.json of the user, if there is one', async () => {
    using project = new Project({
      'blinker.ts': PLUGIN,
      'tsconfig.json': '{ "compilerOptions": { "experimentalDecorators": false } }',
    });
    const { code, err } = await project.run(['--plugin', './blinker.ts', 'drivers']);
    expect(code).toBe(1);
    expect(err).toMatch(/^backplane drivers: EINVAL: .*blinker\.ts: .*experimentalDecorators.*\n$/);
  });
  test.each([
    ['backplane.config.ts', 'export default { devices: [5] };'],
    ['backplane.config.js', 'export default { devices: [5] };'],
    ['backplane.config.json', '{ "devices": [5] }'],
  ])('%s that is wrong is refused with path, wanted and got', async (name, content) => {
    using project = new Project({ [name]: content });
    const { code, err } = await project.run(['tree']);
    expect(code).toBe(1);
    expect(err).toContain(`/project/${name}: devices[0]: wanted the name of a device, got 5\n`);
  });
  test.each([
    ['{ "devices": ', 'EINVAL', 'config.json'],
    ['[]', 'wanted an object, got a list of 0', 'config.json'],
  ])('%j is refused', async (content, ...messages) => {
    using project = new Project({ 'backplane.config.json': content });
    const { code, err } = await project.run(['tree']);
    expect(code).toBe(1);
    for (const message of messages) expect(err).toContain(message);
  });
  test('may name a host of its own, whose devices are its own affair', async () => {
    const host =
      "import { hostSim } from 'backplane/plugins/host-sim';\nexport default { host: hostSim({ edu: 2 }).plugin, plugins: ['edu'] };";
    using project = new Project({ 'backplane.config.js': host });
    expect((await project.run(['drivers'])).out).toContain('edu          0000:00:04.0 0000:00:05.0\n');
    expect(await project.run(['--device', 'edu', 'drivers'])).toMatchObject({
      code: 1,
      err: expect.stringContaining('give them to the host itself'),
    });
  });
  test('gives way to the flags of the command line', async () => {
    using project = new Project({ 'backplane.config.json': '{ "devices": ["edu"], "plugins": ["edu"] }' });
    expect((await project.run(['--device', 'edu@00:07.0', 'lspci', '-n'])).out).toBe('00:07.0 00ff: 1234:11e8 (rev 10)\n');
  });
  test('refuses a plugin whose module exports none', async () => {
    using project = new Project({ 'none.js': 'export default 5;' });
    expect((await project.run(['--plugin', './none.js', 'tree'])).err).toContain(
      'none.js: its default export is no Plugin: export default new Plugin',
    );
  });
});

describe('run', () => {
  test('the tour is the same for equal seeds, at most a screen a section, and leaves nothing', async () => {
    using project = new Project();
    const [first, second] = await Promise.all([project.run(['run', 'tour']), project.run(['run', 'tour', '--seed', '1'])]);
    expect(first).toMatchObject({ code: 0, err: '' });
    const cut = (out: string): string => out.replace(/^-- qemu --$.*^-- end of qemu --$/ms, '');
    expect(cut(second.out)).toBe(cut(first.out));
    for (const part of first.out.split('\n\n')) {
      const lines = part.split('\n');
      expect(lines.length).toBeLessThanOrEqual(24);
      for (const line of lines) expect(line.length).toBeLessThanOrEqual(80);
    }
    expect(first.out).toMatch(/\nnothing left: 0 devices, 0 irqs, 0 mappings\n$/);
  });
  test('a machine has the CPUs and the interrupts that are asked for', async () => {
    using project = new Project();
    const own = ['--device', 'timer', '--plugin', 'timer'];
    const four = await project.run(['vectors', ...own, '--cpus', '4']);
    expect(four.out.split('\n').filter((line) => /^ {2}\d /.test(line))).toHaveLength(4);
    const plain = await project.run(['explain', '0000:00:04.0', ...own, '--interrupts', 'plain']);
    expect(plain.out).toContain('EOPNOTSUPP: 0000:00:04.0: the platform has no interrupt remapping');
    expect(await project.run(['vectors', '--cpus', '0'])).toMatchObject({ code: 2 });
    expect(await project.run(['vectors', '--interrupts', 'msi'])).toMatchObject({ code: 2 });
    expect((await project.run(['vectors', '--host', 'qtest', '--cpus', '2'])).err).toContain(
      'EINVAL: cpus and interrupts are for the host sim',
    );
  });
  test('a program of the user gets the seed, and what it throws is told', async () => {
    using project = new Project({
      'mine.ts': 'export default ({ seed, print }: { seed: number; print(line: string): void }): void => print(`seed ${seed}`);',
      'bad.js': "import { Errno } from 'backplane';\nthrow new Errno('EIO', 'mine: broken');",
    });
    expect(await project.run(['run', './mine.ts', '--seed', '7'])).toEqual({ code: 0, out: 'seed 7\n', err: '' });
    expect(await project.run(['run', './bad.js'])).toEqual({ code: 1, out: '', err: 'backplane run: EIO: mine: broken\n' });
  });
});

describe('shell', () => {
  test('runs a script on one system', async () => {
    using project = new Project({
      'a.bp': "# a script\nunbind 0000:00:04.0\n\n! unbind '0000:00:04.0'\nbind 0000:00:04.0 edu --json\nexit\nfoo\n",
    });
    expect(await project.run(['shell', 'a.bp'])).toEqual({
      code: 0,
      out: '0000:00:04.0: unbound from edu\n{"device":"0000:00:04.0","driver":"edu"}\n',
      err: 'backplane unbind: ENODEV: 0000:00:04.0: is not bound\n',
    });
  });
  test('reads standard input', async () => {
    using project = new Project();
    expect(await project.run(['shell'], 'elapse 10\nelapse 5')).toMatchObject({ code: 0, out: 'now 10 us\nnow 15 us\n' });
  });
  test.each([
    ['bind x\ntree\n', 1, 'a.bp:1: bind x: exit code 1\n'],
    ['elapse 1\nlspci --foo\n', 2, 'a.bp:2: lspci --foo: exit code 2\n'],
    ['! elapse 1\n', 1, 'a.bp:1: ! elapse 1: has not failed\n'],
    ["bind 'x\n", 2, "a.bp:1: bind 'x: exit code 2\n"],
  ])('ends %j with its first command that goes wrong', async (script, code, message) => {
    using project = new Project({ 'a.bp': script });
    const result = await project.run(['shell', 'a.bp']);
    expect(result.code).toBe(code);
    expect(result.err.endsWith(message)).toBe(true);
    expect(result.out).not.toContain('/devices');
  });
  test('lists the commands, those of plugins too, and tells about one', async () => {
    using project = new Project({ 'say.js': driver('say', '') });
    const { out } = await project.run(['--plugin', './say.js', 'shell'], 'help\nhelp bind\n! help vax\n');
    expect(out).toContain('\n  say-say <word> ');
    expect(out).toContain('\nusage: backplane bind <device> [driver]\n');
    expect(out).not.toContain('complete');
  });
  test('completes commands, options and names of devices', async () => {
    using project = new Project();
    const { out } = await project.run(
      ['shell'],
      "complete un\ncomplete lspci -- --v\ncomplete bind 0000:00:04.0 ''\ncomplete unload h\n",
    );
    expect(out).toBe('unbind\nunload\n--verbose\nedu\nfaux_driver\nhost-sim\n');
  });
});

test('an interrupted command ends its system, and leaves no files', async () => {
  using project = new Project();
  const child = project.start(['shell']);
  const result = ended(child, 'yank 0000:00:04.0\ndmesg -w\n');
  await written(child, 'is gone');
  child.kill('SIGINT');
  expect(await result).toMatchObject({ code: 130, err: '' });
  expect(readdirSync(project.runtime)).toEqual([]);
});
