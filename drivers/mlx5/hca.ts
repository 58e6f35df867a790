import { type Device, Errno, type PciDevice } from '../../core/index.js';
import { DRIVER_VERSION, ISSI, OPCODES, SW_OWNER_ID, TEARDOWN } from '../../hw/regs/nic-commands.js';
import { getWord, setWord } from '../../hw/regs/nic-words.js';
import { commandName } from './cmd-status.js';
import type { Commands } from './commands.js';
import type { FunctionWindow } from './function-window.js';

const LOOK_US = 20_000;
/** It is said again that the firmware starts still. */
const WARN_US = 20_000_000;
/** What the firmware knows its driver by. @see Linux 7.2 drivers/net/ethernet/mellanox/mlx5/core/main.c mlx5_set_driver_version */
const VERSION = 'Linux,mlx5_core,7.2.0';
/** @see Linux 7.2 drivers/net/ethernet/mellanox/mlx5/core/main.c mlx5_core_set_issi */
const ISSI_VERSION = 1;

const none = (): Uint32Array => new Uint32Array(4);

/**
 * Waits until the firmware of a function has started.
 * @param isBroken asked at each look: whether its driver is being removed
 * @throws {Errno} ETIMEDOUT when it does not; ENODEV when it is gone, or {@link isBroken}
 * @see Linux 7.2 drivers/net/ethernet/mellanox/mlx5/core/main.c wait_fw_init
 */
export async function waitFirmware(
  dev: Device,
  pci: PciDevice,
  window: FunctionWindow,
  timeoutUs: number,
  isBroken: () => boolean,
): Promise<void> {
  const { clock } = pci;
  const begin = clock.now();
  let warnUs = WARN_US;
  while (window.isInitializing) {
    if (pci.isGone || isBroken()) throw new Errno('ENODEV', `${dev.name}: its driver is removed while the firmware starts`);
    const passed = clock.now() - begin;
    if (passed >= timeoutUs) throw new Errno('ETIMEDOUT', `${dev.name}: the firmware has not started within ${timeoutUs} us`);
    if (passed >= warnUs) {
      warnUs += WARN_US;
      dev.log(
        'warn',
        `Waiting for FW initialization, timeout abort in ${Math.ceil((timeoutUs - passed) / 1e6)}s`,
        'wait_firmware',
      );
    }
    await clock.sleep(Math.min(LOOK_US, timeoutUs - passed));
  }
}

/** The function is its driver's. */
export async function enableHca(commands: Commands): Promise<void> {
  await commands.exec(OPCODES.ENABLE_HCA, none());
}

export async function disableHca(commands: Commands): Promise<void> {
  await commands.exec(OPCODES.DISABLE_HCA, none());
}

/** Agrees on which interface is spoken. @throws {Errno} EOPNOTSUPP when there is none that both know */
export async function setIssi(dev: Device, commands: Commands): Promise<void> {
  const output = await commands.exec(OPCODES.QUERY_ISSI, none(), new Uint32Array(ISSI.outBytes / 4));
  const supported = getWord(output, ISSI.supported);
  if ((supported & (1 << ISSI_VERSION)) !== 0) {
    const input = none();
    setWord(input, ISSI.current, ISSI_VERSION);
    await commands.exec(OPCODES.SET_ISSI, input);
  } else if ((supported & 1) === 0) {
    throw new Errno('EOPNOTSUPP', `${dev.name}: speaks none of the interfaces 0 and ${ISSI_VERSION}`);
  }
}

/** From now on the function works. @param owner tells apart who has functions of one adapter */
export async function initHca(commands: Commands, owner: number): Promise<void> {
  const input = new Uint32Array((SW_OWNER_ID + 16) / 4);
  input[SW_OWNER_ID / 4] = owner + 1;
  await commands.exec(OPCODES.INIT_HCA, input);
}

/** @param force what is under way is cut off; @throws {Errno} EIO when the firmware does not do that */
export async function teardownHca(dev: Device, commands: Commands, force = false): Promise<void> {
  const input = none();
  setWord(input, TEARDOWN.profile, force ? TEARDOWN.force : TEARDOWN.graceful);
  const output = await commands.exec(OPCODES.TEARDOWN_HCA, input);
  if (force && getWord(output, TEARDOWN.state) !== 0) {
    throw new Errno('EIO', `${dev.name}: ${commandName(OPCODES.TEARDOWN_HCA)}: was not forced`);
  }
}

/** Tells the firmware who drives it. */
export async function setDriverVersion(commands: Commands): Promise<void> {
  const { offset, sizeBytes } = DRIVER_VERSION;
  const input = new Uint32Array((offset + sizeBytes) / 4);
  for (let n = 0; n < VERSION.length; n++) {
    const index = (offset + n) >>> 2;
    input[index] = input[index]! | (VERSION.charCodeAt(n) << (24 - 8 * (n & 3)));
  }
  await commands.exec(OPCODES.SET_DRIVER_VERSION, input);
}
