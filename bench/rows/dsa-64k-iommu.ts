import { modelMoves } from '../fixture/moves.js';
import type { Row } from '../row.js';

export const row: Row = modelMoves('the same, addresses translated', 0x1_0000, undefined, { way: 'iommu' });
