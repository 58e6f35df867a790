import { describe, expect, test } from 'vitest';
import type { SwError } from '../../../drivers/idxd/sw-error.js';
import type { DsaProfile } from '../../../hw/models/dsa/index.js';
import * as DSA from '../../../hw/regs/dsa.js';
import { Bench, stub } from './fixture.js';

const SWERROR_READ = ['r64 SWERROR', 'r64 SWERROR_BATCH', 'r64 SWERROR_ADDRESS', 'r64 0xd8'];
const BAD_OPERATION = 0x0b;
/** A device with queues 0 and 1 enabled. It has no log: errors that no completion record tells are in the error register. */
async function enabled(profile: DsaProfile = { eventLog: 0 }): Promise<Bench> {
  const bench = await Bench.start({ profile, more: [stub] });
  for (const index of [0, 1]) await bench.configure(index, { group_id: 0 });
  await bench.bind('dsa0');
  for (const index of [0, 1]) await bench.bind(`wq0.${index}`, 'stub');
  bench.takeWire();
  return bench;
}

describe('MiscInterrupt', () => {
  test('D19 an error is read, acknowledged, shown, logged, and told with its queue', async () => {
    await using bench = await enabled();
    const told: SwError[] = [];
    using _on = bench.idxd.onSwError((error) => told.push(error));
    bench.post(1, BAD_OPERATION);
    await bench.settle(10);
    expect(bench.takeWire()).toEqual(['r32 INTCAUSE', 'w32 INTCAUSE 0x1', ...SWERROR_READ, 'w64 SWERROR 0x1']);
    expect(told).toMatchObject([{ error: DSA.STATUS.opcode, wq: 1, opcode: BAD_OPERATION, overflow: false }]);
    expect(bench.silicon.errors.register[0]! & 3).toBe(0);
    expect(bench.read('dsa0', 'errors')).toBe('00000000,00000000,00000000,00000000,00000000,00000000,0000000b,0001100d');
    expect(bench.logged('software_error')).toEqual(['dsa0: error 0x10 of queue 1, opcode 0xb, address 0x0']);
  });

  test('D19 an error that is of no descriptor is told without a queue', async () => {
    await using bench = await enabled();
    const told: SwError[] = [];
    using _on = bench.idxd.onSwError((error) => told.push(error));
    bench.silicon.errors.device(DSA.SWERRORS.commandActive);
    await bench.settle(10);
    expect(told).toMatchObject([{ error: DSA.SWERRORS.commandActive, wq: undefined }]);
    expect(bench.logged('software_error')).toEqual(['dsa0: error 0x52 of no queue in particular, opcode 0x0, address 0x0']);
  });

  test('D19 of errors that come before the first is read, that one is told, and that there were more', async () => {
    await using bench = await enabled();
    const told: SwError[] = [];
    using _on = bench.idxd.onSwError((error) => told.push(error));
    bench.maskMessages(true);
    bench.post(0, BAD_OPERATION);
    bench.post(1, BAD_OPERATION);
    await bench.settle(10);
    bench.maskMessages(false);
    await bench.settle(10);
    expect(told).toMatchObject([{ wq: 0, overflow: true }]);
    expect(bench.takeWire().at(-1)).toBe('w64 SWERROR 0x3');
    bench.post(1, BAD_OPERATION);
    await bench.settle(10);
    expect(told[1]).toMatchObject({ wq: 1, overflow: false });
  });

  test('D20 an error and a command together are handled in one pass, and acknowledged by one write', async () => {
    await using bench = await enabled();
    const told: SwError[] = [];
    using _on = bench.idxd.onSwError((error) => told.push(error));
    bench.maskMessages(true);
    const done = bench.idxd.commands.run('drainAll');
    bench.post(0, BAD_OPERATION);
    bench.sim.elapse(10);
    await Promise.resolve();
    bench.takeWire();
    bench.maskMessages(false);
    expect(await done).toEqual({ status: 0, result: 0 });
    expect([told.length, bench.takeWire()]).toEqual([
      1,
      ['r32 INTCAUSE', 'w32 INTCAUSE 0x3', ...SWERROR_READ, 'w64 SWERROR 0x1', 'r32 CMDSTATUS'],
    ]);
  });

  test('a halt is handled alone', async () => {
    await using bench = await enabled();
    bench.maskMessages(true);
    bench.post(0, BAD_OPERATION);
    bench.sim.elapse(10);
    bench.silicon.halt('cold');
    bench.maskMessages(false);
    await bench.settle(10);
    expect(bench.takeWire()).toEqual(['r32 INTCAUSE', 'w32 INTCAUSE 0x11', 'r32 GENSTATUS']);
  });

  test('an interrupt without a cause is not its own', async () => {
    await using bench = await enabled();
    const { irqs } = bench.system.kernel;
    const virq = bench.idxd.vectors.virq(0);
    const unhandled = () => irqs.list().find((desc) => desc.virq === virq)!.unhandled;
    const before = unhandled();
    // Interrupts of a thread are counted when the next one comes.
    for (let i = 0; i < 2; i++) {
      irqs.inject(virq);
      await bench.settle(10);
    }
    expect([bench.takeWire(), unhandled() - before]).toEqual([['r32 INTCAUSE', 'r32 INTCAUSE'], 1]);
  });

  test('causes that nobody knows are acknowledged, and complained of once', async () => {
    await using bench = await enabled();
    for (let i = 0; i < 2; i++) {
      bench.silicon.interrupts.raise(0x400);
      await bench.settle(10);
    }
    expect(bench.takeWire()).toEqual(['r32 INTCAUSE', 'w32 INTCAUSE 0x400', 'r32 INTCAUSE', 'w32 INTCAUSE 0x400']);
    expect(bench.logged('unknown_cause')).toEqual(['interrupt with causes that nobody knows: 0x400']);
  });

  test('handles that are taken back are told of, or complained of where nobody has any', async () => {
    await using bench = await enabled({ commandCap: 0x7ffe });
    bench.silicon.revokeHandles();
    await bench.settle(10);
    expect(bench.logged('handles_revoked')).toHaveLength(1);
    let told = 0;
    using _on = bench.idxd.onHandlesRevoked(() => told++);
    bench.silicon.revokeHandles();
    await bench.settle(10);
    expect([told, bench.logged('handles_revoked').length]).toEqual([1, 1]);
  });

  test('runs in a thread, and one vector serves it alone', async () => {
    await using bench = await enabled();
    const { irqs } = bench.system.kernel;
    const { actions } = irqs.list().find(({ virq }) => virq === bench.idxd.vectors.virq(0))!;
    expect(actions.map(({ name, thread }) => [name, thread !== undefined])).toEqual([['idxd-misc', true]]);
  });
});
