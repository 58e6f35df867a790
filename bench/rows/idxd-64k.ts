import { driverMoves } from '../fixture/moves.js';
import type { Row } from '../row.js';

export const row: Row = driverMoves('dma channel: move of 64 KiB, interrupts', 0x1_0000, undefined);
