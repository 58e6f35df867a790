import { driverMoves } from '../fixture/moves.js';
import type { Row } from '../row.js';

export const row: Row = driverMoves('the same, through the IOMMU', 0x10_0000, 1.25, true);
