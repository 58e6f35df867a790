import { EventFd, type Guest, type GuestRoute, type Irqfd, VFIO_PCI_IRQ, type VfioFile } from '../../../core/index.js';
import { Bench, type BenchOptions, type Port } from './bench.js';

const { MSIX } = VFIO_PCI_IRQ;
/** Of the guest. */
export const VECTOR = 0x41;
/** Where the interrupt goes. */
export const ROUTE: GuestRoute = { vcpus: [0], vector: VECTOR };

/** A guest with a port, whose vector 0 is an interrupt of the guest. */
export interface Scene {
  readonly bench: Bench;
  readonly guest: Guest;
  readonly port: Port;
  readonly file: VfioFile;
  readonly fd: EventFd;
  readonly irqfd: Irqfd;
  /** Vectors that handlers of the guest were called for. */
  readonly heard: string[];
  readonly virq: number;
}

export async function scene(
  options: BenchOptions & { vcpus?: number; route?: GuestRoute } = {},
): Promise<Scene & AsyncDisposable> {
  const { vcpus = 1, route = ROUTE, ...rest } = options;
  const bench = await Bench.start(rest);
  const guest = bench.vfio.guest({ vcpus });
  const heard: string[] = [];
  for (const [n, vcpu] of guest.vcpus.entries()) {
    for (const vector of [0x20, VECTOR, 0x42, 0xff]) vcpu.handle(vector, (it) => void heard.push(`${n}:0x${it.toString(16)}`));
  }
  const { port, file } = await bench.open();
  const fd = new EventFd('queue 0');
  const irqfd = guest.irqfd(fd, route);
  file.setIrqs({ index: MSIX, action: 'trigger', start: 0, count: 1, eventfds: [fd] });
  const { virq } = port.maps.get(0)!;
  return { bench, guest, port, file, fd, irqfd, heard, virq, [Symbol.asyncDispose]: () => bench[Symbol.asyncDispose]() };
}

/** Gives vector 0 an eventfd. */
export const give = (file: VfioFile, eventfd: EventFd | undefined): number =>
  file.setIrqs({ index: MSIX, action: 'trigger', start: 0, count: 1, eventfds: [eventfd] });
