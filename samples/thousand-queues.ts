/**
 * 128 sub-functions with eight channels each: 2,048 queues, whose interrupts are spread over 16 CPUs. Then a CPU goes offline, and comes
 * back. `backplane run thousand-queues`
 */
import { type IrqTraceName, offlineCpu, onlineCpu, parseMac } from 'backplane';
import { cable } from 'backplane/sim';
import { PEER_MAC, type SubFunction, SubFunctions } from './lib/sub-functions.js';

const CPUS = 16;
const SFS = 128;
const CHANNELS = 8;
/** A transmit and a receive queue. */
const QUEUES_OF_CHANNEL = 2;
/** Frames to each sub-function: of as many flows, which its hash spreads over its channels. */
const FLOWS = 32;
const OFFLINE = 5;

/** From 10.0.0.1 to 10.0.0.2, by UDP to port 5000. */
const FRAME_BYTES = 64;
const SOURCE_PORT = 34;
const frame = new Uint8Array(FRAME_BYTES);
frame.set(parseMac(PEER_MAC), 6);
frame.set([0x08, 0x00, 0x45, 0, 0, 50, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, 0, 0, 0x13, 0x88], 12);

const [near, far] = cable();
far.attach({ receive: () => {}, setLink: () => {} });
await using farm = await SubFunctions.start({
  sfs: SFS,
  cpus: CPUS,
  channels: CHANNELS,
  msix: 64,
  ims: 2048,
  wire: near,
  machine: { memoryBytes: 512 * 2 ** 20 },
});
let received = 0;
while (farm.all.length < SFS) (await farm.add()).eth.onReceive(() => received++);
const { core } = farm.system.kernel.irqs;

/** Frames to all sub-functions, of all flows. @returns interrupts on each CPU */
async function traffic(): Promise<number[]> {
  const interrupts = Array.from({ length: CPUS }, () => 0);
  core.tracer = {
    event: (name: IrqTraceName, cpu: number) => {
      if (name === 'irq_handler_entry') interrupts[cpu]!++;
    },
  };
  received = 0;
  for (const sf of farm.all) {
    for (let flow = 0; flow < FLOWS; flow++) far.send(udp(sf, flow), 0, FRAME_BYTES);
    await farm.sim.settle(100);
  }
  core.tracer = undefined;
  return interrupts;
}

/** Channels, and so pairs of queues, on each CPU. */
function channels(): number[] {
  const counts = Array.from({ length: CPUS }, () => 0);
  for (const sf of farm.all) for (let n = 0; n < CHANNELS; n++) counts[farm.cpuOf(sf, n)]!++;
  return counts;
}

async function show(title: string): Promise<void> {
  const [own, interrupts] = [channels(), await traffic()];
  console.log(`\n${title}`);
  console.log('         queues  interrupts');
  for (const [cpu, count] of own.entries()) {
    const queues = count * QUEUES_OF_CHANNEL;
    const bar = '#'.repeat(Math.ceil(queues / 4));
    console.log(
      `cpu${String(cpu).padEnd(4)}${String(queues).padStart(8)}${String(interrupts[cpu]).padStart(12)}  ${bar}`.trimEnd(),
    );
  }
  console.log(`received: ${received} of ${SFS * FLOWS} frames`);
}

const vectors = new Set(farm.all.flatMap(({ virqs }) => virqs));
console.log(
  `${SFS} sub-functions, ${SFS * CHANNELS * QUEUES_OF_CHANNEL} queues, ${vectors.size} vectors for them on ${CPUS} CPUs`,
);
await show('All CPUs are online');
offlineCpu(core, OFFLINE);
await show(`CPU ${OFFLINE} is offline: its vectors have moved`);
onlineCpu(core, OFFLINE);
console.log(`\nCPU ${OFFLINE} is back: nothing moves there by itself, it has ${channels()[OFFLINE]} channels`);

/** A packet of UDP: the hash of its ports chooses the channel. */
function udp({ mac }: SubFunction, flow: number): Uint8Array {
  frame.set(parseMac(mac));
  new DataView(frame.buffer).setUint16(SOURCE_PORT, 1024 + 7 * flow);
  return frame;
}
