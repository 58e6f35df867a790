import { packets } from '../fixture/packets.js';
import type { Row } from '../row.js';

export const row: Row = packets({ bytes: 1500, batch: 32, queues: 1 });
