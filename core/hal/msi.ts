/** A message-signalled interrupt: one 32-bit write of `data` to a 64-bit address. All three are unsigned 32-bit words. */
export interface MsiMsg {
  readonly addressLo: number;
  readonly addressHi: number;
  readonly data: number;
}

/** What is written where no interrupt is to come from. */
export const NO_MSG: MsiMsg = { addressLo: 0, addressHi: 0, data: 0 };
