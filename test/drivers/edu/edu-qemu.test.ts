import { expect, test } from 'vitest';
import { PCI } from '../../../core/hal/index.js';
import { Edus } from '../../../drivers/edu/api.js';
import edu from '../../../plugins/edu.js';
import { hostQtest } from '../../../plugins/host-qtest.js';
import { type Qemu, describeQemus } from '../../helpers/qemu.js';
import { complaints, eduScenarios, startWithout } from './scenarios.js';

const make = (qemu: Qemu, count: number) =>
  hostQtest({ ...qemu.options, devices: Array.from({ length: count }, (_, i) => `edu,addr=${4 + i}`) });

describeQemus('system', (qemu) => {
  eduScenarios(qemu.name, { make: (count) => make(qemu, count), chips: { msi: 'DB-PCI-MSI', intx: 'LINES' } });
});

describeQemus('the edu driver behind a root port and a PCI bridge', (qemu) => {
  const devices = ['pcie-root-port,id=rp,chassis=1,slot=1,addr=7', 'pcie-pci-bridge,id=pb,bus=rp', 'edu,bus=pb,addr=3'];

  test.each(['msi', 'intx'] as const)('gets its %s', async (kind) => {
    await using system = await startWithout(hostQtest({ ...qemu.options, devices }), kind);
    await system.load(edu);
    const dev = system.kernel.pci.find('0000:02:03.0')!;
    expect(dev.vectorKind).toBe(kind);
    expect(await system.get(Edus, 'edu0').factorial(5)).toBe(120);
    const desc = system.kernel.irqs.desc(dev.irqVector(0));
    expect([desc.total, complaints(system)]).toEqual([1, []]);
    // Pin A of slot 3 is pin D of the bridge in slot 0 of the port, and so pin D of the port in slot 7.
    if (kind === 'intx') expect(desc.data.hwirq).toBe(16 + 4 + ((7 + 3) & 3));
  });
});

describeQemus(
  'the edu driver',
  (qemu) => {
    test('finds out itself that a command is done whose message was lost', async () => {
      await using system = await startWithout(make(qemu, 1), 'msi');
      await system.load(edu);
      const dev = system.kernel.pci.find('0000:00:04.0')!;
      const control = PCI.inCap(dev.findCapability(PCI.CAP_MSI)!, PCI.MSI_CONTROL);
      const one = system.get(Edus, 'edu0');
      // By DMA, whose time is the clock's: the factorial is a thread, which may be slower than the limit of a virtual clock.
      const sent = Uint8Array.of(1, 2, 3);
      const copied = one.copy(sent);
      // What the device raises now goes to its line, which it may not use.
      dev.config.modify(control, { enable: 0 });
      expect(await copied).toEqual(sent);
      const lost = '0000:00:04.0: lost_interrupt';
      expect(complaints(system)).toEqual([lost, lost]);
      dev.config.modify(control, { enable: 1 });
      expect(await one.copy(sent)).toEqual(sent);
      expect(complaints(system)).toHaveLength(2);
    });
  },
  'virtual',
);
