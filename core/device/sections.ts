/**
 * The synchronous sections that run in a core: operations, and calls of published objects. Interrupts wait for the outermost to
 * return.
 */
export class Sections {
  /** Sections on the stack. */
  depth = 0;
  /** Called when the outermost has returned. */
  onLeave: (() => void) | undefined = undefined;
  /** Refuses an operation where nothing may wait: in an interrupt handler. */
  check: (() => void) | undefined = undefined;

  /** Begins an operation of the core. @throws what `check` throws */
  enterOperation(): void {
    if (this.check !== undefined) this.check();
    this.depth++;
  }

  enter(): void {
    this.depth++;
  }

  leave(): void {
    if (--this.depth === 0 && this.onLeave !== undefined) this.onLeave();
  }

  /** As `leave`, where interrupts are taken care of. */
  leaveQuietly(): void {
    this.depth--;
  }
}
