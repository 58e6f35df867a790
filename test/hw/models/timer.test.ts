import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type AccessBytes,
  IMS_ADDRESS_HI,
  IMS_ADDRESS_LO,
  IMS_CONTROL,
  IMS_DATA,
  IMS_SLOT_BYTES,
  Mmio,
  PCI,
  VirtualClock,
  readSized,
  regAt,
} from '../../../core/hal/index.js';
import { Random } from '../../../core/lib/index.js';
import { Endpoint, type PciModelContext } from '../../../hw/endpoint/index.js';
import { type TimerOptions, timer } from '../../../hw/models/timer.js';
import * as TIMER from '../../../hw/regs/timer.js';

const { COUNT, CONTROL, EXPIRIES, EXPIRY, IMS, PERIOD, TIMER_STRIDE } = TIMER;

type Posted = [atUs: number, addressLo: number, addressHi: number, data: number];

/** A card of its own, on its bus interface, and what it posts. */
class Fixture {
  readonly clock = new VirtualClock({ mode: 'manual' });
  readonly posted: Posted[] = [];
  readonly guestErrors: string[] = [];
  /** Runs inside each message, as a bus that brings accesses with it. */
  duringPost: () => void = () => {};
  readonly endpoint: Endpoint;
  readonly window;
  readonly regs: Mmio;

  constructor(options?: TimerOptions) {
    const kind = timer(options);
    this.endpoint = new Endpoint(kind.config, {
      intx: () => {},
      message: (addressLo, addressHi, data) => {
        this.posted.push([this.clock.now(), addressLo >>> 0, addressHi >>> 0, data >>> 0]);
        this.duringPost();
        return true;
      },
      decodeChanged: () => {},
      reset: (why) => model.reset(why),
    });
    const context: PciModelContext = {
      name: 'card',
      clock: this.clock,
      dma: {
        address: () => -1,
        read: () => false,
        write: () => false,
        copy: () => false,
        read32: () => 0xffff_ffff,
        write32: () => false,
        reach: () => 0,
        requestPage: (_address, _isWrite, _pasid, done) => done(false),
      },
      irq: this.endpoint.irq,
      random: new Random(1),
      log: { info: () => {}, guestError: (text) => this.guestErrors.push(text) },
      endpoint: this.endpoint,
    };
    const model = kind.create(context);
    this.endpoint.attach(model.regions);
    this.window = model.regions[0]!;
    this.regs = new Mmio(this.window, 'timer: BAR 0');
  }

  /** Registers of timer `n`. */
  at(n: number) {
    const reg = (of: typeof CONTROL | typeof EXPIRY) => regAt(of, n, TIMER_STRIDE);
    return { expiry: reg(EXPIRY), period: reg(PERIOD), control: reg(CONTROL), count: reg(COUNT), expiries: reg(EXPIRIES) };
  }

  start(n: number, slot: number, periodUs: number, periodic = 0): void {
    const at = this.at(n);
    this.regs.write(at.expiry, slot);
    this.regs.write(at.period, periodUs);
    this.regs.write(at.control, CONTROL_BITS.enable | (periodic * CONTROL_BITS.periodic));
  }

  slot(n: number) {
    const reg = (of: typeof IMS_DATA) => regAt({ ...of, offset: IMS.offset + of.offset }, n, IMS_SLOT_BYTES);
    return { lo: reg(IMS_ADDRESS_LO), hi: reg(IMS_ADDRESS_HI), data: reg(IMS_DATA), control: reg(IMS_CONTROL) };
  }

  /** Gives slot `n` the message `data` and unmasks it. */
  route(n: number, data: number): void {
    const slot = this.slot(n);
    this.regs.write(slot.lo, 0xfee0_1000);
    this.regs.write(slot.hi, 0x7);
    this.regs.write(slot.data, data);
    this.regs.write(slot.control, 0);
  }

  /** When messages were posted, in microseconds, and their data. */
  get ticks(): [number, number][] {
    return this.posted.map(([atUs, , , data]) => [atUs, data]);
  }
}

const CONTROL_BITS = { enable: 1, periodic: 2 } as const;
const MASK = 1;
const PENDING = 2;

describe('timer card', () => {
  test('it has a PCI Express capability and neither MSI, nor MSI-X, nor a line', () => {
    const { endpoint } = new Fixture();
    expect(endpoint.space.read32(0)).toBe(0x0001_bac0);
    expect(endpoint.space.read32(8)).toBe(0x0802_0001);
    expect(endpoint.capability(PCI.CAP_PCIE)).toBeGreaterThan(0);
    expect([endpoint.capability(PCI.CAP_MSI), endpoint.capability(PCI.CAP_MSIX), endpoint.space.read8(0x3d)]).toEqual([0, 0, 0]);
  });

  test('it says how many timers and slots it has and where these are', () => {
    const { regs } = new Fixture({ timers: 3, slots: 2 });
    expect(regs.read(TIMER.IDENT)).toBe(0x544d_0100);
    expect(regs.read(TIMER.CAPS)).toBe(0x0002_0003);
    expect(regs.read(TIMER.IMS_OFFSET)).toBe(IMS.offset);
    expect(new Fixture().regs.read(TIMER.CAPS)).toBe(0x0040_0004);
  });

  test.each([{ timers: 0 }, { timers: 65 }, { timers: 1.5 }, { slots: 0 }, { slots: 65 }])('%j is ERANGE', (options) => {
    expect(() => timer(options)).toThrow('ERANGE: timer: ');
  });

  test('the counter counts microseconds in 64 bits from the last reset on', () => {
    const { regs, clock, endpoint } = new Fixture();
    clock.elapse(5);
    endpoint.reset('function');
    clock.elapse(2 ** 32 + 7);
    expect([regs.read(TIMER.COUNTER_LO), regs.read(TIMER.COUNTER_HI)]).toEqual([7, 1]);
  });
});

describe('a timer', () => {
  test('one-shot: one message when the period is over, and then it is stopped', () => {
    const f = new Fixture();
    f.route(0, 0x31);
    f.start(0, 0, 1000);
    expect(f.regs.read(CONTROL)).toBe(CONTROL_BITS.enable);
    f.clock.elapse(999);
    expect([f.posted.length, f.regs.read(COUNT)]).toEqual([0, 1]);
    f.clock.elapse(5000);
    expect(f.posted).toEqual([[1000, 0xfee0_1000, 7, 0x31]]);
    expect([f.regs.read(CONTROL), f.regs.read(COUNT), f.regs.read(EXPIRIES)]).toEqual([0, 0, 1]);
  });

  test('periodic: a message every period, until it is stopped', () => {
    const f = new Fixture();
    f.route(0, 1);
    f.start(0, 0, 100, 1);
    f.clock.elapse(350);
    expect(f.ticks).toEqual([
      [100, 1],
      [200, 1],
      [300, 1],
    ]);
    expect([f.regs.read(COUNT), f.regs.read(EXPIRIES), f.regs.read(CONTROL)]).toEqual([50, 3, 3]);
    f.regs.write(CONTROL, 0);
    f.clock.elapse(1000);
    expect([f.posted.length, f.regs.read(CONTROL), f.regs.read(COUNT), f.clock.pending]).toEqual([3, 0, 0, 0]);
  });

  test('each timer sends the message of the slot it was given', () => {
    const f = new Fixture({ timers: 64 });
    f.route(5, 0x55);
    f.route(63, 0x33);
    f.start(0, 5, 10);
    f.start(63, 63, 20);
    f.start(1, 5, 30);
    f.clock.elapse(100);
    expect(f.ticks).toEqual([
      [10, 0x55],
      [20, 0x33],
      [30, 0x55],
    ]);
  });

  test('a start while it runs begins a whole period; a new period counts from the next one, a new slot from the next expiry', () => {
    const f = new Fixture();
    f.route(0, 0);
    f.route(1, 1);
    f.start(0, 0, 100);
    f.clock.elapse(60);
    f.regs.write(CONTROL, { enable: 1, periodic: 1 });
    f.regs.write(PERIOD, 30);
    f.clock.elapse(90);
    f.regs.write(EXPIRY, 1);
    f.clock.elapse(50);
    expect(f.ticks).toEqual([
      [160, 1],
      [190, 1],
    ]);
  });

  test('a clock that is late neither shifts the phase nor brings a burst', () => {
    const f = new Fixture();
    const due: (() => void)[] = [];
    let now = 0;
    Object.assign(f.clock, {
      now: () => now,
      after: (us: number, fn: () => void) => {
        due.push(fn);
        return { dueUs: now + us, cancel: () => {}, [Symbol.dispose]: () => {} };
      },
    });
    f.route(0, 9);
    f.start(0, 0, 100, 1);
    now = 345;
    due.shift()!();
    expect([f.posted.length, f.regs.read(EXPIRIES), f.regs.read(COUNT), due.length]).toEqual([1, 3, 55, 1]);
  });

  test.each([
    ['a period of 0 is not taken', PERIOD, 0, 'PERIOD 0'],
    ['a slot that is not there is not taken', EXPIRY, 64, 'EXPIRY 64 is no slot: has 64'],
  ] as const)('%s, and is told', (_what, reg, value, text) => {
    const f = new Fixture();
    f.regs.write(reg, 3);
    f.regs.write(reg, value);
    expect(f.regs.read(reg)).toBe(3);
    expect(f.guestErrors).toEqual([expect.stringContaining(text)]);
  });

  test('it does not start before it has a period', () => {
    const f = new Fixture();
    f.regs.write(CONTROL, { enable: 1 });
    expect([f.regs.read(CONTROL), f.clock.pending, f.guestErrors.length]).toEqual([0, 0, 1]);
  });

  test('a reset stops all timers and masks all slots', () => {
    const f = new Fixture();
    f.route(0, 1);
    f.start(0, 0, 100, 1);
    f.start(1, 1, 100);
    f.clock.elapse(100);
    f.endpoint.reset('function');
    f.clock.elapse(1000);
    expect([f.posted.length, f.clock.pending]).toEqual([1, 0]);
    for (const reg of TIMER.TIMER_REGS) expect(f.regs.read(reg)).toBe(0);
    const { lo, hi, data, control } = f.slot(1);
    expect([lo, hi, data, control].map((reg) => f.regs.read(reg))).toEqual([0, 0, 0, MASK]);
  });
});

describe('a slot', () => {
  test('masked, it notes what was to be sent, merged, and sends it once when it is unmasked', () => {
    const f = new Fixture();
    const { control } = f.slot(0);
    f.route(0, 0x41);
    f.regs.write(control, MASK);
    f.start(0, 0, 10, 1);
    f.clock.elapse(35);
    expect([f.posted.length, f.regs.read(control), f.regs.read(EXPIRIES)]).toEqual([0, MASK | PENDING, 3]);
    f.regs.write(control, 0);
    expect(f.ticks).toEqual([[35, 0x41]]);
    expect(f.regs.read(control)).toBe(0);
    f.regs.write(control, MASK);
    f.regs.write(control, 0);
    expect(f.posted).toHaveLength(1);
  });

  test("pending is not software's to write, and outlives a write that keeps the mask", () => {
    const f = new Fixture();
    const { control } = f.slot(0);
    f.regs.write(control, MASK | PENDING);
    expect(f.regs.read(control)).toBe(MASK);
    f.start(0, 0, 10);
    f.clock.elapse(10);
    f.regs.write(control, { mask: 1, pasid: 0xf_ffff, pasidEnable: 1 });
    expect(f.regs.read(control)).toBe(0xffff_f00b);
    expect(f.posted).toEqual([]);
  });

  test('what a message brings with it finds the card in order: a reset, a restart, a mask', () => {
    const f = new Fixture();
    const { control } = f.slot(0);
    f.route(0, 1);
    f.duringPost = () => f.regs.write(control, MASK);
    f.start(0, 0, 10, 1);
    f.clock.elapse(25);
    expect([f.posted.length, f.regs.read(control)]).toEqual([1, MASK | PENDING]);
    f.duringPost = () => f.start(0, 0, 100);
    f.regs.write(control, 0);
    expect([f.posted.length, f.regs.read(COUNT), f.regs.read(CONTROL)]).toEqual([2, 100, CONTROL_BITS.enable]);
    f.duringPost = () => f.endpoint.reset('bus');
    f.clock.elapse(1000);
    expect([f.posted.length, f.clock.pending, f.regs.read(control)]).toEqual([3, 0, MASK]);
  });

  test('a message goes to an aligned word, whatever the low bits of its address', () => {
    const f = new Fixture();
    f.route(0, 1);
    f.regs.write(f.slot(0).lo, 0xffff_ffff);
    f.start(0, 0, 1);
    f.clock.elapse(1);
    expect(f.posted).toEqual([[1, 0xffff_fffc, 7, 1]]);
  });
});

describe('accesses', () => {
  test.each([1, 2, 8] as const)('of %i bytes read all ones, write nothing, and are told', (bytes) => {
    const f = new Fixture();
    expect(readSized(f.window, PERIOD.offset, bytes)).toBe(2 ** (8 * bytes) - 1);
    write(f.window, PERIOD.offset, bytes, 5);
    expect(f.regs.read(PERIOD)).toBe(0);
    expect(f.guestErrors).toHaveLength(2);
  });

  test('where no register is, read all ones: behind the last timer and slot, between them, unaligned', () => {
    const f = new Fixture({ timers: 2, slots: 2 });
    const nowhere = [0x0c, 0x801, 0x814, f.at(2).period.offset, f.slot(2).data.offset, IMS.offset + 2, TIMER.BAR_BYTES - 4];
    for (const offset of nowhere) expect(f.window.read32(offset)).toBe(0xffff_ffff);
    for (const offset of nowhere) f.window.write32(offset, 1);
    expect(f.guestErrors).toHaveLength(2 * nowhere.length);
  });

  test('a write to what can only be read is told', () => {
    const f = new Fixture();
    for (const reg of [TIMER.IDENT, TIMER.CAPS, TIMER.IMS_OFFSET, TIMER.COUNTER_LO, COUNT, EXPIRIES]) f.regs.write(reg, 5);
    expect(f.guestErrors).toHaveLength(6);
    expect([f.regs.read(TIMER.IDENT), f.regs.read(COUNT)]).toEqual([0x544d_0100, 0]);
  });

  test('none throws, whatever the order, and the messages are those of unmasked slots', () => {
    const offsets = [0, 4, 8, 0x10, 0x14, ...TIMER.TIMER_REGS.flatMap((reg) => [reg.offset, reg.offset + TIMER_STRIDE])];
    const slots = [0, 4, 8, 12, 16, 28].map((word) => IMS.offset + word);
    fc.assert(
      fc.property(
        fc.array(
          fc.record({
            bytes: fc.constantFrom<AccessBytes>(1, 2, 4, 4, 4, 8),
            offset: fc.oneof(fc.constantFrom(...offsets, ...slots), fc.integer({ min: 0, max: TIMER.BAR_BYTES })),
            value: fc.oneof(fc.constantFrom(0, 1, 2, 3, 7), fc.integer({ min: 0, max: 0xffff_ffff })),
            isWrite: fc.boolean(),
            us: fc.constantFrom(0, 1, 50),
            isReset: fc.constantFrom(false, false, false, true),
          }),
        ),
        (steps) => {
          const f = new Fixture({ timers: 2, slots: 2 });
          for (const { bytes, offset, value, isWrite, us, isReset } of steps) {
            f.duringPost = () => f.window.write32(offset, value);
            if (isWrite) write(f.window, offset, bytes, value);
            else readSized(f.window, offset, bytes);
            f.clock.elapse(us);
            if (isReset) f.endpoint.reset('function');
            for (const n of [0, 1]) {
              const control = f.regs.read(f.slot(n).control);
              expect((control & PENDING) === 0 || (control & MASK) !== 0).toBe(true);
            }
          }
          expect(f.clock.pending).toBeLessThanOrEqual(2);
          expect(f.regs.read(TIMER.IDENT)).toBe(0x544d_0100);
        },
      ),
      { seed: 1 },
    );
  });
});

function write(window: Fixture['window'], offset: number, bytes: AccessBytes, value: number): void {
  if (bytes === 8) window.write64(offset, value, value);
  else if (bytes === 4) window.write32(offset, value);
  else if (bytes === 2) window.write16(offset, value & 0xffff);
  else window.write8(offset, value & 0xff);
}
