import { Errno, type ErrnoCode, hex } from '../../core/index.js';
import { DELIVERY, HEADER, OPCODES, STATUS } from '../../hw/regs/nic-commands.js';
import { getWord, setWord } from '../../hw/regs/nic-words.js';

const STATUS_CODES: Readonly<Record<number, ErrnoCode>> = {
  [STATUS.internal]: 'EIO',
  [STATUS.badOpcode]: 'EINVAL',
  [STATUS.badParameter]: 'EINVAL',
  [STATUS.badSystemState]: 'EIO',
  [STATUS.badResource]: 'EINVAL',
  [STATUS.busy]: 'EBUSY',
  [STATUS.notReady]: 'EAGAIN',
  [STATUS.limit]: 'ENOMEM',
  [STATUS.badResourceState]: 'EINVAL',
  [STATUS.index]: 'EINVAL',
  [STATUS.noResources]: 'EAGAIN',
  [STATUS.badQpState]: 'EINVAL',
  [STATUS.badPacket]: 'EINVAL',
  [STATUS.badSize]: 'EINVAL',
  [STATUS.inLength]: 'EIO',
  [STATUS.outLength]: 'EIO',
};

const DELIVERY_CODES: Readonly<Record<number, ErrnoCode>> = {
  [DELIVERY.signature]: 'EBADR',
  [DELIVERY.token]: 'EBADR',
  [DELIVERY.block]: 'EFAULT',
  [DELIVERY.outAlign]: 'EFAULT',
  [DELIVERY.inAlign]: 'EFAULT',
  [DELIVERY.firmware]: 'EIO',
  [DELIVERY.inLength]: 'ENOMSG',
  [DELIVERY.outLength]: 'ENOMSG',
  [DELIVERY.reserved]: 'ENOMSG',
  [DELIVERY.type]: 'ENOMSG',
};

const NAMES = new Map<number, string>(Object.entries(OPCODES).map(([name, opcode]) => [opcode, name]));

/** What undoes something: it succeeds on a function that has failed, where nothing is left to undo. */
const UNDOES = /^(DESTROY|DEALLOC|DELETE|TEARDOWN|DISABLE|MANAGE_PAGES)/;

/** What the answer of a command says that was refused by the driver. @see Linux 7.2 drivers/net/ethernet/mellanox/mlx5/core/cmd.c */
const INTERNAL_ERROR = { status: 0xfe, syndrome: 0xbadd_00de } as const;

/** Whether a command undoes what another has done. */
export const undoes = (opcode: number): boolean => UNDOES.test(NAMES.get(opcode) ?? '');

/** `CREATE_EQ(0x301)`, as messages have it. */
export function commandName(opcode: number): string {
  return `${NAMES.get(opcode) ?? 'unknown command'}(0x${hex(opcode)})`;
}

/** The error of a delivery status other than 0. @see Linux 7.2 cmd.c deliv_status_to_err */
export function deliveryError(who: string, opcode: number, delivery: number): Errno {
  const code = DELIVERY_CODES[delivery] ?? 'EINVAL';
  return new Errno(code, `${who}: ${commandName(opcode)}: was not delivered, status 0x${hex(delivery)}`);
}

/** The error of an answer; undefined for one without. @see Linux 7.2 cmd.c cmd_status_to_err */
export function statusError(who: string, opcode: number, output: Uint32Array): Errno | undefined {
  const status = getWord(output, HEADER.status);
  if (status === STATUS.ok) return undefined;
  const syndrome = hex(getWord(output, HEADER.syndrome));
  return new Errno(
    STATUS_CODES[status] ?? 'EIO',
    `${who}: ${commandName(opcode)}: status 0x${hex(status)}, syndrome 0x${syndrome}`,
  );
}

/**
 * What becomes of a command on a function that has failed or is gone: the answer is written by the driver.
 * @returns undefined when it succeeds
 * @see Linux 7.2 cmd.c mlx5_internal_err_ret_value
 */
export function failedFunctionError(who: string, opcode: number, output: Uint32Array): Errno | undefined {
  output.fill(0);
  if (!NAMES.has(opcode)) return new Errno('EINVAL', `${who}: ${commandName(opcode)}: on a function that is down`);
  if (undoes(opcode)) return undefined;
  setWord(output, HEADER.status, INTERNAL_ERROR.status);
  setWord(output, HEADER.syndrome, INTERNAL_ERROR.syndrome);
  return new Errno('ENOLINK', `${who}: ${commandName(opcode)}: the function is down`);
}
