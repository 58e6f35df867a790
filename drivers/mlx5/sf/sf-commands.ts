import { CAPS, CAPS_BYTES, CAPS_OFFSET, FUNCTION_ID, OPCODES } from '../../../hw/regs/nic-commands.js';
import { NIC_VPORT, NIC_VPORT_IN, NIC_VPORT_SELECT, VHCA, VPORT } from '../../../hw/regs/nic-contexts.js';
import { type WordField, getWord, setWord } from '../../../hw/regs/nic-words.js';
import type { Mlx5Child } from '../api.js';

/** Who runs commands: the manager. */
type Manager = Pick<Mlx5Child, 'exec'>;

/** A sub-function, as the device has it. */
export interface VhcaState {
  readonly functionId: number;
  /** One of `VHCA_STATES`. */
  readonly state: number;
  readonly sfnum: number;
}

const HEADER_WORDS = 4;
const VHCA_WORDS = 6;
const CAPS_WORDS = (CAPS_OFFSET + CAPS_BYTES) / 4;

function about(functionId: number, words = HEADER_WORDS): Uint32Array {
  const input = new Uint32Array(words);
  setWord(input, FUNCTION_ID, functionId);
  return input;
}

/** Each of them throws as `Mlx5Child.exec`. @see Linux 7.2 drivers/net/ethernet/mellanox/mlx5/core/sf/cmd.c */
export async function allocSf(manager: Manager, functionId: number): Promise<void> {
  await manager.exec(OPCODES.ALLOC_SF, about(functionId));
}

export async function deallocSf(manager: Manager, functionId: number): Promise<void> {
  await manager.exec(OPCODES.DEALLOC_SF, about(functionId));
}

/** Lets the function be used. */
export async function enableSf(manager: Manager, functionId: number): Promise<void> {
  await manager.exec(OPCODES.ENABLE_HCA, about(functionId));
}

/** Has the function given up by who uses it. */
export async function disableSf(manager: Manager, functionId: number): Promise<void> {
  await manager.exec(OPCODES.DISABLE_HCA, about(functionId));
}

/** @see Linux 7.2 drivers/net/ethernet/mellanox/mlx5/core/sf/vhca_event.c mlx5_cmd_query_vhca_state */
export async function queryVhca(manager: Manager, functionId: number): Promise<VhcaState> {
  const output = await manager.exec(OPCODES.QUERY_VHCA_STATE, about(functionId), new Uint32Array(VHCA_WORDS));
  return { functionId, state: getWord(output, VHCA.state), sfnum: getWord(output, VHCA.swFunctionId) };
}

/** Tells the device what its user calls the function. */
export async function setSfnum(manager: Manager, functionId: number, sfnum: number): Promise<void> {
  const input = about(functionId, VHCA_WORDS);
  setWord(input, VHCA.select, VHCA.selectSwId);
  setWord(input, VHCA.swFunctionId, sfnum);
  await manager.exec(OPCODES.MODIFY_VHCA_STATE, input);
}

/** The next change of its state gives an event; so does one that nobody has asked for yet. */
export async function armVhca(manager: Manager, functionId: number): Promise<void> {
  const input = about(functionId, VHCA_WORDS);
  setWord(input, VHCA.select, VHCA.selectArm);
  setWord(input, VHCA.arm, 1);
  await manager.exec(OPCODES.MODIFY_VHCA_STATE, input);
}

/**
 * Changes what a function may have at most, and leaves the rest.
 * @see Linux 7.2 drivers/net/ethernet/mellanox/mlx5/core/vport.c mlx5_vport_set_other_func_cap
 */
export async function allow(manager: Manager, functionId: number, cap: keyof typeof CAPS, value: number): Promise<void> {
  const caps = await manager.exec(OPCODES.QUERY_HCA_CAP, about(functionId), new Uint32Array(CAPS_WORDS));
  const input = about(functionId, CAPS_WORDS);
  input.set(caps.subarray(CAPS_OFFSET / 4), CAPS_OFFSET / 4);
  const field: WordField = CAPS[cap];
  setWord(input, field, value, CAPS_OFFSET);
  await manager.exec(OPCODES.SET_HCA_CAP, input);
}

/** Gives the port of another function its address. @param address six bytes */
export async function setVportAddress(manager: Manager, vport: number, address: Uint8Array): Promise<void> {
  const input = new Uint32Array((NIC_VPORT_IN + NIC_VPORT.list) / 4);
  setWord(input, VPORT.other, 1);
  setWord(input, VPORT.number, vport);
  setWord(input, NIC_VPORT_SELECT.select, NIC_VPORT_SELECT.address);
  writeAddress(input, NIC_VPORT_IN + NIC_VPORT.address, address);
  await manager.exec(OPCODES.MODIFY_NIC_VPORT_CONTEXT, input);
}

/** 15:0 of the word at `offset`, and all of the next. */
export function writeAddress(words: Uint32Array, offset: number, [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0]: Uint8Array): void {
  words[offset / 4] = (a << 8) | b;
  words[offset / 4 + 1] = (c << 24) | (d << 16) | (e << 8) | f;
}
