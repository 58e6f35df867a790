import type { Device } from '../device/index.js';

/**
 * A device that must be told when messages of it, or of devices below it, begin and end: a PCI function sends none before it
 * may master the bus.
 */
export interface MessageSender {
  /** Who its messages say they are from; undefined when that is not known, and not checked. */
  readonly requesterId: number | undefined;
  /** A domain of it begins; each call is matched by one of `messagesEnd`. */
  messagesBegin(): void;
  messagesEnd(): void;
}

/** The device itself, or the nearest above it, through which its messages go. */
export function messageSenderOf(dev: Device): MessageSender | undefined {
  for (let at: Device | undefined = dev; at !== undefined; at = at.parent) if (isMessageSender(at)) return at;
  return undefined;
}

const isMessageSender = (dev: Device): dev is Device & MessageSender => 'messagesBegin' in dev && 'messagesEnd' in dev;
