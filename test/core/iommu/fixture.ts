import { Bus, Device, DeviceCore, type Violation } from '../../../core/device/index.js';
import { VirtualClock } from '../../../core/hal/index.js';
import { Iommu, type IommuPolicy, type PasidControl } from '../../../core/iommu/index.js';
import type { MessageSender } from '../../../core/msi/index.js';
import { FakeIommu, type FakeIommuOptions } from '../../helpers/fake-iommu.js';

/** A device that sends, as a PCI function is. */
export class Sender extends Device implements MessageSender {
  /** Its PASIDs, as it would have them in configuration space. */
  readonly control: PasidControl | undefined;
  isOn = false;

  constructor(
    name: string,
    readonly requesterId: number,
    pasidBits = 20,
  ) {
    super({ name, release: () => {} });
    const on = (value: boolean) => () => {
      this.isOn = value;
    };
    this.control = pasidBits === 0 ? undefined : { bits: pasidBits, enable: on(true), disable: on(false) };
  }

  messagesBegin(): void {}
  messagesEnd(): void {}
}

export const REQUESTER = 0x20;

/** What the units of this room are tested on: a core, a fake unit, and the devices of one bus that are bound to a driver. */
export interface Scene {
  readonly core: DeviceCore;
  readonly hw: FakeIommu;
  readonly iommu: Iommu;
  readonly bus: Bus;
  readonly violations: Violation[];
  /** Lets what is done when interrupts are delivered happen. */
  settle(): void;
  /** Adds a device, which is bound then. */
  add<D extends Device>(dev: D): D;
  /** The ledger of a device, oldest first. */
  ledger(dev: Device): string[];
  log(id: string): string[];
}

export function scene(options: FakeIommuOptions & { readonly policy?: IommuPolicy; readonly absent?: boolean } = {}): Scene {
  const core = new DeviceCore({ clock: new VirtualClock() });
  const hw = new FakeIommu(options);
  const later: (() => void)[] = [];
  const ports = {
    pasidsOf: (dev: Device) => (dev instanceof Sender ? dev.control : undefined),
    later: (fn: () => void) => void later.push(fn),
  };
  const iommu = new Iommu(core, options.absent === true ? undefined : hw, ports, options.policy);
  const bus = new Bus('test', { ...iommu.busHooks });
  core.registerBus(bus);
  iommu.watch(bus);
  void bus.register({ name: 'driver', probe: () => undefined });
  const violations: Violation[] = [];
  core.violations.on((violation) => violations.push(violation));
  return {
    core,
    hw,
    iommu,
    bus,
    violations,
    settle: () => {
      for (const fn of later.splice(0)) fn();
    },
    add: (dev) => {
      void bus.add(dev);
      return dev;
    },
    ledger: (dev) =>
      dev.devres
        .entries()
        .map((entry) => entry.label)
        .reverse(),
    log: (id) =>
      core.log
        .records()
        .filter((record) => record.id === id)
        .map((record) => record.text),
  };
}
