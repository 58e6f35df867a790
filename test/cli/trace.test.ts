import { readFileSync } from 'node:fs';
import { describe, expect, test, vi } from 'vitest';
import { Project } from './fixture.js';
import { readEvents } from './trace/fixture.js';

// Each of them starts a process, on machines that may be busy.
vi.setConfig({ testTimeout: 60_000 });

const AT = '0000:00:04.0';

/** A program that lets a timer tick on a machine of its own, and then does something. */
const ticks = (then: string): string => `
import { System } from 'backplane';
import timer, { Timers } from 'backplane/plugins/timer';
import { hostSim } from 'backplane/plugins/host-sim';

const sim = hostSim({ timers: 1 });
const system = await System.start(sim.plugin, timer);
for (const [name, one] of system.list(Timers)) one.start(1000, () => console.log(name, sim.clock.now()));
sim.elapse(2000);
${then}
`;

describe('trace', () => {
  test('runs a program and leads from the message of a device to its handler', async () => {
    using project = new Project({ 'ticks.mjs': ticks('await system.stop();') });
    const { code, out, err } = await project.run(['trace', './ticks.mjs', '-o', 'out.perfetto-trace']);
    expect({ code, err }).toEqual({ code: 0, err: '' });
    const [last, ...ticked] = out.trimEnd().split('\n').reverse();
    expect(ticked.reverse()).toEqual(['timer0 1000', 'timer0 2000']);
    expect(last).toMatch(/^out\.perfetto-trace: \d+ events of 1 system: open it at https:\/\/ui\.perfetto\.dev$/);
    const events = readEvents(readFileSync(`${project.path}/out.perfetto-trace`));
    const arrows = events.filter(({ flow, ends }) => flow !== undefined || ends !== undefined);
    expect(arrows.map(({ track, name, flow, ends }) => [track, name, flow ?? ends])).toEqual([
      [`Devices/${AT} timer`, 'msi_post', 1],
      ['CPUs/CPU 0', 'irq_handler_entry', 1],
      [`Devices/${AT} timer`, 'msi_post', 2],
      ['CPUs/CPU 0', 'irq_handler_entry', 2],
    ]);
    expect(events.map(({ name }) => name)).toEqual(
      expect.arrayContaining(['bind', 'unbind', 'msi_alloc', 'vector_alloc', 'msi_free']),
    );
  });
  test('is the same for the same program, and for a person or a program to read', async () => {
    using project = new Project({ 'ticks.mjs': ticks('await system.stop();') });
    const [, , last = ''] = (await project.run(['trace', './ticks.mjs', '--json'])).out.split('\n');
    expect(JSON.parse(last)).toEqual({ file: 'ticks.perfetto-trace', systems: 1, events: expect.any(Number), dropped: 0 });
    const first = readFileSync(`${project.path}/ticks.perfetto-trace`);
    await project.run(['trace', './ticks.mjs']);
    expect(readFileSync(`${project.path}/ticks.perfetto-trace`).equals(first)).toBe(true);
  });
  test('keeps systems of one program apart', async () => {
    using project = new Project({
      'two.mjs': ticks('await system.stop(); await (await System.start(hostSim().plugin)).stop();'),
    });
    expect((await project.run(['trace', './two.mjs'])).out).toContain('events of 2 systems');
    const tracks = readEvents(readFileSync(`${project.path}/two.perfetto-trace`)).map(({ track }) => track);
    expect(tracks).toContain('Devices of system 2/pci0000:00');
  });
  test('is written also when the program fails', async () => {
    using project = new Project({ 'fails.mjs': ticks("throw new Error('no more ticks');") });
    const { code, err } = await project.run(['trace', './fails.mjs']);
    expect(code).toBe(1);
    expect(err).toMatch(/^backplane trace: Error: no more ticks\n/);
    expect(readEvents(readFileSync(`${project.path}/fails.perfetto-trace`)).length).toBeGreaterThan(0);
  });
  test('is of a system, and for a file that can be written', async () => {
    using project = new Project({ 'nothing.mjs': 'export const nothing = 1;', 'ticks.mjs': ticks('await system.stop();') });
    expect(await project.run(['trace', './nothing.mjs'])).toMatchObject({
      code: 1,
      err: 'backplane trace: ENOENT: ./nothing.mjs: started no system: there is nothing to trace\n',
    });
    expect(await project.run(['trace', './ticks.mjs', '-o', 'no/where'])).toMatchObject({
      code: 1,
      err: expect.stringMatching(/^backplane trace: EACCES: .*no\/where: .*\n$/),
    });
    expect(await project.run(['trace'])).toMatchObject({ code: 2, err: expect.stringContaining('<sample> is missing') });
  });
});
