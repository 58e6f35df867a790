import { describe, expect, test } from 'vitest';
import { FakePciFunction, failEach, removeAnywhere } from '../../../core/testing/index.js';
import { TestDriver } from './fixture.js';

const options = {
  driver: () =>
    new TestDriver([{ vendor: 0x1af4 }], (dev) => {
      const regs = dev.mapBar(0);
      dev.setMaster();
      regs.write32(0, 1);
      return regs.read32(0);
    }),
  pci: () => [new FakePciFunction({ vendor: 0x1af4, device: 1, bars: [{ sizeBytes: 4096 }] })],
};

describe('PciDriver under the test kit', () => {
  test('gives everything back whichever acquisition fails', async () => {
    expect(await failEach(options)).toEqual(['bar 0', 'bus master']);
  });

  test('survives that its device vanishes anywhere', async () => {
    await expect(removeAnywhere(options)).resolves.toBeDefined();
  });
});
