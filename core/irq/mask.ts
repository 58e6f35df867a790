import type { IrqDesc } from './desc.js';
import * as S from './state.js';

/** Masks at the hardware, once. @internal */
export function maskIrq(desc: IrqDesc): void {
  if ((desc.state & S.MASKED) !== 0) return;
  const { data } = desc;
  if (data.chip.mask === undefined) return;
  data.chip.mask(data);
  desc.state |= S.MASKED;
}

/** Unmasks at the hardware, if it is masked. @internal */
export function unmaskIrq(desc: IrqDesc): void {
  if ((desc.state & S.MASKED) === 0) return;
  const { data } = desc;
  if (data.chip.unmask === undefined) return;
  data.chip.unmask(data);
  desc.state &= ~S.MASKED;
}
