import * as NIC from '../../../../hw/regs/nic.js';
import * as CMDS from '../../../../hw/regs/nic-commands.js';
import * as CTX from '../../../../hw/regs/nic-contexts.js';
import { getWord, setWord } from '../../../../hw/regs/nic-words.js';
import type { FunctionDriver } from './fixture.js';

const { OPCODES } = CMDS;

/** An event as software finds it. */
export interface Event {
  readonly type: number;
  readonly subType: number;
  /** All of it. */
  readonly view: DataView;
}

/** An event queue as its driver sees it. */
export class HostEq {
  consumer = 0;

  constructor(
    readonly driver: FunctionDriver,
    readonly number: number,
    readonly uar: number,
    readonly logSize: number,
    readonly pages: readonly number[],
    readonly pageBytes: number,
  ) {}

  /** Address of an entry. */
  at(index: number): number {
    const offset = (index % 2 ** this.logSize) * NIC.EQE.sizeBytes;
    return this.pages[Math.floor(offset / this.pageBytes)]! + (offset % this.pageBytes);
  }

  /** The next event that is software's. */
  next(): Event | undefined {
    const { view } = this.driver.host.memory;
    const at = this.at(this.consumer);
    if ((view.getUint8(at + NIC.EQE.owner) & 1) !== ((this.consumer >>> this.logSize) & 1)) return undefined;
    this.consumer++;
    const entry = new DataView(view.buffer.slice(at, at + NIC.EQE.sizeBytes));
    return { type: entry.getUint8(NIC.EQE.type), subType: entry.getUint8(NIC.EQE.subType), view: entry };
  }

  /** All events that are there. */
  drain(): Event[] {
    const events: Event[] = [];
    for (let event = this.next(); event !== undefined; event = this.next()) events.push(event);
    return events;
  }

  arm(consumer = this.consumer): void {
    this.driver.ring32(this.uar, NIC.UAR_EQ_ARM, (this.number << 24) | (consumer & 0xff_ffff));
  }
  update(consumer = this.consumer): void {
    this.driver.ring32(this.uar, NIC.UAR_EQ_CI, (this.number << 24) | (consumer & 0xff_ffff));
  }
  kick(): void {
    this.driver.ring32(this.uar, NIC.UAR_INTR_KICK, this.number);
  }

  /** Has the device put an event of `type` into it. */
  generate(type: number, subType = 0): void {
    this.driver.must(OPCODES.GEN_EQE, {
      inBytes: 0x50,
      fill: (words) => {
        setWord(words, CMDS.EQN, this.number);
        words[4] = (type << 16) | subType;
      },
    });
  }

  /** A field of its context. */
  query(name: 'status' | 'state' | 'consumer' | 'producer' | 'uar' | 'intr' | 'inMemory'): number {
    const { output } = this.driver.about(OPCODES.QUERY_EQ, this.number, { outBytes: 0x50 });
    return getWord(output, CTX.EQC[name], CTX.EQ_CONTEXT);
  }
}
