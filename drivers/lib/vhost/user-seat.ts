import { Errno } from '../../../core/index.js';

/** Who has a vDPA device: one user at a time, by whatever interface he came. */
export class UserSeat {
  #user: string | undefined = undefined;

  /**
   * @param name of the device
   * @param user by what he has it
   * @throws {Errno} EBUSY while it has one
   */
  take(name: string, user: string): void {
    if (this.#user !== undefined) throw new Errno('EBUSY', `${name}: has a user, ${this.#user}: close that first`);
    this.#user = user;
  }

  leave(): void {
    this.#user = undefined;
  }
}
