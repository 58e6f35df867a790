import type { Device } from '../../../core/device/index.js';
import type { DevresGroup } from '../../../core/devres/index.js';
import type { MaybePromise } from '../../../core/lib/flow.js';
import { Fixture, errno, sync } from '../device/conformance/fixture.js';

/** A registered device r1 without a driver, and what its ledger's releases log. */
export class Ledger extends Fixture {
  readonly r1: Device;

  constructor() {
    super();
    this.r1 = this.bare('r1');
    sync(this.core.add(this.r1));
    this.take();
  }

  /** Actions, each logging `dm(x)`. */
  acts(...names: string[]): void {
    for (const name of names) this.act(this.r1, name);
  }

  /** What an operation gives, and what it logs. */
  does<T>(op: () => MaybePromise<T>): [T | string, ...string[]] {
    this.take();
    return [errno(op), ...this.take().filter((t) => !t.startsWith('WARN'))];
  }

  all(): [unknown, ...string[]] {
    return this.does(() => this.r1.devres.releaseAll());
  }

  release(group: DevresGroup): [unknown, ...string[]] {
    return this.does(() => group.release());
  }
}
