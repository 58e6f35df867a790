import { AddressSpace, type Task } from 'backplane';
import type { HostSim } from 'backplane/plugins/host-sim';

const PAGE = 4096;

/** Somebody with memory of his own, page by page, that nobody else has. */
export class Process implements Disposable {
  readonly space: AddressSpace;
  readonly task: Task;
  readonly #sim: HostSim;
  readonly #pages: number[] = [];

  constructor(
    sim: HostSim,
    readonly name: string,
  ) {
    this.#sim = sim;
    this.space = new AddressSpace(name);
    this.task = { name, mm: this.space, capabilities: ['CAP_SYS_RAWIO'] };
  }

  /** Gets a page at an address, with a text in it. */
  page(address: number, text = ''): void {
    const page = this.#sim.dma.alloc(PAGE, { mask: 2 ** 32 - 1 });
    this.#pages.push(page);
    this.space.map(address, page, PAGE);
    this.write(address, new TextEncoder().encode(text));
  }

  write(address: number, data: Uint8Array): void {
    this.#sim.dma.write(this.space.physicalOf(address)!, data, 0, data.length);
  }

  read(address: number, sizeBytes: number): Uint8Array {
    const data = new Uint8Array(sizeBytes);
    this.#sim.dma.read(this.space.physicalOf(address)!, data, 0, sizeBytes);
    return data;
  }

  text(address: number, sizeBytes: number): string {
    return new TextDecoder().decode(this.read(address, sizeBytes)).replace(/\0+$/, '');
  }

  [Symbol.dispose](): void {
    for (const page of this.#pages.splice(0)) this.#sim.dma.free(page);
  }
}
