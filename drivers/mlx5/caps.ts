import { CAPS, CAPS_BYTES, CAPS_OFFSET, HEADER, OPCODES } from '../../hw/regs/nic-commands.js';
import { getWord, setWord } from '../../hw/regs/nic-words.js';
import type { Mlx5Caps } from './api.js';
import type { Commands } from './commands.js';

/** Bit 0 of the modifier: what could be, or what is so now. */
const MODIFIERS = { most: 0, now: 1 } as const;
const WORDS = (CAPS_OFFSET + CAPS_BYTES) / 4;

/** Asks the function what it can do. @throws {Errno} as `Mlx5Child.exec` @see Linux 7.2 drivers/net/ethernet/mellanox/mlx5/core/fw.c mlx5_query_hca_caps */
export async function queryCaps(commands: Commands, which: keyof typeof MODIFIERS = 'now'): Promise<Mlx5Caps> {
  const input = new Uint32Array(4);
  setWord(input, HEADER.opMod, MODIFIERS[which]);
  const output = await commands.exec(OPCODES.QUERY_HCA_CAP, input, new Uint32Array(WORDS));
  const caps = Object.entries(CAPS).map(([name, field]) => [name, getWord(output, field, CAPS_OFFSET)]);
  return Object.fromEntries(caps) as Mlx5Caps;
}

/** What the user of a function wants of what it can have. */
export interface WantedCaps {
  readonly enableRoce: boolean;
  /** A power of two. */
  readonly maxMacs: number;
}

/**
 * Tells the function what of it is wanted, before it is initialised; one that is as wanted is told nothing.
 * @param most what it can have
 * @throws {Errno} as `Mlx5Child.exec`
 * @see Linux 7.2 drivers/net/ethernet/mellanox/mlx5/core/main.c handle_hca_cap, handle_hca_cap_roce
 */
export async function setCaps(commands: Commands, most: Mlx5Caps, { enableRoce, maxMacs }: WantedCaps): Promise<void> {
  const wanted = { ...most, roce: enableRoce ? most.roce : 0, logMaxMacs: 1 + Math.min(Math.log2(maxMacs), most.logMaxMacs - 1) };
  if (wanted.roce === most.roce && wanted.logMaxMacs === most.logMaxMacs) return;
  const input = new Uint32Array(WORDS);
  for (const [name, field] of Object.entries(CAPS)) setWord(input, field, wanted[name as keyof Mlx5Caps], CAPS_OFFSET);
  await commands.exec(OPCODES.SET_HCA_CAP, input);
}

/** Unicast addresses that a port may have beside its own. */
export const macsOf = ({ logMaxMacs }: Mlx5Caps): number => 2 ** (logMaxMacs - 1);
