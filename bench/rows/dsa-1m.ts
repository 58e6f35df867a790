import { modelMoves } from '../fixture/moves.js';
import type { Row } from '../row.js';

export const row: Row = modelMoves('dsa model: move of 1 MiB', 0x10_0000, 1 / 0.9);
