import { type HeapProfiler, Session } from 'node:inspector/promises';
import { setFlagsFromString } from 'node:v8';

// Until code is compiled, numbers are objects. On a busy machine another thread would do that late: so it is done by this one.
setFlagsFromString('--no-concurrent-recompilation');

/** Of so many bytes that are allocated one is looked at, whether or not it is collected; what the engine compiles does not count. */
const SAMPLING = {
  samplingInterval: 128,
  includeObjectsCollectedByMajorGC: true,
  includeObjectsCollectedByMinorGC: true,
};

const bytesOf = ({ selfSize, children }: HeapProfiler.SamplingHeapProfileNode): number =>
  children.reduce((sum, child) => sum + bytesOf(child), selfSize);

/** About how many bytes a function allocates. */
export async function allocatedBy(run: () => void): Promise<number> {
  const session = new Session();
  session.connect();
  await session.post('HeapProfiler.startSampling', SAMPLING);
  run();
  const { profile } = await session.post('HeapProfiler.stopSampling');
  session.disconnect();
  return bytesOf(profile.head);
}
