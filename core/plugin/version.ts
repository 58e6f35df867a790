import { Errno } from '../lib/errno.js';

/** The version of Backplane: what a plugin's `backplane` range is compared with. */
export const VERSION = '0.1.0';

type Triple = readonly [major: number, minor: number, patch: number];

const VERSION_TEXT = /^(\d+)\.(\d+)\.(\d+)$/;
const TERM_TEXT = /^(\^|~|>=|<=|>|<|=|)(\d+|[x*])(?:\.(\d+|[x*]))?(?:\.(\d+|[x*]))?$/;

/** @throws {Errno} EINVAL unless it is `major.minor.patch` */
export function parseVersion(text: string, who: string): Triple {
  const m = VERSION_TEXT.exec(text);
  if (m === null) throw new Errno('EINVAL', `${who}: version '${text}' is not major.minor.patch such as 1.2.0`);
  return [Number(m[1]), Number(m[2]), Number(m[3])];
}

/**
 * Whether a version is in a range: `^1.2`, `~1.2.3`, `>=1 <3`, `1.x`, `*`, and several of them with `||` between.
 * @throws {Errno} EINVAL when the range is not one
 * @see npm semver 7, ranges (without pre-releases and hyphens)
 */
export function inRange(version: string, range: string, who: string): boolean {
  const own = parseVersion(version, who);
  return range
    .split('||')
    .map((terms) =>
      terms
        .trim()
        .split(/\s+/)
        .map((term) => parseTerm(term, range, who)),
    )
    .some((terms) => terms.every(([from, to]) => compare(own, from) >= 0 && (to === undefined || compare(own, to) < 0)));
}

const compare = (a: Triple, b: Triple): number => a[0] - b[0] || a[1] - b[1] || a[2] - b[2];

const ZERO: Triple = [0, 0, 0];

/** One term as the first version inside and the first one beyond. */
function parseTerm(term: string, range: string, who: string): readonly [from: Triple, to: Triple | undefined] {
  const m = TERM_TEXT.exec(term);
  if (m === null) throw new Errno('EINVAL', `${who}: '${range}' is not a range of versions such as ^1.2`);
  const [, operator] = m;
  const parts = [m[2], m[3], m[4]].map((part) => (part === undefined || !/\d/.test(part) ? undefined : Number(part)));
  const [major, minor, patch] = parts;
  if (major === undefined) return [ZERO, undefined];
  const first: Triple = [major, minor ?? 0, patch ?? 0];
  const next: Triple =
    minor === undefined ? [major + 1, 0, 0] : patch === undefined ? [major, minor + 1, 0] : [major, minor, patch + 1];
  switch (operator) {
    case '^':
      if (major > 0 || minor === undefined) return [first, [major + 1, 0, 0]];
      return [first, minor > 0 || patch === undefined ? [0, minor + 1, 0] : next];
    case '~':
      return [first, minor === undefined ? next : [major, minor + 1, 0]];
    case '>=':
      return [first, undefined];
    case '>':
      return [next, undefined];
    case '<':
      return [ZERO, first];
    case '<=':
      return [ZERO, next];
    default:
      return [first, next];
  }
}
