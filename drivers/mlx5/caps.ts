import { CAPS, CAPS_BYTES, CAPS_OFFSET, HEADER, OPCODES } from '../../hw/regs/nic-commands.js';
import { getWord, setWord } from '../../hw/regs/nic-words.js';
import type { Mlx5Caps } from './api.js';
import type { Commands } from './commands.js';

/** Bit 0 of the modifier: what is so now, not what could be. */
const CURRENT = 1;

/** Asks the function what it can do. @throws {Errno} as `Mlx5Child.exec` @see Linux 7.2 drivers/net/ethernet/mellanox/mlx5/core/fw.c mlx5_query_hca_caps */
export async function queryCaps(commands: Commands): Promise<Mlx5Caps> {
  const input = new Uint32Array(4);
  setWord(input, HEADER.opMod, CURRENT);
  const output = await commands.exec(OPCODES.QUERY_HCA_CAP, input, new Uint32Array((CAPS_OFFSET + CAPS_BYTES) / 4));
  const caps = Object.entries(CAPS).map(([name, field]) => [name, getWord(output, field, CAPS_OFFSET)]);
  return Object.fromEntries(caps) as Mlx5Caps;
}
