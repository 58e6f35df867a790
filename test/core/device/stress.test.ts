import { array, assert, asyncProperty, nat } from 'fast-check';
import { describe, test } from 'vitest';
import { Scene, command, outcome } from './stress-scene.js';

describe('any order of operations', () => {
  test('leaves nothing locked, everything in its lists, and in the end every device released once', async () => {
    await assert(
      asyncProperty(
        array(command, { minLength: 1, maxLength: 60 }),
        array(outcome, { minLength: 1, maxLength: 12 }),
        array(nat(4), { minLength: 1, maxLength: 12 }),
        async (commands, outcomes, waits) => {
          const scene = new Scene(outcomes, waits);
          for (const c of commands) {
            const done = scene.step(c);
            if (done !== undefined) await done;
          }
          await scene.settle();
          scene.check();
          await scene.end();
        },
      ),
      { seed: 1, numRuns: 400 },
    );
  }, 30_000);
});
