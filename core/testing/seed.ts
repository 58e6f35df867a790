let seed = 1;

/** The seed of everything random in the kit: 1, or what the test set-up read from `BACKPLANE_SEED`. */
export function defaultSeed(): number {
  return seed;
}

/** @internal */
export function setDefaultSeed(value: number): void {
  seed = value;
}
