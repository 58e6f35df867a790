import { modelMoves } from '../fixture/moves.js';
import type { Row } from '../row.js';

export const row: Row = modelMoves('dsa model: move of 64 KiB', 0x1_0000, undefined);
