import { type Device, Errno, type VqAddresses } from '../../core/index.js';
import { UAR_CQ_KICK, UAR_SQ_DOORBELLS } from '../../hw/regs/nic.js';
import { UserCq, UserWq } from '../lib/mlx5/index.js';
import type { Mlx5Child, Mlx5CqTarget, Mlx5Uar, Mlx5Vector } from '../mlx5/api.js';
import { VQ_DRIVER_AREA } from './api.js';

const SQN_SHIFT = 8;

/** What a queue is made with. */
export interface VirtqueueSetup {
  /** In whose ledger it is. */
  readonly dev: Device;
  readonly core: Mlx5Child;
  readonly uar: Mlx5Uar;
  readonly pasid: number;
  /** Its own; undefined: an event queue tells of it, with others. */
  readonly vector: Mlx5Vector | undefined;
  /** Its user requests that interrupt himself. */
  readonly isRequested: boolean;
}

/** A queue of the device: what its user has set, and while it works, what the hardware has. */
export class Virtqueue implements Mlx5CqTarget {
  /** It sends; the others receive. */
  readonly sends: boolean;
  entries = 0;
  addresses: VqAddresses = { descriptor: 0, driver: 0, device: 0 };
  isReady = false;
  /** In interrupt context. */
  callback: (() => void) | undefined = undefined;
  /** While it works. */
  vector: Mlx5Vector | undefined = undefined;
  cq: UserCq | undefined = undefined;
  wq: UserWq | undefined = undefined;
  readonly #onFailed: () => void;

  /** @param onFailed the hardware has given it up; in interrupt context */
  constructor(
    readonly index: number,
    onFailed: () => void,
  ) {
    this.sends = index % 2 === 1;
    this.#onFailed = onFailed;
  }

  /**
   * Has the hardware make it, and start it when it is ready. What of that has been done when it fails is in the ledger.
   * @throws {Errno} EINVAL for addresses that are not aligned; as `Mlx5Child.exec`
   */
  async start({ dev, core, uar, pasid, vector, isRequested }: VirtqueueSetup): Promise<void> {
    const { entries, index, addresses } = this;
    const { driver, device, descriptor } = addresses;
    const common = { logSize: Math.log2(entries), pasid, uar };
    const eqn = await core.compEqn(index % core.compVectorCount);
    if (!isRequested) vector?.attach(this.completed);
    const cq = await UserCq.create(core, dev, {
      ...common,
      address: device,
      record: driver + VQ_DRIVER_AREA.completion,
      eqn,
      client: this,
      ...(vector !== undefined && { vector: vector.target }),
    });
    if (vector !== undefined)
      dev.devres.use(
        'vector kick',
        vector.onChanged(() => uar.write32(UAR_CQ_KICK, cq.number)),
      );
    const record = driver + VQ_DRIVER_AREA.work;
    const kind = this.sends ? 'send' : 'receive';
    const wq = await UserWq.create(core, dev, { ...common, address: descriptor, record, kind, cq });
    this.vector = vector;
    this.cq = cq;
    this.wq = wq;
    if (this.isReady) await wq.modify('ready');
  }

  /** The hardware has it no longer. */
  stopped(): void {
    this.vector = this.cq = this.wq = undefined;
  }

  /** As before its user came. */
  reset(): void {
    this.entries = 0;
    this.addresses = { descriptor: 0, driver: 0, device: 0 };
    this.isReady = false;
  }

  /** Starts it, or stops it: it begins with its first entry when it is started again. @throws {Errno} as `Mlx5Child.exec` */
  async setReady(isReady: boolean): Promise<void> {
    this.isReady = isReady;
    await this.wq?.modify(isReady ? 'ready' : 'reset');
  }

  /** It takes nothing more, and gives back what it has. @throws {Errno} as `Mlx5Child.exec` */
  async suspend(): Promise<void> {
    if (this.isReady) await this.wq?.modify('error');
  }

  /** Its user has given it something: who receives, the hardware asks when it wants something. */
  kick(uar: Mlx5Uar): void {
    if (this.sends && this.wq !== undefined) uar.write64(UAR_SQ_DOORBELLS[0], 0, this.wq.number << SQN_SHIFT);
  }

  /** In interrupt context. */
  readonly completed = (): void => this.callback?.();

  failed(): void {
    this.#onFailed();
  }
}

/** @throws {Errno} EINVAL for addresses that no queue can have */
export function checkAddresses(
  who: string,
  index: number,
  { descriptor, driver, device }: VqAddresses,
  alignBytes: number,
): void {
  const isAddress = (address: number, align: number): boolean =>
    Number.isSafeInteger(address) && address >= 0 && address % align === 0;
  if (isAddress(descriptor, alignBytes) && isAddress(device, alignBytes) && isAddress(driver, VQ_DRIVER_AREA.completion)) return;
  const what = `${who}: queue ${index} at ${descriptor}, ${driver} and ${device}`;
  throw new Errno('EINVAL', `${what}: must be multiples of ${alignBytes}, ${VQ_DRIVER_AREA.completion} and ${alignBytes}`);
}
