/** Where the text of one command goes. */
export interface Io {
  out(text: string): void;
  err(text: string): void;
  /** Whether results are JSON: one value a line. */
  readonly json: boolean;
  readonly colour: boolean;
}

const CODES = { bold: [1, 22], dim: [2, 22], red: [31, 39], green: [32, 39], yellow: [33, 39], cyan: [36, 39] } as const;
/** How a word looks on a terminal. */
export type Style = keyof typeof CODES;

/** Marks text with a style where there is colour, and leaves it as it is elsewhere. */
export type Paint = (style: Style, text: string) => string;

/** What a command shows: each result once, as JSON or as text for people. */
export class Out {
  readonly #io: Io;
  readonly #isJson: boolean;

  constructor(io: Io, isJson = io.json) {
    this.#io = io;
    this.#isJson = isJson;
  }

  /**
   * @param text the lines that people see, made only when wanted; none for nothing to say
   * @param indent spaces before each level of the JSON; default none, and one line
   */
  show(value: unknown, text: (paint: Paint) => readonly string[], indent = 0): void {
    if (this.#isJson) this.#io.out(`${JSON.stringify(value, undefined, indent)}\n`);
    else for (const line of text(this.#paint)) this.#io.out(`${line}\n`);
  }

  readonly #paint: Paint = (style, text) => {
    if (!this.#io.colour || text === '') return text;
    const [on, off] = CODES[style];
    return `\x1b[${on}m${text}\x1b[${off}m`;
  };
}

/** Lays out rows as columns, two spaces apart; the last one may be of any length. */
export function columns(rows: readonly (readonly string[])[]): string[] {
  const widths: number[] = [];
  for (const row of rows) for (const [i, cell] of row.entries()) widths[i] = Math.max(widths[i] ?? 0, cell.length);
  return rows.map((row) =>
    row
      .map((cell, i) => cell.padEnd(widths[i]!))
      .join('  ')
      .trimEnd(),
  );
}
