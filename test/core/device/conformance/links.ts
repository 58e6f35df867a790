import type { Device, DeviceLink } from '../../../../core/device/index.js';
import { Fixture, type FixtureOptions, type Step, type TestDriver, sync } from './fixture.js';

/** supdrv("sup") and condrv("con") on tb; no M tokens. */
export class Links extends Fixture {
  readonly supdrv: TestDriver;
  readonly condrv: TestDriver;

  constructor(options: FixtureOptions & { sup?: Step[]; con?: Step[] } = {}) {
    const { sup = [], con = [], ...rest } = options;
    super({ skip: ['M'], ...rest });
    this.supdrv = this.register('supdrv', 'sup', ...sup);
    this.condrv = this.register('condrv', 'con', ...con);
  }

  /** sup1 and con1 bound, with one managed link. */
  bound(flags = 0): { sup: Device; con: Device; link: DeviceLink } {
    const sup = this.add('sup1');
    const con = this.device('con1');
    const link = this.link(con, sup, flags);
    sync(this.core.add(con));
    if (link.state !== 'active') throw new Error(`the link is ${link.state}`);
    return { sup, con, link };
  }

  /** A link that must come about. */
  link(con: Device, sup: Device, flags = 0): DeviceLink {
    const link = this.core.link(con, sup, flags);
    if (link === undefined) throw new Error(`no link ${con.name} -> ${sup.name}`);
    return link;
  }

  /** A consumer and a supplier that is not bound: its driver is away. */
  orphan(flags = 0): { sup: Device; con: Device; link: DeviceLink } {
    sync(this.core.unregisterDriver(this.tb, this.supdrv));
    const sup = this.add('sup1');
    const con = this.device('con1');
    const link = this.link(con, sup, flags);
    sync(this.core.add(con));
    return { sup, con, link };
  }

  registerSupplierDriver(): void {
    sync(this.core.registerDriver(this.tb, this.supdrv));
  }
}

/** Number of links of a device, on both sides. */
export const linked = (dev: Device): number => (dev.consumers?.length ?? 0) + (dev.suppliers?.length ?? 0);
/** Names in the order of system sleep. */
export const order = (fx: Fixture): string[] => [...fx.core.order].map((d) => d.name);
