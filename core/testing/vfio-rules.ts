import type { Rule } from './rules.js';

/** How devices are handed to users. @see Linux 7.2 virt/lib/irqbypass.c, drivers/vfio */
export const VFIO_RULES: readonly Rule[] = [
  {
    id: 'bypass-registered-twice',
    text: 'An end of an interrupt is registered once, and again when it was unregistered: a second time, it would be connected to itself.',
    bad: 'bypass.registerProducer(producer); bypass.registerProducer(producer);',
    good: 'bypass.registerProducer(producer); bypass.unregisterProducer(producer);',
  },
  {
    id: 'mdev-driver-incomplete',
    text: 'A driver of mediated devices says how users talk to them: tools choose by that, before there is a device.',
    bad: "mdev.registerParent(dev, { name: 'x_mdev', deviceApi: '', maxInstances: 1, probe }, types);",
    good: "mdev.registerParent(dev, { name: 'x_mdev', deviceApi: 'vfio-pci', maxInstances: 1, probe }, types);",
  },
  {
    id: 'vfio-pages-left-pinned',
    text: 'A user takes memory back, and a driver keeps pages of it though it was told ten times: it would write what is of somebody else by now.',
    bad: 'dmaUnmap() {} // the pages stay pinned',
    good: 'dmaUnmap(iova, sizeBytes) { this.stop(iova, sizeBytes); device.unpinPages(iova, sizeBytes / 4096); }',
  },
];
