import { PCI, type Window } from '../hal/index.js';

type Readable = Pick<Window, 'read8' | 'read16' | 'read32'>;

/** One entry of a list of capabilities. */
export interface CapabilityEntry {
  readonly id: number;
  /** Offset in configuration space. */
  readonly at: number;
}

/** As {@link CapabilityEntry}, of the extended space. */
export interface ExtCapabilityEntry extends CapabilityEntry {
  readonly version: number;
}

const HAS_CAPABILITIES = 0x10;
/** As many as fit: a longer list is a loop. @see Linux 6.12 drivers/pci/pci.h PCI_FIND_CAP_TTL */
const MAX_CAPABILITIES = (PCI.CONFIG_BYTES - PCI.FIRST_CAPABILITY) / 4;
/** An extended capability is at least 8 bytes long. */
const MAX_EXT_CAPABILITIES = (PCI.EXTENDED_CONFIG_BYTES - PCI.CONFIG_BYTES) / 8;

/**
 * The capabilities of a function, in the order of its list. A list that loops, or leaves its space, ends there.
 * @see Linux 6.12 drivers/pci/pci.c __pci_find_next_cap_ttl
 */
export function* capabilities(config: Readable): Generator<CapabilityEntry> {
  const status = config.read16(PCI.STATUS.offset);
  if (status === 0xffff || (status & HAS_CAPABILITIES) === 0) return;
  let at = config.read8(PCI.CAPABILITY_POINTER.offset) & 0xfc;
  for (let left = MAX_CAPABILITIES; left > 0 && at >= PCI.FIRST_CAPABILITY; left--) {
    const id = config.read8(at);
    if (id === 0xff) return;
    yield { id, at };
    at = config.read8(at + 1) & 0xfc;
  }
}

/**
 * The extended capabilities of a function, in the order of its list; none where there is no extended space.
 * @see Linux 6.12 drivers/pci/pci.c pci_find_next_ext_capability
 */
export function* extCapabilities(config: Readable): Generator<ExtCapabilityEntry> {
  let at = PCI.CONFIG_BYTES;
  for (let left = MAX_EXT_CAPABILITIES; left > 0 && at >= PCI.CONFIG_BYTES; left--) {
    const header = config.read32(at);
    if (header === 0 || header === 0xffff_ffff) return;
    yield { id: header & 0xffff, version: (header >>> 16) & 0xf, at };
    at = (header >>> 20) & 0xffc;
  }
}
