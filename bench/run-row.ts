import { measure } from './measure.js';
import { ROWS } from './rows/index.js';

/** Measures one row in this process, in which nothing else has run: `run-row.js ROW ROUNDS MS`; the result goes out as JSON. */
const [id = '', rounds, roundMs] = process.argv.slice(2);
const row = await ROWS[id]!();
console.log(JSON.stringify(await measure(id, row, { rounds: Number(rounds), roundMs: Number(roundMs) })));
