import { packets } from '../fixture/packets.js';
import type { Row } from '../row.js';

export const row: Row = packets({ bytes: 64, batch: 1, queues: 8 });
