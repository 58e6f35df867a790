import { type Device, type DmaBuffer, type DmaChannel, DmaChannels, Errno, System } from 'backplane';
import { type HostSim, hostSim } from 'backplane/plugins/host-sim';
import { type Idxd, type IdxdOptions, idxd } from 'backplane/plugins/idxd';
import { type DsaDevice, type DsaOptions, dsa } from 'backplane/plugins/models';

/** A system with accelerators, their driver and nothing else; used as from a shell: names, attributes, bind files. */
export class IdxdBench implements AsyncDisposable {
  private constructor(
    readonly sim: HostSim,
    readonly system: System,
    readonly silicon: readonly DsaDevice[],
  ) {}

  /** @param parts an accelerator each; at 00:05.0, 00:06.0, ... */
  static async start(parts: DsaOptions | readonly DsaOptions[] = {}, options: IdxdOptions = {}): Promise<IdxdBench> {
    const silicon: DsaDevice[] = [];
    const devices = (Array.isArray(parts) ? (parts as readonly DsaOptions[]) : [parts as DsaOptions]).map((part, i) => ({
      at: `00:0${5 + i}.0`,
      model: dsa({ ...part, onCreate: (made) => void silicon.push(made) }),
    }));
    const sim = hostSim({ devices });
    const system = await System.start(sim.plugin, idxd(options));
    return new IdxdBench(sim, system, silicon);
  }

  /** The silicon, when all writes have arrived. */
  pins(index = 0): DsaDevice {
    this.sim.drain();
    return this.silicon[index]!;
  }

  get idxd(): Idxd {
    return this.system.device('0000:00:05.0').state as Idxd;
  }

  dev(name: string): Device {
    return this.system.device(name);
  }
  has(name: string): boolean {
    return this.system.core.buses.get('dsa')?.find(name) !== undefined;
  }

  /** `cat /sys/bus/dsa/devices/<name>/<attribute>` */
  cat(path: string): string {
    const [device, attribute] = path.split('/') as [string, string];
    return this.dev(device).attributes.read(attribute).replace(/\n$/, '');
  }
  /** `echo <text> > <path>` @returns `ok` or the error */
  async echo(text: string | number, path: string): Promise<string> {
    const [device, attribute] = path.split('/') as [string, string];
    return codeOf(() => this.dev(device).attributes.write(attribute, `${text}\n`));
  }
  /** The error of reading. */
  catError(path: string): Promise<string> {
    return codeOf(() => this.cat(path));
  }

  /** `echo <device> > /sys/bus/dsa/drivers/<driver>/bind` */
  bind(device: string, driver = 'idxd'): Promise<string> {
    return this.#file(driver, 'bind', device);
  }
  unbind(device: string, driver = 'idxd'): Promise<string> {
    return this.#file(driver, 'unbind', device);
  }
  #file(driver: string, file: 'bind' | 'unbind', device: string): Promise<string> {
    const bus = this.system.core.buses.get('dsa')!;
    return codeOf(() => bus.attributesOf(bus.findDriver(driver)!).write(file, device));
  }

  /** The lines of 9.4, which give a queue of the kernel; engine 0 is in its group. */
  async setUp(wq = 0, settings: Readonly<Record<string, string | number>> = {}): Promise<void> {
    const lines = {
      group_id: 0,
      mode: 'dedicated',
      size: 16,
      priority: 10,
      type: 'kernel',
      name: 'dmaengine',
      driver_name: 'dmaengine',
      ...settings,
    };
    await this.must(this.echo(lines.group_id, 'engine0.0/group_id'), 'engine0.0/group_id');
    for (const [name, value] of Object.entries(lines)) await this.must(this.echo(value, `wq0.${wq}/${name}`), name);
  }

  /** A queue that works, as a channel. */
  async channel(wq = 0, settings: Readonly<Record<string, string | number>> = {}): Promise<DmaChannel> {
    await this.setUp(wq, settings);
    await this.must(this.bind('dsa0'), 'dsa0');
    return this.open(wq);
  }

  /** Several, all alike. */
  async channels(wqs: readonly number[], settings: Readonly<Record<string, string | number>> = {}): Promise<DmaChannel[]> {
    for (const wq of wqs) await this.setUp(wq, settings);
    await this.must(this.bind('dsa0'), 'dsa0');
    const channels: DmaChannel[] = [];
    for (const wq of wqs) channels.push(await this.open(wq));
    return channels;
  }

  /** One that is set up. */
  async open(wq: number): Promise<DmaChannel> {
    await this.must(this.bind(`wq0.${wq}`, 'dmaengine'), `wq0.${wq}`);
    return this.system.list(DmaChannels).find(([, channel]) => channel.device() === this.dev(`wq0.${wq}`))![1];
  }

  async must(result: Promise<string>, what: string): Promise<void> {
    const code = await result;
    if (code !== 'ok') throw new Error(`${what}: ${code}`);
  }

  /** Memory for a channel, with a pattern. */
  memory(channel: DmaChannel, sizeBytes: number, by = 0): DmaBuffer {
    const buffer = this.system.kernel.dma.alloc(channel.device(), sizeBytes);
    if (by !== 0)
      buffer.write(
        0,
        Uint8Array.from({ length: sizeBytes }, (_, i) => i * by + (i >>> 8)),
      );
    return buffer;
  }

  /** A register of the silicon, as anybody on the bus sees it. */
  r32(offset: number): number {
    return this.pins().regions[0].read32(offset);
  }

  async settle(us = 0): Promise<void> {
    await this.sim.settle(us);
    await this.system.core.settle();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.system.stop();
  }
}

export async function codeOf(fn: () => unknown): Promise<string> {
  try {
    await fn();
    return 'ok';
  } catch (error) {
    return Errno.is(error) ? error.code : `not an Errno: ${String(error)}`;
  }
}

export function bytesOf(buffer: DmaBuffer, length = buffer.sizeBytes, offset = 0): Uint8Array {
  const out = new Uint8Array(length);
  buffer.read(offset, out);
  return out;
}
