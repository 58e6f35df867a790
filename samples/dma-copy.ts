/**
 * An accelerator copies: configured as accel-config would do it, used through a DMA channel, and checked byte by byte.
 * `backplane run dma-copy`
 */
import { DMA_PREP, DmaChannels, System, formatInterrupts } from 'backplane';
import { hostSim } from 'backplane/plugins/host-sim';
import { idxd, loadConfig } from 'backplane/plugins/idxd';

/** One engine and one queue of 16 descriptors, which is the kernel's: what `backplane idxd save-config` would print. */
const CONFIG = [
  {
    dev: 'dsa0',
    groups: [
      {
        dev: 'group0.0',
        grouped_workqueues: [
          { dev: 'wq0.0', mode: 'dedicated', size: 16, priority: 10, type: 'kernel', name: 'copies', driver_name: 'dmaengine' },
        ],
        grouped_engines: [{ dev: 'engine0.0' }],
      },
    ],
  },
];

const sim = hostSim({ dsa: 1 });
await using system = await System.start(sim.plugin, idxd());
const { enabled } = await loadConfig(system, CONFIG, { enable: true });
console.log(`enabled: ${enabled.join(', ')}`);

const channel = system.get(DmaChannels, 'dma0chan0');
const { depth, maxTransferBytes } = channel.capabilities();
console.log(`dma0chan0: ${depth} transfers at a time, of ${maxTransferBytes} bytes at most`);

const { dma } = system.kernel;
const dev = channel.device();

/** Has the device copy, `count` pieces at once; says how long it took, and whether they have arrived. */
async function copy(count: number, sizeBytes: number): Promise<string> {
  const data = Uint8Array.from({ length: count * sizeBytes }, (_, i) => (i * 7) % 251);
  const back = new Uint8Array(data.length);
  const from = dma.map(dev, data, 'to-device');
  // The device reads it, too, when it compares.
  const to = dma.map(dev, back, 'bidirectional');

  const start = sim.clock.now();
  let last = 0;
  for (let i = 0; i < count; i++) {
    const at = i * sizeBytes;
    // There is one engine, which takes them in turn: the last one tells of all.
    const flags = i === count - 1 ? DMA_PREP.INTERRUPT : 0;
    last = channel.submit(channel.prepareMemcpy(to.address + at, from.address + at, sizeBytes, flags));
  }
  await channel.wait(last);
  const tookUs = sim.clock.now() - start;

  const compared = await channel.wait(channel.submit(channel.prepareCompare(from.address, to.address, back.length)));
  // The device has had its turn: from here on, what it wrote is in the array.
  to[Symbol.dispose]();
  from[Symbol.dispose]();
  const isSame = compared.result === 0 && back.every((byte, i) => byte === data[i]);
  const gigabytes = (data.length / tookUs / 1_000).toFixed(2);
  return `${count} x ${sizeBytes} bytes: ${tookUs} us, ${gigabytes} GB/s, ${isSame ? 'the same' : 'NOT THE SAME'}`;
}

for (const [count, sizeBytes] of [
  [1, 4096],
  [16, 4096],
  [16, 65_536],
  [1, 2 ** 20],
] as const) {
  console.log(await copy(count, sizeBytes));
}
console.log(formatInterrupts(system.kernel.irqs.core).trimEnd());
