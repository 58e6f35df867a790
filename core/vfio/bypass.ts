import type { DeviceCore } from '../device/index.js';
import { Errno } from '../lib/index.js';
import type { EventFd } from './eventfd.js';

/** Where interrupts come from: a vector that somebody has requested, whose handler signals an eventfd. */
export interface IrqBypassProducer {
  readonly context: EventFd;
  /** The interrupt that could go to the consumer directly. */
  readonly irq: number;
  addConsumer?(consumer: IrqBypassConsumer): void;
  delConsumer?(consumer: IrqBypassConsumer): void;
  stop?(): void;
  start?(): void;
}

/** Where they go: a guest that injects an interrupt for each signal of that eventfd. */
export interface IrqBypassConsumer {
  readonly context: EventFd;
  addProducer(producer: IrqBypassProducer): void;
  delProducer(producer: IrqBypassProducer): void;
  stop?(): void;
  start?(): void;
}

/** Both ends of a key. */
interface Link {
  producer: IrqBypassProducer | undefined;
  consumer: IrqBypassConsumer | undefined;
  isConnected: boolean;
}

/**
 * Brings together who has an interrupt and who wants it, by the eventfd that both were given: then it need not pass the host's handler.
 * @see Linux 7.2 virt/lib/irqbypass.c
 */
export class IrqBypass {
  readonly #core: DeviceCore;
  readonly #links = new Map<EventFd, Link>();

  constructor(core: DeviceCore) {
    this.#core = core;
  }

  /** Whether both ends of a key are there, and connected. */
  isConnected(context: EventFd): boolean {
    return this.#links.get(context)?.isConnected === true;
  }

  /**
   * @throws {Errno} EINVAL when it is registered (rule `bypass-registered-twice`); EBUSY when the key has another; what the connection threw,
   *   and it is not registered then
   */
  registerProducer(producer: IrqBypassProducer): void {
    const link = this.#linkOf(producer.context);
    if (link.producer === producer) throw this.#twice('producer', producer.context);
    if (link.producer !== undefined) throw taken('producer', producer.context);
    link.producer = producer;
    try {
      this.#connect(link);
    } catch (error) {
      link.producer = undefined;
      this.#tidy(producer.context, link);
      throw error;
    }
  }

  /**
   * @throws {Errno} EINVAL without `addProducer` or `delProducer`, and when it is registered (rule `bypass-registered-twice`); EBUSY when the key
   *   has another; what the connection threw, and it is not registered then
   */
  registerConsumer(consumer: IrqBypassConsumer): void {
    const { context } = consumer;
    const { addProducer, delProducer } = consumer as Partial<IrqBypassConsumer>;
    if (addProducer === undefined || delProducer === undefined) {
      throw new Errno('EINVAL', `${context.name}: a consumer without addProducer or delProducer`);
    }
    const link = this.#linkOf(context);
    if (link.consumer === consumer) throw this.#twice('consumer', context);
    if (link.consumer !== undefined) throw taken('consumer', context);
    link.consumer = consumer;
    try {
      this.#connect(link);
    } catch (error) {
      link.consumer = undefined;
      this.#tidy(context, link);
      throw error;
    }
  }

  /** Nothing happens for one that is not registered. */
  unregisterProducer(producer: IrqBypassProducer): void {
    const link = this.#links.get(producer.context);
    if (link?.producer !== producer) return;
    disconnect(link);
    link.producer = undefined;
    this.#tidy(producer.context, link);
  }

  /** Nothing happens for one that is not registered. */
  unregisterConsumer(consumer: IrqBypassConsumer): void {
    const link = this.#links.get(consumer.context);
    if (link?.consumer !== consumer) return;
    disconnect(link);
    link.consumer = undefined;
    this.#tidy(consumer.context, link);
  }

  /** @see Linux 7.2 virt/lib/irqbypass.c __connect */
  #connect(link: Link): void {
    const { producer, consumer } = link;
    if (producer === undefined || consumer === undefined) return;
    producer.stop?.();
    consumer.stop?.();
    try {
      producer.addConsumer?.(consumer);
      try {
        consumer.addProducer(producer);
      } catch (error) {
        producer.delConsumer?.(consumer);
        throw error;
      }
      link.isConnected = true;
    } finally {
      consumer.start?.();
      producer.start?.();
    }
  }

  #linkOf(context: EventFd): Link {
    let link = this.#links.get(context);
    if (link === undefined) this.#links.set(context, (link = { producer: undefined, consumer: undefined, isConnected: false }));
    return link;
  }

  #tidy(context: EventFd, { producer, consumer }: Link): void {
    if (producer === undefined && consumer === undefined) this.#links.delete(context);
  }

  #twice(what: string, { name }: EventFd): Errno {
    return this.#core.violate('bypass-registered-twice', undefined, `${name}: a ${what} registered that is registered`);
  }
}

/** @see Linux 7.2 virt/lib/irqbypass.c __disconnect */
function disconnect(link: Link): void {
  const { producer, consumer } = link;
  if (!link.isConnected || producer === undefined || consumer === undefined) return;
  producer.stop?.();
  consumer.stop?.();
  link.isConnected = false;
  consumer.delProducer(producer);
  producer.delConsumer?.(consumer);
  consumer.start?.();
  producer.start?.();
}

const taken = (what: string, { name }: EventFd): Errno => new Errno('EBUSY', `${name}: has another ${what}`);
