import type { InterruptLines } from '../hal/index.js';
import { checkRange } from '../lib/bits.js';
import { Errno } from '../lib/errno.js';
import type { IrqChip } from './chip.js';
import type { IrqCore } from './core.js';
import { type IrqData, chipParent, composeMsg } from './data.js';
import { IrqDomain, setHandler, setTrigger } from './domain.js';
import { handleEdge, handleFasteoi } from './flow.js';
import { type TriggerType, isLevel } from './types.js';

/**
 * The wired interrupts: inputs of an I/O APIC, each of which sends a message of its own. Line n is interrupt n.
 * @see Linux 7.2 arch/x86/kernel/apic/io_apic.c
 */
export class LineDomain {
  readonly domain: IrqDomain;
  readonly #core: IrqCore;
  readonly #lines: InterruptLines;

  /**
   * @param parent the domain that gives a line its message
   * @param chipName as in `/proc/interrupts`
   */
  constructor(core: IrqCore, lines: InterruptLines, parent: IrqDomain, chipName: string) {
    this.#core = core;
    this.#lines = lines;
    const chip: IrqChip = {
      name: chipName,
      mask: (data) => lines.setMask(data.hwirq, true),
      unmask: (data) => lines.setMask(data.hwirq, false),
      ack: chipParent.ack,
      acksByParent: true,
      eoi(data) {
        // The CPU first: what the line sends again at its end is the next interrupt.
        chipParent.ack(data);
        lines.eoi(data.hwirq);
      },
      retrigger: chipParent.retrigger,
      setAffinity: (data, mask, force) => {
        const result = chipParent.setAffinity(data, mask, force);
        if (result === 'ok') this.#route(data);
        return result;
      },
      getState: (data, which) => (which === 'line-level' ? lines.isAsserted(data.hwirq) : undefined),
      skipSetWake: true,
      affinityPreStartup: true,
    };
    this.domain = new IrqDomain(core, {
      name: chipName,
      parent,
      busToken: 'wired',
      hwirqMax: lines.count,
      ops: {
        alloc(domain, virq, count, info) {
          if (count !== 1) throw new Errno('EINVAL', `domain ${domain.name}: ${count} lines at once: allocate one by one`);
          info.requesterId = lines.requesterId;
          domain.allocParent(virq, 1, info);
          domain.setHwirq(virq, info.hwirq, chip);
        },
        free: (domain, virq, count) => domain.freeParent(virq, count),
        activate: (_domain, data) => this.#route(data),
        deactivate(_domain, data) {
          lines.setMask(data.hwirq, true);
          // What it has sent, and nobody handles now, must not keep it from ever sending again.
          // @see Linux 7.2 arch/x86/kernel/apic/io_apic.c clear_IO_APIC_pin
          lines.eoi(data.hwirq);
        },
      },
    });
  }

  /**
   * The interrupt of a line, mapped at its first use; the same every time.
   * @param line 0 to the number of lines - 1
   * @throws {Errno} ERANGE when there is no such line; EINVAL for a trigger that no line has; EBUSY when it is in use with another
   *   trigger; ENOSPC, ENOMEM when the parent is full
   * @see Linux 7.2 arch/x86/kernel/apic/io_apic.c mp_map_pin_to_irq
   */
  lineIrq(line: number, trigger: TriggerType): number {
    checkRange('irq', 'line', line, 0, this.#lines.count - 1);
    const mapped = this.domain.lookup(line);
    if (mapped === undefined) return this.#map(line, trigger);
    if (mapped.trigger === trigger) return mapped.virq;
    throw new Errno(
      'EBUSY',
      `line ${line}: is in use with trigger ${mapped.trigger}, not ${trigger}: let all its users name the same`,
    );
  }

  /** Takes the domain away with its interrupts, whose handlers must be gone. */
  close(): void {
    for (const [, desc] of this.domain.mappings()) this.domain.freeIrqs(desc.virq, 1);
    this.domain.remove();
  }

  #map(line: number, trigger: TriggerType): number {
    if (trigger === 'none' || trigger === 'both')
      throw new Errno('EINVAL', `line ${line}: trigger ${trigger}: name one edge or one level`);
    const info = { kind: 'line' as const, hwirq: line, requesterId: undefined, device: undefined, desc: undefined };
    const virq = this.domain.allocIrqs(1, info, { virq: line });
    const desc = this.#core.descs[virq]!;
    setTrigger(desc, trigger, isLevel(trigger));
    if (isLevel(trigger)) setHandler(desc, handleFasteoi, 'fasteoi');
    else setHandler(desc, handleEdge, 'edge');
    return virq;
  }

  #route(data: IrqData): void {
    this.#lines.route(data.hwirq, composeMsg(data), data.desc.levelTriggered);
  }
}
