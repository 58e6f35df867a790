import { Errno } from '../../core/index.js';
import { ACCESS_REG, HEADER, MCQI, MFRL, OPCODES, RESET_LEVELS } from '../../hw/regs/nic-commands.js';
import { getWord, setWord } from '../../hw/regs/nic-words.js';
import type { Commands } from './commands.js';

/** A register of the adapter. */
interface Register {
  readonly id: number;
  readonly sizeBytes: number;
}

/** @see Linux 7.2 drivers/net/ethernet/mellanox/mlx5/core/port.c mlx5_core_access_reg */
async function access(
  commands: Commands,
  { id, sizeBytes }: Register,
  how: 'read' | 'write',
  fill: (words: Uint32Array) => void = () => {},
): Promise<Uint32Array> {
  const words = (ACCESS_REG.data + sizeBytes) / 4;
  const input = new Uint32Array(words);
  setWord(input, HEADER.opMod, ACCESS_REG[how]);
  setWord(input, ACCESS_REG.register, id);
  fill(input);
  return commands.exec(OPCODES.ACCESS_REG, input, new Uint32Array(words));
}

/** The version of the firmware that waits to run; undefined when none does. @see Linux 7.2 fw.c mlx5_fw_version_query */
export async function storedVersion(commands: Commands): Promise<readonly [number, number, number] | undefined> {
  const output = await access(commands, MCQI, 'read', (words) => {
    setWord(words, MCQI.pending, 1, ACCESS_REG.data);
    setWord(words, MCQI.infoType, MCQI.version, ACCESS_REG.data);
  });
  const word = getWord(output, MCQI.word, ACCESS_REG.data);
  return word === 0 ? undefined : [word >>> 24, (word >>> 16) & 0xff, word & 0xffff];
}

/**
 * Has the stored firmware run from the next reset on, or at once.
 * @throws {Errno} EINVAL when it cannot be done so; as `Mlx5Child.exec`
 * @see Linux 7.2 devlink.c mlx5_devlink_reload_fw_activate, mlx5_devlink_trigger_fw_live_patch
 */
export async function activateFirmware(commands: Commands, how: 'reset' | 'live'): Promise<void> {
  const levels = getWord(await access(commands, MFRL, 'read'), MFRL.level, ACCESS_REG.data);
  const level = RESET_LEVELS[how];
  if ((levels & level) === 0) throw new Errno('EINVAL', `mlx5_core: ${CANNOT[how]}`);
  try {
    await access(commands, MFRL, 'write', (words) => setWord(words, MFRL.level, level, ACCESS_REG.data));
  } catch (error) {
    if (!Errno.is(error)) throw error;
    throw new Errno(error.code, `mlx5_core: FW activate command failed: ${error.text}`, { cause: error });
  }
}

const CANNOT = {
  reset: 'FW activate requires reboot',
  live: "FW upgrade to the stored FW can't be done by FW live patching",
} as const;
