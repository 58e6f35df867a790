import type { DoorbellMessages, InterruptController, InterruptEntry, InterruptLines, MsiMsg } from '../hal/index.js';
import { Errno, checkRange } from '../lib/index.js';

const LINES = 32;
const DOORBELLS = 4096;
/** Messages go to words from here on, as interrupt messages do on x86. */
const FIRST = 0xfee0_0000;
const WORD = 4;

class FakeLine {
  msg: MsiMsg | undefined = undefined;
  isLevel = false;
  isMasked = true;
  isAsserted = false;
  /** Sent, and its handling not ended. */
  isServed = false;
}

/**
 * Interrupt hardware of the fake host: one CPU, a word for each message, and 32 lines. The test is the device: it writes the
 * message that the driver has put into its registers, or drives a line.
 */
export class FakeInterrupts implements InterruptController {
  readonly cpus = 1;
  readonly vectors = DOORBELLS;
  currentCpu = 0;
  readonly messages: DoorbellMessages;
  readonly lines: InterruptLines;
  readonly #taken = new Set<number>();
  readonly #pending = new Set<number>();
  readonly #lines = Array.from({ length: LINES }, () => new FakeLine());
  #entry: InterruptEntry | undefined = undefined;

  constructor() {
    this.messages = {
      kind: 'doorbell',
      alloc: () => {
        for (let n = 0; n < DOORBELLS; n++) {
          if (this.#taken.has(n)) continue;
          this.#taken.add(n);
          return n;
        }
        return -1;
      },
      free: (doorbell) => {
        this.#taken.delete(doorbell);
        this.#pending.delete(doorbell);
      },
      message: (doorbell) => ({ addressLo: FIRST + WORD * doorbell, addressHi: 0, data: doorbell + 1 }),
    };
    this.lines = {
      count: LINES,
      requesterId: 0xf0f8,
      route: (line, msg, level) => {
        this.#line(line).msg = msg;
        this.#line(line).isLevel = level;
      },
      setMask: (line, masked) => {
        this.#line(line).isMasked = masked;
        if (!masked) this.#drive(this.#line(line));
      },
      eoi: (line) => {
        this.#line(line).isServed = false;
        this.#drive(this.#line(line));
      },
      isAsserted: (line) => this.#line(line).isAsserted,
    };
  }

  /** Messages that are reserved now. */
  get messagesInUse(): number {
    return this.#taken.size;
  }

  /** A device writes a message. @returns whether it is one that somebody has reserved */
  post(msg: MsiMsg): boolean {
    const doorbell = (msg.addressLo - FIRST) / WORD;
    if (msg.addressHi !== 0 || msg.data !== doorbell + 1 || !this.#taken.has(doorbell)) return false;
    this.#raise(doorbell);
    return true;
  }

  /** A device drives its line. @throws {Errno} ERANGE for a line that is not there */
  setLine(line: number, asserted: boolean): void {
    const it = this.#line(line);
    const rises = asserted && !it.isAsserted;
    it.isAsserted = asserted;
    if (it.isLevel || rises) this.#drive(it);
  }

  attach(entry: InterruptEntry | undefined): void {
    this.#entry = entry;
    if (this.#pending.size > 0) entry?.pending();
  }
  nextCpu(): number {
    return this.#pending.size > 0 ? 0 : -1;
  }
  take(): number {
    const [first] = this.#pending;
    if (first === undefined) return -1;
    this.#pending.delete(first);
    return first;
  }
  eoi(): void {}
  send(_cpu: number, vector: number): void {
    this.#raise(vector);
  }
  isPending(_cpu: number, vector: number): boolean {
    return this.#pending.has(vector);
  }
  setOnline(): void {
    throw new Errno('EOPNOTSUPP', 'fake: its one CPU is always online');
  }

  #raise(vector: number): void {
    this.#pending.add(vector);
    this.#entry?.pending();
  }

  #line(line: number): FakeLine {
    checkRange('fake', 'line', line, 0, LINES - 1);
    return this.#lines[line]!;
  }

  /** Sends the line's message if it is to be sent now. */
  #drive(line: FakeLine): void {
    if (!line.isAsserted || line.isMasked || line.msg === undefined || (line.isLevel && line.isServed)) return;
    line.isServed = line.isLevel;
    this.post(line.msg);
  }
}
