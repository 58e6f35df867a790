import { setDefaultSeed } from '../core/testing/seed.js';

// Every test has the same seed, also those that do not use the kit's entry for vitest.
setDefaultSeed(Number(process.env['BACKPLANE_SEED'] ?? 1));
