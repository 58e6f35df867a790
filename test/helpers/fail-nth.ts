import { Errno, type Kernel } from '../../core/index.js';

/** @returns the label of the n-th acquisition of `body`, which has failed; undefined when there are fewer */
export async function failNth({ core }: Kernel, n: number, body: () => Promise<unknown>): Promise<string | undefined> {
  const hooks = core.devresHooks;
  let left = n;
  let hit: string | undefined;
  core.devresHooks = {
    ...hooks,
    acquiring: (_ledger, label) => {
      if (left-- !== 0) return;
      hit = label;
      throw new Errno('ENOMEM', `${label}: injected`);
    },
  };
  try {
    await body();
  } catch (error) {
    if (hit === undefined || !String(error).includes('injected')) throw error;
  } finally {
    core.devresHooks = hooks;
  }
  return hit;
}
