import { describe, expect, test } from 'vitest';
import { Plugin, System, inject, injectable, multiInject, optional, token } from '../../../core/index.js';
import { Gear, Motor, NeedsGear, hostOf, messageOf, motorPlugin, names, plugin } from './fixture.js';

describe('the needs of a plugin', () => {
  test('a missing need is ENOENT with the whole way to it', async () => {
    await using system = await System.start(hostOf(1).plugin);
    await system.load(plugin('motors', ({ bind }) => bind(Motor).toConstantValue({ power: 1 })));
    await system.unload('motors');
    expect(await messageOf(() => system.load(motorPlugin()))).toBe(
      'ENOENT: plugin car: MotorDriver -> Motor: is missing: load a plugin that binds Motor; none that is known does',
    );
    expect(names(system)).toEqual(['fake-host', 'core']);
  });

  test('a missing need names the known plugin that would supply it', async () => {
    const motors = new Plugin('motors', ({ bind }) => bind(Motor).toConstantValue({ power: 1 }), { provides: [Motor] });
    await using system = await System.start(hostOf(1).plugin, motors);
    await system.unload('motors');
    expect(await messageOf(() => system.load(motorPlugin()))).toBe(
      'ENOENT: plugin car: MotorDriver -> Motor: is missing: load plugin motors first',
    );
    await system.load(motors);
    await system.load(motorPlugin());
    expect(names(system)).toEqual(['fake-host', 'core', 'motors', 'car']);
  });

  test('a missing need of a need is ENOENT with the way through it', async () => {
    await using system = await System.start(hostOf(1).plugin);
    const both = plugin('both', ({ bind }) => {
      motorPlugin().bindings({ bind });
      bind(Motor).to(NeedsGear);
    });
    expect(await messageOf(() => system.load(both))).toBe(
      'ENOENT: plugin both: MotorDriver -> NeedsGear -> Gear: is missing: load a plugin that binds Gear; none that is known does',
    );
  });

  test('a need that two plugins bind is EEXIST with both', async () => {
    const one = plugin('one', ({ bind }) => bind(Motor).toConstantValue({ power: 1 }));
    const two = plugin('two', ({ bind }) => bind(Motor).toConstantValue({ power: 2 }));
    await using system = await System.start(hostOf(1).plugin, one, two);
    expect(await messageOf(() => system.load(motorPlugin()))).toBe(
      'EEXIST: plugin car: MotorDriver -> Motor: is bound by one and two: unload all but one',
    );
  });

  test('classes that need each other are ELOOP', async () => {
    @injectable()
    class NeedsMotor {
      constructor(@inject(Motor) readonly motor: Motor) {}
    }
    await using system = await System.start(hostOf(0).plugin);
    const loop = plugin('loop', ({ bind }) => {
      bind(Motor).to(NeedsGear);
      bind(Gear).to(NeedsMotor);
    });
    expect(await messageOf(() => system.load(loop))).toBe(
      'ELOOP: plugin loop: NeedsGear -> NeedsMotor -> NeedsGear: classes that need each other',
    );
  });

  test('optional and multiple needs may be missing', async () => {
    @injectable()
    class Easy {
      constructor(
        @inject(Motor) @optional() readonly motor: Motor | undefined,
        @multiInject(Gear) readonly gears: object[],
      ) {}
    }
    await using system = await System.start(hostOf(0).plugin);
    await system.load(plugin('easy', ({ bind }) => bind(token<Easy>('Easy')).to(Easy)));
    expect(names(system)).toContain('easy');
  });
});
