import type { Window } from '../../../core/hal/index.js';
import type { DmaPort, IrqPort, Model, ModelClock, PciModel, PciModelContext, Wire } from '../../endpoint/index.js';
import * as NIC from '../../regs/nic.js';
import { Engine } from './engine.js';
import { type Fault, Faults, type InjectedFault } from './faults.js';
import { Firmware } from './firmware.js';
import { NicFunction } from './function.js';
import { Mailboxes } from './mailbox.js';
import { type NicProfile, NicSettings, SF_WINDOW_BYTES } from './options.js';
import { VhcaTable } from './vhca.js';
import { FunctionWindows } from './windows.js';

/** Options of {@link nic}. */
export interface NicOptions extends NicProfile {
  /** What its physical port is connected to; default nothing. */
  readonly wire?: Wire;
  /** Called with each adapter that is made: its side for tests. */
  readonly onCreate?: (device: Nic) => void;
}

/**
 * An Ethernet adapter with sub-functions, in the manner of the ConnectX family.
 *
 * @throws {Errno} ERANGE for a part that cannot be
 * @see Linux 7.2 include/linux/mlx5/device.h
 */
export function nic(options: NicOptions = {}): PciModel {
  const settings = new NicSettings(options);
  return {
    name: 'nic',
    config: settings.config,
    create: (context) => {
      const device = new Nic(settings, context);
      device.wire = options.wire;
      options.onCreate?.(device);
      return device;
    },
  };
}

/**
 * One adapter. What has no register: {@link wire}, {@link inject}, {@link dropInterrupt}, the pages and the health of each function.
 */
export class Nic implements Model {
  readonly regions: { readonly [bar: number]: Window };
  readonly settings: NicSettings;
  readonly context: PciModelContext;
  readonly clock: ModelClock;
  readonly dma: DmaPort;
  readonly irq: IrqPort;
  /** The physical function. */
  readonly pf: NicFunction;
  /** By index: sub-function `SF_BASE_ID + index`, from its first ALLOC_SF on. */
  readonly sfs: (NicFunction | undefined)[] = [];
  readonly firmware: Firmware;
  readonly vhca: VhcaTable;
  readonly engine: Engine;
  readonly faults = new Faults();
  readonly mailboxes: Mailboxes;
  /** Queues whose message is in memory. */
  messages = 0;
  /** The event that is being written. */
  readonly eqe = new Uint8Array(NIC.EQE.sizeBytes);
  readonly eqeView = new DataView(this.eqe.buffer);

  constructor(settings: NicSettings, context: PciModelContext) {
    this.settings = settings;
    this.context = context;
    this.clock = context.clock;
    this.dma = context.dma;
    this.irq = context.irq;
    this.mailboxes = new Mailboxes(context.dma);
    this.firmware = new Firmware(settings.storedFirmware);
    this.vhca = new VhcaTable(this, settings.sfs);
    this.engine = new Engine(this);
    this.pf = new NicFunction(this, 0);
    this.pf.reset(settings.initUs);
    this.engine.attach(this.pf);
    const { log } = context;
    this.regions = {
      [NIC.REGISTERS_BAR]: new FunctionWindows([this.pf], 1, NIC.BAR_BYTES, NIC.FIRST_UAR, log),
      ...(settings.sfs > 0 && {
        [NIC.WINDOWS_BAR]: new FunctionWindows(this.sfs, settings.sfs, SF_WINDOW_BYTES, NIC.FIRST_SF_UAR, log),
      }),
    };
  }

  reset(): void {
    this.resetSfs();
    this.pf.reset(this.settings.initUs);
    this.pf.resetSettings();
    this.firmware.reset();
    this.engine.detach(this.pf);
    this.engine.reset();
    this.engine.attach(this.pf);
  }

  removed(): void {
    this.engine.switch.unplug();
  }

  /** A function by its number; undefined where there is none now. */
  functionOf(id: number): NicFunction | undefined {
    if (id === this.pf.id) return this.pf;
    return this.vhca.isAllocated(id) ? this.sfs[id - NIC.SF_BASE_ID] : undefined;
  }

  /** The sub-function comes to be, with its port. */
  createSf(id: number): void {
    const fn = (this.sfs[id - NIC.SF_BASE_ID] ??= new NicFunction(this, id));
    fn.resetSettings();
    this.engine.attach(fn);
  }

  /** It is gone, and its port with it. */
  destroySf(id: number): void {
    const fn = this.sfs[id - NIC.SF_BASE_ID];
    if (fn === undefined) return;
    fn.reset(0);
    this.engine.detach(fn);
  }

  /** All sub-functions are gone. */
  resetSfs(): void {
    for (const fn of this.sfs) if (fn !== undefined && this.vhca.isAllocated(fn.id)) this.destroySf(fn.id);
    this.vhca.reset();
  }

  /** What the physical port is connected to; undefined: nothing, and functions still reach each other. */
  get wire(): Wire | undefined {
    return this.engine.switch.wire;
  }
  set wire(wire: Wire | undefined) {
    this.engine.switch.wire = wire;
  }

  /** Makes commands go wrong from now on, until what it gives is cancelled. */
  inject(fault: Fault): InjectedFault {
    return this.faults.inject(fault);
  }

  /** The next interrupt of an event queue does not leave the device. @returns whether there is such a queue */
  dropInterrupt(eqn: number, functionId = 0, times = 1): boolean {
    const eq = this.functionOf(functionId)?.eqs[eqn];
    if (eq !== undefined) eq.drops += times;
    return eq !== undefined;
  }
}
