import {
  AddressSpace,
  type AttributeGroup,
  type CharOperations,
  type DmaMemory,
  Errno,
  type FileDevice,
  type Iommu,
  type Irqs,
  type Task,
  describeError,
} from '../../core/index.js';
import { line } from './attribute-text.js';
import {
  type CompletionVector,
  hasCommand,
  openPermission,
  openSlot,
  openVector,
  releaseHandle,
  requestHandle,
} from './completion-vector.js';
import type { LoggedEvent } from './event-log.js';
import type { SwError } from './sw-error.js';
import { UserFile } from './user-file.js';
import type { Wq } from './wq.js';
import { clearPasid, drainPasid, setPasid } from './wq-pasid.js';

/** A queue that tasks use, and those who have it open. */
export class UserQueue implements CharOperations {
  readonly #files: UserFile[] = [];
  /** How often the device has taken its handles back. */
  #revocations = 0;

  /** @param memory of the machine: where address spaces lead */
  constructor(
    private readonly wq: Wq,
    private readonly iommu: Iommu,
    private readonly irqs: Irqs,
    private readonly memory: DmaMemory,
  ) {}

  /** Hands errors on to those whom they concern, until the queue is unbound. */
  listen(): void {
    const { idxd, devres } = this.wq;
    devres.acquire(
      'user errors',
      () => [
        idxd.onSwError((error) => this.#swError(error)),
        hasCommand(idxd, 'requestHandle') ? idxd.onHandlesRevoked(() => this.#revoked()) : undefined,
        idxd.onHalt(() => this.#files.forEach((file) => file.wake())),
        idxd.eventLog?.onEvent((event) => this.#event(event)),
      ],
      (listening) => listening.forEach((subscription) => subscription?.dispose()),
    );
  }

  /**
   * Binds the memory of the task: until the file is closed, the queue works there for it, and nowhere else. Closing waits for its work.
   * @throws {Errno} EINVAL for a task whose memory is no `AddressSpace`; EBUSY when a dedicated queue has a user; EIO while the device is not
   *   enabled; ENOSPC without a free interrupt or PASID; ENXIO when the device refuses; as `Iommu.bindSva`
   * @see Linux 6.12 drivers/dma/idxd/cdev.c idxd_cdev_open, idxd_file_dev_release
   */
  async open(file: FileDevice, task: Task): Promise<UserFile> {
    const { wq } = this;
    const { mm } = task;
    if (!(mm instanceof AddressSpace)) {
      throw new Errno('EINVAL', `${wq.name}: the memory of ${task.name} is no AddressSpace, which devices can work in`);
    }
    if (wq.mode === 'dedicated' && wq.clients > 0)
      throw new Errno('EBUSY', `${wq.name}: is dedicated, and has a user: close that first`);
    if (wq.idxd.state !== 'enabled') throw new Errno('EIO', `${wq.name}: ${wq.idxd.name} is ${wq.idxd.state}`);
    file.devres.acquire(
      'client',
      () => void wq.clients++,
      () => void wq.clients--,
    );
    const { pasid } = this.iommu.bindSva(file, mm);
    const vector = this.#openVector(file, pasid);
    const user = new UserFile({ wq, file, space: mm, pasid, vector, memory: this.memory });
    const before = this.#revocations;
    if (vector !== undefined) await this.#openInterrupt(file, user, vector);
    this.#enter(file, user);
    // Its handle may have been taken back before it was among those who are told.
    if (this.#revocations !== before) this.#renewAll([user]);
    file.attributes.addGroups(attributesOf(wq, user, task));
    if (wq.mode === 'shared') file.devres.defer(`work of pasid ${pasid}`, () => drainPasid(wq, pasid));
    else {
      file.devres.defer(`work of pasid ${pasid}`, () => clearPasid(wq));
      await setPasid(wq, pasid);
    }
    return user;
  }

  /** Of a shared queue each user has a slot of its own, or no interrupts. */
  #openVector(file: FileDevice, pasid: number): CompletionVector | undefined {
    const { wq } = this;
    const { ims, options } = wq.idxd;
    if (wq.mode === 'dedicated') return openVector(wq, pasid, file);
    return ims === undefined || options.interrupts === 'msix' ? undefined : openSlot(wq, pasid, file);
  }

  async #openInterrupt(file: FileDevice, user: UserFile, vector: CompletionVector): Promise<void> {
    const { wq, irqs } = this;
    openPermission(wq, vector, user.pasid, file);
    irqs.request(file, vector.virq, { name: `idxd-portal ${wq.name} ${file.name}`, hard: () => user.interrupted() });
    if (!hasCommand(wq.idxd, 'requestHandle')) return;
    await file.devres.acquire(
      'interrupt handle',
      async () => {
        user.handle = await requestHandle(wq, vector);
      },
      () => {
        if (user.handle !== undefined) releaseHandle(wq, vector, user.handle);
      },
    );
  }

  /** The device has taken back the handles that it gave out. */
  #revoked(): void {
    this.#revocations++;
    this.#renewAll(this.#files.slice());
  }

  /** Users find new handles where they have found the old ones. */
  #renewAll(users: readonly UserFile[]): void {
    const { wq } = this;
    // An old number may be somebody else's next.
    for (const user of users) user.handle = undefined;
    wq.idxd.schedule(`interrupt handles of ${wq.name}`, async () => {
      for (const user of users) await this.#renew(user);
    });
  }

  /** One who gets none is in the log, and does not keep the others from theirs. */
  async #renew(user: UserFile): Promise<void> {
    const { wq } = this;
    const { vector } = user;
    if (vector === undefined || !this.#files.includes(user)) return;
    try {
      const handle = await requestHandle(wq, vector);
      if (this.#files.includes(user)) user.handle = handle;
      else releaseHandle(wq, vector, handle);
    } catch (error) {
      wq.log('err', `a user has lost his interrupt: ${describeError(error)}`, 'handle_lost');
    }
  }

  /** What is logged and not read by its end nobody wants, unless it has the queue open twice. */
  #enter(file: FileDevice, user: UserFile): void {
    const files = this.#files;
    const { idxd, index } = this.wq;
    file.devres.acquire(
      'errors',
      () => void files.push(user),
      () => {
        files.splice(files.indexOf(user), 1);
        if (!files.some(({ pasid }) => pasid === user.pasid)) idxd.eventLog?.forget(index, user.pasid);
      },
    );
  }

  /** One that names a queue is for its user, where that is known; others are for all. */
  #swError({ wq, pasid, words }: SwError): void {
    if (wq !== undefined && wq !== this.wq.index) return;
    for (const file of this.#files) if (wq === undefined || pasid === 0 || pasid === file.pasid) file.failed(words);
  }

  #event(event: LoggedEvent): void {
    if (event.wq === this.wq.index) this.#files.find(({ pasid }) => pasid === event.pasid)?.logged(event);
  }
}

/** @see Linux 6.12 drivers/dma/idxd/cdev.c cdev_file_attributes; `handle` is ours */
function attributesOf({ name }: Wq, user: UserFile, { pid = 0 }: Task): readonly AttributeGroup[] {
  const handle = (): string => {
    if (user.handle === undefined) throw new Errno('ENXIO', `${name}: has no interrupt for this user: look at records`);
    return line(user.handle);
  };
  return [
    {
      attributes: [
        { name: 'cr_faults', show: () => line(user.faults) },
        { name: 'cr_fault_failures', show: () => line(user.faultFailures) },
        { name: 'pid', show: () => line(pid) },
        { name: 'handle', show: handle },
      ],
    },
  ];
}
