import type { DsaDevice } from '../../hw/models/dsa/device.js';

/** Has the device take all its handles back, so many turns after it is next asked for one. @returns settles when that was done */
export function revokedOnRequest(silicon: DsaDevice, turns: number): Promise<void> {
  const { interrupts } = silicon;
  const request = interrupts.request.bind(interrupts);
  return new Promise((resolve) => {
    const revoke = async (): Promise<void> => {
      for (let turn = 0; turn < turns; turn++) await Promise.resolve();
      silicon.revokeHandles();
      resolve();
    };
    interrupts.request = (index, isIms) => {
      interrupts.request = request;
      void revoke();
      return request(index, isIms);
    };
  });
}
