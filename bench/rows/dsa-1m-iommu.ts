import { modelMoves } from '../fixture/moves.js';
import type { Row } from '../row.js';

export const row: Row = modelMoves('the same, addresses translated', 0x10_0000, 1 / 0.9, { way: 'iommu' });
