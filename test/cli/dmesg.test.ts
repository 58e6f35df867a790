import { describe, expect, test } from 'vitest';
import edu from '../../plugins/edu.js';
import { hostSim } from '../../plugins/host-sim.js';
import { Desk } from './fixture.js';

describe('dmesg', () => {
  test('leaves out what is there to look for faults, unless it is asked for', async () => {
    await using desk = await Desk.make(hostSim({ edu: 1 }).plugin, edu);
    const { core } = desk.target.system.kernel;
    core.logFor('debug', 'd0', 'a detail');
    core.logFor('warn', 'd0', 'a warning');
    const [usual, details] = [await desk.text('dmesg'), await desk.text('dmesg -l debug')];
    expect(usual).toContain('d0: a warning');
    expect(usual).not.toContain('a detail');
    expect(details).toContain('d0: a detail');
    expect(details).not.toContain('a warning');
  });
});
