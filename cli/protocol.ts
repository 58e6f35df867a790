import { Errno } from '../core/lib/errno.js';

/** Version of what is said on the socket. */
const VERSION = 1;
/** Characters of a request at most. */
export const REQUEST_LIMIT = 65_536;

/** One command line for the system at the other end. */
export interface Request {
  readonly argv: readonly string[];
  /** Where the caller is: relative paths are meant from there. */
  readonly cwd: string;
  readonly json: boolean;
  readonly colour: boolean;
}

/** What comes back: any number of texts, then the exit code. */
export type Reply = { readonly out: string } | { readonly err: string } | { readonly exit: number };

export function encodeRequest(request: Request): string {
  const line = JSON.stringify({ v: VERSION, ...request });
  if (line.length > REQUEST_LIMIT) throw tooLong(line.length);
  return `${line}\n`;
}

/** @throws {Errno} EPROTO for another version, EINVAL for what is no request */
export function decodeRequest(line: string): Request {
  let message: unknown;
  try {
    message = JSON.parse(line);
  } catch {
    throw new Errno('EINVAL', `request: not a line of JSON: ${JSON.stringify(line.slice(0, 40))}`);
  }
  if (typeof message !== 'object' || message === null) throw new Errno('EINVAL', 'request: not an object');
  const { v, argv, cwd, json, colour } = message as Readonly<Record<string, unknown>>;
  if (v !== VERSION) {
    throw new Errno('EPROTO', `request: version ${JSON.stringify(v)}, this is ${VERSION}: use one Backplane for both ends`);
  }
  if (!Array.isArray(argv) || !argv.every((word): word is string => typeof word === 'string') || typeof cwd !== 'string') {
    throw new Errno('EINVAL', 'request: wants argv, a list of strings, and cwd, a string');
  }
  return { argv, cwd, json: json === true, colour: colour === true };
}

export function encodeReply(reply: Reply): string {
  return `${JSON.stringify(reply)}\n`;
}

/** Makes lines of what arrives in pieces. */
export class LineReader {
  #rest = '';

  /** @param limit characters of a line at most */
  constructor(private readonly limit = Infinity) {}

  /**
   * The lines that `piece` completes, without their ends.
   * @throws {Errno} E2BIG for a line over the limit; nothing more can be read then
   */
  *push(piece: string): Generator<string> {
    this.#rest += piece;
    for (;;) {
      const end = this.#rest.indexOf('\n');
      const length = end < 0 ? this.#rest.length : end;
      if (length > this.limit) throw tooLong(length);
      if (end < 0) return;
      const line = this.#rest.slice(0, end);
      this.#rest = this.#rest.slice(end + 1);
      yield line;
    }
  }
}

const tooLong = (length: number): Errno => new Errno('E2BIG', `request: ${length} characters or more, at most ${REQUEST_LIMIT}`);
