/** A command line that is wrong in itself: the program ends with exit code 2 and names the help. */
export class UsageError extends Error {
  override get name(): string {
    return 'UsageError';
  }
}
