/** Frames to sub-functions, and their answers: each is sent the next as soon as it has answered. */
import { parseMac } from 'backplane';
import type { Wire } from 'backplane/sim';
import { BusyCpus, type Costs } from './busy-cpus.js';
import { PEER_MAC, type SubFunction, type SubFunctions } from './sub-functions.js';

const FRAME_BYTES = 64;
/** Destination, source, type (of local experiments). */
const [SOURCE, TYPE] = [6, 12];
const EXPERIMENT = [0x88, 0xb5];
/** Of the source address: the number of the sub-function. */
const NUMBER = SOURCE + 4;
/** What was seen of one kind of traffic. */
export interface Measured {
  readonly us: number;
  readonly answers: number;
  readonly interrupts: number;
  /** Microseconds from a frame to its answer, ascending. */
  readonly latencies: readonly number[];
}

/** The machine at the other end of the cable, and the programs on the sub-functions. */
export class PingPong {
  readonly #farm: SubFunctions;
  readonly #wire: Wire;
  readonly #costs: Costs;
  readonly #frames: Uint8Array[] = [];
  readonly #sentAt: number[] = [];
  readonly #latencies: number[] = [];
  #cpus: BusyCpus | undefined = undefined;
  #endUs = 0;

  /** @param wire the other end of the cable */
  constructor(farm: SubFunctions, wire: Wire, costs: Costs) {
    this.#farm = farm;
    this.#wire = wire;
    this.#costs = costs;
    wire.attach({
      receive: (frame, offset) => this.#answered((frame[offset + NUMBER]! << 8) | frame[offset + NUMBER + 1]!),
      setLink: () => {},
    });
  }

  /** Has a program on a sub-function that answers. */
  async join(sf: SubFunction): Promise<void> {
    const n = this.#frames.length + 1;
    const [mac, peer] = [parseMac(sf.mac), parseMac(PEER_MAC)];
    this.#frames.push(frameOf(mac, peer));
    const answer = frameOf(peer, mac);
    const cpu = this.#farm.cpuOf(sf);
    const { clock } = this.#farm.sim;
    // An interrupt for every packet that comes; those that have left are found on the way.
    await sf.eth.setCoalesce({ rxUs: 0, rxFrames: 1, txUs: 4000, txFrames: 60_000 });
    sf.eth.onReceive(() => void clock.after(this.#cpus!.packet(cpu), () => void sf.eth.send(0, answer, 0, FRAME_BYTES)));
    this.#sentAt[n] = 0;
  }

  /** Traffic to these for a while: one frame each is under way at any time. */
  async run(numbers: readonly number[], us: number): Promise<Measured> {
    const { sim, system, all } = this.#farm;
    const { core } = system.kernel.irqs;
    const queues = new Map<number, number>();
    for (const { virqs } of all) for (const virq of virqs) queues.set(virq, (queues.get(virq) ?? 0) + 1);
    const cpus = new BusyCpus(sim.clock, sim.interrupts.cpus, this.#costs, queues);
    this.#cpus = cpus;
    core.tracer = cpus;
    this.#latencies.length = 0;
    this.#endUs = sim.clock.now() + us;
    for (const n of numbers) this.#ask(n);
    sim.elapse(us);
    const { interrupts } = cpus;
    const latencies = this.#latencies.toSorted((a, b) => a - b);
    // What is under way comes to its end.
    await sim.settle(1000);
    core.tracer = undefined;
    return { us, answers: latencies.length, interrupts, latencies };
  }

  #ask(n: number): void {
    const { sim, all } = this.#farm;
    const frame = this.#frames[n - 1]!;
    this.#sentAt[n] = sim.clock.now();
    this.#cpus!.bring(this.#farm.cpuOf(all[n - 1]!), () => this.#wire.send(frame, 0, FRAME_BYTES));
  }

  #answered(n: number): void {
    const { clock } = this.#farm.sim;
    const now = clock.now();
    if (now >= this.#endUs) return;
    this.#latencies.push(now - this.#sentAt[n]!);
    // The machine at the other end takes no time: the CPUs here are what there is to wait for.
    clock.after(0, () => this.#ask(n));
  }
}

function frameOf(to: Uint8Array, from: Uint8Array): Uint8Array {
  const frame = new Uint8Array(FRAME_BYTES);
  frame.set(to);
  frame.set(from, SOURCE);
  frame.set(EXPERIMENT, TYPE);
  return frame;
}
