import { PCI } from '../../core/hal/index.js';
import {
  Bridge,
  type BridgeConfig,
  Endpoint,
  type EndpointPort,
  type Model,
  type PciModel,
  type ResetKind,
} from '../endpoint/index.js';
import { Connection, type Fabric } from './connection.js';
import type { Requester } from './dma-path.js';
import { pinLine, swizzle } from './ioapic.js';
import { Claim } from './mapped-window.js';

/** Functions by device and function number. */
export type Functions = Map<number, Slot>;

/** One PCI function in its place: a bus interface, and a model or a bus behind it. */
export class Slot implements EndpointPort, Requester {
  readonly endpoint: Endpoint;
  /** The functions on the secondary bus; undefined unless this is a bridge. */
  readonly children: Functions | undefined;
  readonly connection: Connection;
  readonly line: number | undefined;
  readonly #model: Model | undefined;
  /** What the function decodes, until something changes. */
  #claims: { readonly kind: 'io' | 'mem'; readonly claim: Claim }[] | undefined = undefined;
  /**
   * @param name where it is: `0000:00:1c.0/00.0` is device 0 below the bridge `0000:00:1c.0`
   * @param parent the bridge above; undefined on the root bus
   * @param rootBus number of the root bus
   */
  constructor(
    readonly name: string,
    readonly devfn: number,
    readonly parent: Slot | undefined,
    what: PciModel | BridgeConfig,
    fabric: Fabric,
    readonly rootBus: number,
  ) {
    const connection = new Connection(name, fabric, this);
    this.connection = connection;
    if (!('create' in what)) {
      this.children = new Map();
      this.endpoint = new Bridge(what, this, () => this.#resetChildren());
      this.line = this.#wire();
      this.endpoint.attach({});
      return;
    }
    const endpoint = new Endpoint(what.config, this);
    this.endpoint = endpoint;
    this.line = this.#wire();
    const { irq } = endpoint;
    const context = { name, clock: connection, dma: connection.dma, irq, random: connection.random, log: connection, endpoint };
    this.#model = what.create(context);
    endpoint.attach(this.#model.regions);
  }

  /** This function as a bridge, if it is one. */
  get bridge(): Bridge | undefined {
    return this.endpoint instanceof Bridge ? this.endpoint : undefined;
  }

  /** What of this function answers to `address`. */
  claim(kind: 'io' | 'mem', address: number): Claim | undefined {
    this.#claims ??= this.endpoint.decodedRanges().map((range) => ({
      kind: range.kind,
      claim: new Claim(range.base, range.base + range.sizeBytes, range.window, this.connection),
    }));
    for (const { kind: own, claim } of this.#claims) {
      if (own === kind && claim.start <= address && address < claim.end) return claim;
    }
    return undefined;
  }

  /** The function has been pulled out: nothing of it or below it answers or acts any more. */
  cut(): void {
    this.connection.cut();
    this.decodeChanged();
    for (const child of this.children?.values() ?? []) child.cut();
    this.endpoint.irq.reset();
    this.connection.guard(() => this.#model?.removed?.());
  }

  decodeChanged(): void {
    this.connection.dma.requesterChanged();
    for (const { claim } of this.#claims ?? []) claim.live = false;
    this.#claims = undefined;
    for (const child of this.children?.values() ?? []) child.decodeChanged();
  }

  reset(kind: ResetKind): void {
    this.connection.guard(() => this.#model?.reset(kind));
  }

  intx(asserted: boolean): void {
    this.connection.intx(asserted);
  }

  message(addressLo: number, addressHi: number, data: number): boolean {
    return this.connection.message(addressLo, addressHi, data);
  }

  #resetChildren(): void {
    for (const child of this.children?.values() ?? []) {
      child.endpoint.reset('bus');
      child.#resetChildren();
    }
  }

  /** A request passes upwards only where every bridge on its way is a bus master, too. */
  isMaster(): boolean {
    return this.endpoint.busMaster && (this.parent?.isMaster() ?? true);
  }

  requesterId(): number {
    return ((this.parent === undefined ? this.rootBus : this.parent.bridge!.secondary) << 8) | this.devfn;
  }

  /** The line that the pin is wired to, across the bridges above. */
  #wire(): number | undefined {
    let pin = this.endpoint.space.read8(PCI.INTERRUPT_PIN.offset);
    if (pin === 0) return undefined;
    let top: Slot = this;
    for (; top.parent !== undefined; top = top.parent) pin = swizzle(top.devfn, pin);
    return pinLine(top.devfn, pin);
  }
}
