import { AuxName, AuxiliaryBus, AuxiliaryDevice, type AuxiliaryDriver } from '../../../core/auxiliary/index.js';
import type { Device } from '../../../core/device/index.js';
import type { MaybePromise } from '../../../core/lib/flow.js';
import { Fixture, type FixtureOptions } from '../device/conformance/fixture.js';

/** What the maker of `FOO` devices hands over. */
export interface FooData {
  readonly speed: number;
}
export const FOO = new AuxName<FooData>('pmod.foo');
export const BAR = new AuxName('pmod.bar');

/** The fixture of section AUX: a parent on tb, and the words `aP`, `aR` and `REL`. */
export class AuxFixture extends Fixture {
  readonly aux: AuxiliaryBus;

  constructor(options: FixtureOptions = {}) {
    super({ skip: ['M'], ...options });
    this.aux = new AuxiliaryBus(this.core);
  }

  /** A parent that a driver of its own is bound to. */
  boundParent(name = 'par'): Device {
    this.register(`drv-${name}`, name);
    return this.add(name);
  }

  /** Driver `axdrv` for pmod.foo and pmod.bar; not registered yet. */
  axdrv(more: Partial<AuxiliaryDriver> = {}): AuxiliaryDriver {
    const { tokens } = this;
    return {
      name: 'axdrv',
      ids: [FOO, BAR],
      probe(dev, id): MaybePromise<unknown> {
        tokens.push(`aP(${dev.name}) id=${id.key}`);
        return undefined;
      },
      remove(dev): void {
        tokens.push(`aR(${dev.name})`);
      },
      ...more,
    };
  }

  /** A device of no driver; its release logs REL. */
  raw(parent: Device, name: AuxName, id: number): AuxiliaryDevice<undefined> {
    return new AuxiliaryDevice<undefined>({ parent, name, id, release: (dev) => this.tokens.push(`REL(${dev.name})`) });
  }

  /** Only what the auxiliary driver, actions and releases said. */
  said(op: () => unknown): string[] {
    return this.trace(op).filter((t) => /^(aP|aR|REL|dm|L:|WARN)/.test(t));
  }
}
