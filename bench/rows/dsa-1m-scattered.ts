import { modelMoves } from '../fixture/moves.js';
import type { Row } from '../row.js';

export const row: Row = modelMoves('the same, each page somewhere else', 0x10_0000, undefined, { way: 'scattered' });
