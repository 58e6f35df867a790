import { driverMoves } from '../fixture/moves.js';
import type { Row } from '../row.js';

export const row: Row = driverMoves('dma channel: move of 1 MiB, interrupts', 0x10_0000, 1 / 0.9);
