import { readFile, readdir } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import type { PciDevice } from '../../../core/pci/index.js';
import { Errno } from '../../../core/lib/index.js';
import { DriverHarness, RULES, failEach, findRule, removeAnywhere } from '../../../core/testing/index.js';
import { harnessTest } from '../../../core/testing/vitest.js';
import { COUNT, CONTROL, type Widget, WidgetDriver, bench } from './fixture.js';

/** The message of what `body` throws; fails when it throws nothing. */
async function messageOf(body: () => unknown): Promise<string> {
  try {
    await body();
  } catch (error) {
    return (error as Error).message;
  }
  throw new Error('nothing was thrown');
}

const BDF = '0000:00:01.0';

describe('DriverHarness', () => {
  const harnessed = harnessTest(bench());

  harnessed('binds a driver to its device and gives back what probe returned', async ({ harness }) => {
    const state = await harness.bind<Widget>();
    expect(state.count()).toBe(0);
    expect(harness.device.name).toBe(BDF);
    expect(harness.held().map((h) => h.what)).toEqual(['bar 0', 'dma 4096 bytes', 'disable']);
  });

  harnessed('sees a ledger that is undone last first', async ({ harness }) => {
    await harness.bind();
    await harness.unbind();
    expect(harness).toHoldNothing();
    expect(harness.trace).toUndoLastFirst(BDF);
    expect(harness.trace).toHaveHappened(`notify ${BDF} BIND`, `probe ${BDF}`, `notify ${BDF} UNBIND`, `remove ${BDF}`);
  });

  test('throws what probe threw', async () => {
    class Refusing extends WidgetDriver {
      override probe(): Widget {
        throw new Errno('EIO', 'no answer');
      }
    }
    await using harness = new DriverHarness(bench(Refusing));
    await expect(harness.bind()).rejects.toBeErrno('EIO');
  });

  harnessed('a handle kept past unbind throws ENODEV, names itself, and breaks a rule', async ({ harness }) => {
    const state = await harness.bind<Widget>();
    await harness.unbind();
    const error = await harness.expectViolation('use-after-unbind', () => state.count());
    expect(error).toBeErrno('ENODEV');
    expect((error as Error).message).toBe(`ENODEV: ${BDF}: BAR 0 used after unbind`);
  });

  test('a leak fails the test that made it, with owner, age and the stack that acquired', async () => {
    class Leaky extends WidgetDriver {
      override probe(dev: PciDevice): Widget {
        const state = super.probe(dev) as Widget;
        this.kernel.host.dma.alloc(8192, { mask: 0xffff_ffff });
        return state;
      }
    }
    const harness = new DriverHarness(bench(Leaky));
    await harness.bind();
    await harness.unbind();
    expect(harness.leaks().map((h) => h.what)).toEqual(['8192 bytes of DMA memory']);
    expect(await messageOf(() => harness[Symbol.asyncDispose]())).toContain('8192 bytes of DMA memory');
  });

  test('a timer that outlives its binding is a leak with the stack that started it', async () => {
    class Ticking extends WidgetDriver {
      override probe(dev: PciDevice): Widget {
        this.clock.after(1000, () => {});
        return super.probe(dev) as Widget;
      }
    }
    const harness = new DriverHarness(bench(Ticking));
    await harness.bind();
    await harness.unbind();
    const [leak] = harness.leaks();
    expect(leak).toMatchObject({ owner: BDF, what: 'timer due at 1000 us' });
    expect(leak?.stack).toContain('kit.test.ts');
    harness.expectLeak(1);
    await harness[Symbol.asyncDispose]();
  });

  test('a driver that reads without letting time pass gets ETIMEDOUT', async () => {
    class Spinning extends WidgetDriver {
      override probe(dev: PciDevice): Widget {
        const regs = dev.mapBar(0);
        while (regs.read(COUNT) === 0);
        return super.probe(dev) as Widget;
      }
    }
    await using harness = new DriverHarness(bench(Spinning));
    expect(await messageOf(() => harness.bind())).toMatch(
      /^ETIMEDOUT: mem 0x[0-9a-f]+: 100000 reads at 0 us without time moving/,
    );
  });

  test('a driver that matches no device is told what is there', async () => {
    class Stranger extends WidgetDriver {
      override readonly ids = [{ vendor: 1, device: 2 }];
    }
    const harness = new DriverHarness(bench(Stranger));
    expect(await messageOf(() => harness.bind())).toBe(
      `ENODEV: harness: driver widget matches no device of bus pci (there: ${BDF})`,
    );
  });
});

describe('failEach', () => {
  test('fails every acquisition once and names them in order', async () => {
    expect(await failEach(bench())).toEqual(['bar 0', 'dma 4096 bytes', 'disable']);
  });

  test('finds what a failed probe does not give back, and at which fault', async () => {
    class Forgetful extends WidgetDriver {
      override probe(dev: PciDevice): Widget {
        const address = this.kernel.host.dma.alloc(4096, { mask: 0xffff_ffff });
        const state = super.probe(dev) as Widget;
        dev.devres.defer('ring', () => this.kernel.host.dma.free(address));
        return state;
      }
    }
    const message = await messageOf(() => failEach(bench(Forgetful)));
    expect(message).toContain('after probe of driver widget met a failure of "bar 0"');
    expect(message).toContain('4096 bytes of DMA memory');
  });

  test('says that a probe never succeeds', async () => {
    class Refusing extends WidgetDriver {
      override probe(): Widget {
        throw new Errno('ENODEV', 'not mine');
      }
    }
    expect(await messageOf(() => failEach(bench(Refusing)))).toContain('probe fails without any fault: ENODEV: not mine');
  });

  test('lets a driver do without what it could not get', async () => {
    class Modest extends WidgetDriver {
      override probe(dev: PciDevice): Widget {
        const regs = dev.mapBar(0);
        try {
          this.kernel.dma.alloc(dev, 4096);
        } catch {
          regs.write(CONTROL, 0);
        }
        return { count: () => 0, work: () => Promise.resolve(0) };
      }
    }
    expect(await failEach(bench(Modest))).toEqual(['bar 0', 'dma 4096 bytes']);
  });
});

describe('removeAnywhere', () => {
  const use = { use: async ({ device }: { device: { state: unknown } }) => (device.state as Widget).work().catch(() => 0) };

  test('tries every acquisition, register access and turn', async () => {
    const points = await removeAnywhere(bench(), use);
    expect(points.filter((p) => p.startsWith('acquire'))).toEqual(['acquire bar 0', 'acquire dma 4096 bytes', 'acquire disable']);
    expect(points.some((p) => p.startsWith('read mem'))).toBe(true);
    expect(points).toContain('turn');
  });

  test('finds a driver that takes all ones for an answer', async () => {
    class Trusting extends WidgetDriver {
      override probe(dev: PciDevice): Widget {
        const regs = dev.mapBar(0);
        const sizes = [10, 20];
        const size = sizes[regs.read(COUNT)] as number;
        dev.devres.defer('size', () => size.toFixed(0) as unknown as void);
        return { count: () => 0, work: () => Promise.resolve(0) };
      }
    }
    expect(await messageOf(() => removeAnywhere(bench(Trusting)))).toMatch(/after the device vanished at point \d+ .*TypeError/s);
  });

  test('finds a remove that waits for a device that is not there', async () => {
    class Patient extends WidgetDriver {
      override async remove(): Promise<void> {
        await this.clock.poll(() => false, { timeoutUs: 1_000_000_000, intervalUs: 1_000_000, what: 'idle' });
      }
    }
    expect(await messageOf(() => removeAnywhere(bench(Patient)))).toContain('hung-callback');
  });
});

describe('an operation that is pending at unbind', () => {
  const operations = { work: ({ device }: { device: { state: unknown } }) => (device.state as Widget | undefined)?.work() };

  test('may be ended by its dead handle', async () => {
    const result = await new DriverHarness(bench()).explore({ runs: 30, steps: 40, seed: 3, operations });
    expect(result.schedules).toBe(30);
  });

  test('must be cancelled by remove, for those who ask for it', async () => {
    const harness = new DriverHarness({ ...bench(), pendingMayFail: false });
    expect(await messageOf(() => harness.explore({ runs: 30, steps: 40, seed: 3, operations }))).toMatch(
      /schedule of \d+ steps: bind.*work.*use-after-unbind/s,
    );
  });
});

describe('explore', () => {
  test('plays the same schedules for the same seed', async () => {
    const harness = new DriverHarness(bench());
    const operations = { work: ({ device }: { device: { state: unknown } }) => (device.state as Widget | undefined)?.work() };
    const first = await harness.explore({ runs: 20, steps: 50, seed: 7, operations });
    const second = await harness.explore({ runs: 20, steps: 50, seed: 7, operations });
    expect(second).toEqual(first);
    expect(first.steps['bind']).toBeGreaterThan(10);
  });

  test('prints the shortest schedule that breaks a driver', async () => {
    class OnceOnly extends WidgetDriver {
      #bound = false;
      override probe(dev: PciDevice): Widget {
        if (this.#bound) throw new TypeError('second probe');
        this.#bound = true;
        return super.probe(dev) as Widget;
      }
    }
    const message = await messageOf(() => new DriverHarness(bench(OnceOnly)).explore({ runs: 50, steps: 30, seed: 1 }));
    expect(message).toMatch(/^EIO: explore: seed 1, schedule of \d+ steps: /);
    expect(message).toContain('second probe');
    expect(Number(/schedule of (\d+) steps/.exec(message)![1])).toBeLessThanOrEqual(4);
  });
});

describe('rules', () => {
  test('every rule that the core reports is described, and no other', async () => {
    const root = new URL('../../../core/', import.meta.url);
    const files = (await readdir(root, { recursive: true })).filter((name) => name.endsWith('.ts'));
    const used = new Set<string>();
    for (const name of files) {
      const text = await readFile(new URL(name, root), 'utf8');
      for (const [, id] of text.matchAll(/(?:violate|report|violation\?\.)\(\s*'([a-z0-9]+(?:-[a-z0-9]+)+)'/g)) used.add(id!);
    }
    expect([...used].sort()).toEqual(RULES.map((rule) => rule.id).sort());
  });

  test('each has a name of its own, a text, and two examples', () => {
    expect(new Set(RULES.map((rule) => rule.id)).size).toBe(RULES.length);
    for (const rule of RULES) for (const part of [rule.text, rule.bad, rule.good]) expect(part.length).toBeGreaterThan(10);
    expect(findRule('double-release')?.id).toBe('double-release');
  });
});
