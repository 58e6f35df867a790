/** A device that works in many address spaces at once, chosen by PASID, and has one of its own: datasheet and silicon. */
import { PCI, reg32 } from 'backplane';
import { type PciModel, RegisterFile, pcie, rawExtended } from 'backplane/sim';

// The datasheet. BAR 0: the firmware is read from FIRMWARE without PASID; a write to RUN inverts LENGTH bytes at ADDRESS of that PASID.
export const ID = { vendor: 0x1de5, device: 0x0007 };
export const FIRMWARE = reg32('FIRMWARE', 0x00);
export const VERSION = reg32('VERSION', 0x04, {}, { mode: 'ro' });
export const ADDRESS = reg32('ADDRESS', 0x08);
export const LENGTH = reg32('LENGTH', 0x0c);
export const RUN = reg32('RUN', 0x10);
/** 1 when the last run has worked; 2 when it met something that it could not reach. */
export const STATUS = reg32('STATUS', 0x14, {}, { mode: 'ro' });

/** PASIDs of 8 bits; what can be written is whether they are on. */
const PASIDS = { caps: [0x00, 0x08, 0x00, 0x00], writable: [0x00, 0x00, 0x01, 0x00] };

export const cryptModel: PciModel = {
  name: 'crypt',
  config: {
    ...ID,
    classCode: 0x108000,
    bars: { 0: { kind: 'mem32', sizeBytes: 32 } },
    capabilities: [pcie()],
    extended: [rawExtended(PCI.EXT_PASID, 1, Uint8Array.from(PASIDS.caps), Uint8Array.from(PASIDS.writable))],
  },
  create: ({ dma }) => {
    const regs = new RegisterFile([FIRMWARE, VERSION, ADDRESS, LENGTH, RUN, STATUS], 32);
    regs.onWrite(FIRMWARE, (address) => regs.set(VERSION, dma.read32(address)));
    regs.onWrite(RUN, (pasid) => {
      const at = regs.get(ADDRESS);
      const data = new Uint8Array(regs.get(LENGTH));
      const isRead = dma.read(at, data, 0, data.length, pasid);
      for (let i = 0; i < data.length; i++) data[i] = ~data[i]!;
      regs.set(STATUS, isRead && dma.write(at, data, 0, data.length, pasid) ? 1 : 2);
    });
    return { regions: { 0: regs }, reset: () => regs.reset() };
  },
};
