import { describe, expect, test } from 'vitest';
import * as CMDS from '../../../../hw/regs/nic-commands.js';
import { FUNCTION_STATES } from '../../../../hw/models/nic/index.js';
import * as NIC from '../../../../hw/regs/nic.js';
import { getAddress, getWord, setAddress, setWord } from '../../../../hw/regs/nic-words.js';
import { type FunctionDriver, Host, working } from './fixture.js';
import { PAGE } from './memory.js';

const { CAPS, CAPS_BYTES, CAPS_OFFSET, DRIVER_VERSION, ISSI, MANAGE_PAGES, OPCODES, PAGES, STATUS, TEARDOWN } = CMDS;
const CAPS_OUT = { outBytes: CAPS_OFFSET + CAPS_BYTES };
const CURRENT = 1;

const cap = (driver: FunctionDriver, name: keyof typeof CAPS, opMod = CURRENT, id = 0): number => {
  const fill = (words: Uint32Array): void => setWord(words, CMDS.FUNCTION_ID, id);
  return getWord(driver.must(OPCODES.QUERY_HCA_CAP, { ...CAPS_OUT, opMod, fill }), CAPS[name], CAPS_OFFSET);
};

/** MANAGE_PAGES that takes up to `count`. */
function take(driver: FunctionDriver, count: number): number[] {
  const output = driver.must(OPCODES.MANAGE_PAGES, {
    opMod: MANAGE_PAGES.take,
    outBytes: MANAGE_PAGES.pages + 8 * count,
    fill: (words) => setWord(words, MANAGE_PAGES.count, count),
  });
  const taken = getWord(output, MANAGE_PAGES.outCount);
  return Array.from({ length: taken }, (_, i) => getAddress(output, MANAGE_PAGES.pages + 8 * i));
}

/** Status of a MANAGE_PAGES that gives these addresses, and says that there are `count`. */
function give(driver: FunctionDriver, addresses: readonly number[], count = addresses.length): number {
  const fill = (words: Uint32Array): void => {
    setWord(words, MANAGE_PAGES.count, count);
    addresses.forEach((address, i) => setAddress(words, MANAGE_PAGES.pages + 8 * i, address));
  };
  return driver.exec(OPCODES.MANAGE_PAGES, { opMod: MANAGE_PAGES.give, inBytes: MANAGE_PAGES.pages + 8 * addresses.length, fill })
    .status;
}

describe('nic: a function comes up', () => {
  test('commands come in their order: before ENABLE_HCA and INIT_HCA most have status 0x04', () => {
    const host = new Host();
    const pf = host.driver();
    const needsEnabled = ['QUERY_HCA_CAP', 'QUERY_PAGES', 'MANAGE_PAGES', 'SET_ISSI', 'INIT_HCA'] as const;
    const needsInit = ['TEARDOWN_HCA', 'CREATE_EQ', 'ALLOC_PD', 'ALLOC_UAR', 'ALLOC_SF', 'QUERY_VHCA_STATE'] as const;
    const statuses = (names: readonly CMDS.OpcodeName[]): number[] => names.map((name) => pf.exec(OPCODES[name]).status);
    expect(pf.exec(OPCODES.NOP).status).toBe(STATUS.ok);
    expect(new Set(statuses([...needsEnabled, ...needsInit]))).toEqual(new Set([STATUS.badSystemState]));
    expect(pf.exec(OPCODES.DISABLE_HCA).status).toBe(STATUS.badResourceState);
    pf.must(OPCODES.ENABLE_HCA);
    expect(pf.exec(OPCODES.ENABLE_HCA).status).toBe(STATUS.badResourceState);
    expect(new Set(statuses(needsInit))).toEqual(new Set([STATUS.badSystemState]));
    expect(pf.exec(OPCODES.QUERY_HCA_CAP, CAPS_OUT).status).toBe(STATUS.ok);
    expect(host.device.pf.state).toBe(FUNCTION_STATES.enabled);
  });

  test('INIT_HCA waits for its pages', () => {
    const host = new Host({ pages: { boot: 2, init: 3 } });
    const pf = host.driver();
    pf.must(OPCODES.ENABLE_HCA);
    expect([pf.wanted(PAGES.boot), pf.wanted(PAGES.init)]).toEqual([2, 5]);
    pf.give(2);
    expect([pf.wanted(PAGES.boot), pf.wanted(PAGES.init)]).toEqual([0, 3]);
    expect(pf.exec(OPCODES.INIT_HCA).status).toBe(STATUS.badSystemState);
    pf.give(3);
    expect(pf.exec(OPCODES.INIT_HCA).status).toBe(STATUS.ok);
    expect(pf.exec(OPCODES.INIT_HCA).status).toBe(STATUS.badSystemState);
  });

  test('TEARDOWN_HCA ends all objects, DISABLE_HCA forgets all memory; then it comes up again', () => {
    const { host, pf } = working();
    const eq = pf.createEq();
    expect(getWord(pf.must(OPCODES.TEARDOWN_HCA), TEARDOWN.state)).toBe(0);
    expect([pf.exec(OPCODES.ALLOC_PD).status, host.device.pf.eqs.length]).toEqual([STATUS.badSystemState, 0]);
    eq.arm();
    expect(host.device.pf.uarViolations).toBe(1);
    expect(take(pf, 100)).toHaveLength(80);
    pf.must(OPCODES.DISABLE_HCA);
    expect(host.device.pf.state).toBe(FUNCTION_STATES.disabled);
    pf.bringUp();
    expect(pf.createEq().number).toBe(0);
  });

  test('TEARDOWN_HCA has two profiles', () => {
    const { pf } = working();
    const profile = (value: number) => ({ fill: (words: Uint32Array) => setWord(words, TEARDOWN.profile, value) });
    expect(pf.exec(OPCODES.TEARDOWN_HCA, profile(2)).status).toBe(STATUS.badParameter);
    expect(pf.exec(OPCODES.TEARDOWN_HCA, profile(TEARDOWN.force)).status).toBe(STATUS.ok);
  });

  test('ISSI is 0 or 1', () => {
    const { pf } = working();
    const output = pf.must(OPCODES.QUERY_ISSI, { outBytes: ISSI.outBytes });
    expect([getWord(output, ISSI.current), getWord(output, ISSI.supported)]).toEqual([1, 3]);
    const set = (issi: number): number =>
      pf.exec(OPCODES.SET_ISSI, { fill: (words) => setWord(words, ISSI.current, issi) }).status;
    expect([set(0), set(2), set(34)]).toEqual([STATUS.ok, STATUS.badParameter, STATUS.badParameter]);
    expect(pf.exec(OPCODES.QUERY_ISSI).status).toBe(STATUS.outLength);
  });

  test('SET_DRIVER_VERSION keeps a text', () => {
    const { host, pf } = working();
    const text = 'Linux,mlx5_core,7.2.0';
    pf.must(OPCODES.SET_DRIVER_VERSION, {
      inBytes: DRIVER_VERSION.offset + DRIVER_VERSION.sizeBytes,
      fill: (words) => {
        for (let i = 0; i < text.length; i++) words[4 + (i >> 2)]! |= text.charCodeAt(i) << (24 - 8 * (i & 3));
      },
    });
    expect(host.device.pf.driverVersion).toBe(text);
    expect(pf.exec(OPCODES.SET_DRIVER_VERSION).status).toBe(STATUS.inLength);
    expect(pf.exec(OPCODES.QUERY_ADAPTER).status).toBe(STATUS.ok);
  });
});

describe('nic capabilities', () => {
  test('are those of the part, and differ for sub-functions', () => {
    const { pf } = working({ sfs: 7, msix: 33, imsCapacity: 500 });
    const sizes = { logMaxEq: 6, logMaxCq: 16, logMaxSq: 16, logMaxRq: 16, numPorts: 1, logMinSfSize: 4, logBfRegSize: 9 };
    const expected = { ...sizes, maxNumSf: 7, sfBaseId: 0x8000, maxDynamicMsix: 33, imsCapacity: 500 };
    for (const [name, value] of Object.entries(expected)) expect(cap(pf, name as keyof typeof CAPS)).toBe(value);
    const flags = [
      'vhcaState',
      'eswitchManager',
      'uar4k',
      'ethernet',
      'roce',
      'ims',
      'pageRequestDisable',
      'virtioNetQ',
    ] as const;
    expect(flags.map((name) => cap(pf, name))).toEqual([1, 1, 1, 1, 1, 1, 0, 0]);
    pf.about(OPCODES.ALLOC_SF, NIC.SF_BASE_ID);
    const ofSf = (name: keyof typeof CAPS): number => cap(pf, name, CURRENT, NIC.SF_BASE_ID);
    expect(
      ['maxNumSf', 'eswitchManager', 'vhcaState', 'virtioNetQ', 'vhcaId'].map((name) => ofSf(name as keyof typeof CAPS)),
    ).toEqual([0, 0, 0, 1, NIC.SF_BASE_ID]);
  });

  test('a part without messages in memory, or without requests for pages, says so', () => {
    const { pf } = working({ pageRequests: false });
    expect([cap(pf, 'ims'), cap(pf, 'imsCapacity'), cap(pf, 'pageRequestDisable')]).toEqual([0, 0, 1]);
  });

  test('the general ones alone are there, and 272 bytes of room are needed', () => {
    const { pf } = working();
    expect(pf.exec(OPCODES.QUERY_HCA_CAP, { ...CAPS_OUT, opMod: 2 }).status).toBe(STATUS.badParameter);
    expect(pf.exec(OPCODES.QUERY_HCA_CAP).status).toBe(STATUS.outLength);
    expect(pf.exec(OPCODES.SET_HCA_CAP).status).toBe(STATUS.inLength);
    const other = { ...CAPS_OUT, fill: (words: Uint32Array) => setWord(words, CMDS.FUNCTION_ID, NIC.SF_BASE_ID) };
    expect(pf.exec(OPCODES.QUERY_HCA_CAP, other).status).toBe(STATUS.badParameter);
  });

  test('the manager sets how many event queues a sub-function has; it lasts until that is gone', () => {
    const { host, pf } = working();
    const id = NIC.SF_BASE_ID + 2;
    const set = (maxEqs: number, roce = 1) =>
      pf.exec(OPCODES.SET_HCA_CAP, {
        inBytes: CAPS_OFFSET + CAPS_BYTES,
        fill: (words) => {
          setWord(words, CMDS.FUNCTION_ID, id);
          setWord(words, CAPS.maxNumEqs, maxEqs, CAPS_OFFSET);
          setWord(words, CAPS.roce, roce, CAPS_OFFSET);
        },
      }).status;
    expect(set(3)).toBe(STATUS.badParameter);
    pf.about(OPCODES.ALLOC_SF, id);
    expect([set(65), set(3, 0)]).toEqual([STATUS.badParameter, STATUS.ok]);
    pf.about(OPCODES.ENABLE_HCA, id);
    const sf = host.driver(id).bringUp();
    expect([cap(sf, 'maxNumEqs'), cap(sf, 'roce'), cap(sf, 'roce', 0)]).toEqual([3, 0, 0]);
    const uar = sf.alloc(OPCODES.ALLOC_UAR);
    for (let n = 0; n < 3; n++) sf.createEq({ uar });
    expect(() => sf.createEq({ uar })).toThrow(`status ${STATUS.noResources}`);
    sf.must(OPCODES.DISABLE_HCA);
    pf.about(OPCODES.DISABLE_HCA, id);
    pf.about(OPCODES.DEALLOC_SF, id);
    pf.about(OPCODES.ALLOC_SF, id);
    expect([cap(pf, 'maxNumEqs', CURRENT, id), cap(pf, 'roce', CURRENT, id)]).toEqual([0, 1]);
  });
});

describe('nic pages', () => {
  test('are memory that the firmware writes to, and give back what came first', () => {
    const { host, pf } = working({ pages: { boot: 1, init: 1 } });
    host.memory.writes.length = 0;
    const pages = pf.give(3);
    expect(host.memory.writes.filter(([at]) => pages.includes(at)).map(([at]) => at)).toEqual(pages);
    const taken = take(pf, 5);
    expect(taken).toHaveLength(3);
    expect(taken[2]).toBe(pages[0]);
    expect(host.device.pf.pages.count).toBe(2);
  });

  test('what is no page of memory is refused, and none of its list is taken', () => {
    const { host, pf } = working();
    const [a, b] = [host.memory.alloc(PAGE), host.memory.alloc(PAGE)];
    const before = host.device.pf.pages.count;
    expect(give(pf, [a, b + 8])).toBe(STATUS.badParameter);
    expect(give(pf, [a, a])).toBe(STATUS.badParameter);
    expect(give(pf, [a, 2 ** 53])).toBe(STATUS.badParameter);
    host.memory.unmap(b, PAGE);
    expect(give(pf, [a, b])).toBe(STATUS.badParameter);
    expect(give(pf, [a], 40)).toBe(STATUS.inLength);
    expect(host.device.pf.pages.count).toBe(before);
    expect([give(pf, [a]), give(pf, [a])]).toEqual([STATUS.ok, STATUS.badParameter]);
  });

  test('more are asked for by an event, and fewer likewise', () => {
    const { host, pf } = working();
    const eq = pf.createEq({ events: [NIC.EVENTS.pageRequest] });
    eq.arm();
    host.device.pf.pages.request(4);
    const { view } = eq.next()!;
    expect([view.getUint16(NIC.EQE.pageFunction, true), view.getInt32(NIC.EQE.pageCount, true)]).toEqual([0, 4]);
    expect([host.takeIrqs(), pf.wanted(PAGES.regular)]).toEqual([[0], 4]);
    pf.give(3);
    expect(pf.wanted(PAGES.regular)).toBe(1);
    pf.must(OPCODES.MANAGE_PAGES, { opMod: MANAGE_PAGES.cannotGive });
    expect(pf.wanted(PAGES.regular)).toBe(0);
    host.device.pf.pages.request(-3);
    expect([eq.next()!.view.getInt32(NIC.EQE.pageCount, true), pf.wanted(PAGES.regular)]).toEqual([-3, -3]);
    expect([take(pf, 3).length, pf.wanted(PAGES.regular)]).toEqual([3, 0]);
  });

  test('commands about them have other ways to be wrong', () => {
    const { pf } = working();
    const about = (id: number) => (words: Uint32Array) => setWord(words, CMDS.FUNCTION_ID, id);
    expect(pf.exec(OPCODES.QUERY_PAGES, { opMod: 9 }).status).toBe(STATUS.badParameter);
    expect(pf.exec(OPCODES.MANAGE_PAGES, { opMod: 9 }).status).toBe(STATUS.badParameter);
    expect(pf.exec(OPCODES.QUERY_PAGES, { opMod: PAGES.boot, fill: about(77) }).status).toBe(STATUS.badParameter);
    expect(pf.exec(OPCODES.MANAGE_PAGES, { opMod: 1, fill: about(77) }).status).toBe(STATUS.badParameter);
    const many = (words: Uint32Array): void => setWord(words, MANAGE_PAGES.count, 0xffff_ffff);
    expect(pf.exec(OPCODES.MANAGE_PAGES, { opMod: MANAGE_PAGES.take, fill: many }).status).toBe(STATUS.outLength);
  });
});

describe('nic objects', () => {
  test.each([
    ['PD', OPCODES.ALLOC_PD, OPCODES.DEALLOC_PD, 1],
    ['UAR', OPCODES.ALLOC_UAR, OPCODES.DEALLOC_UAR, NIC.FIRST_UAR],
  ])('%s numbers are the lowest that are free', (_, alloc, dealloc, first) => {
    const { pf } = working();
    expect([0, 1, 2].map(() => pf.alloc(alloc))).toEqual([first, first + 1, first + 2]);
    expect(pf.about(dealloc, first + 1).status).toBe(STATUS.ok);
    expect(pf.about(dealloc, first + 1).status).toBe(STATUS.badResource);
    expect(pf.alloc(alloc)).toBe(first + 1);
  });

  test('a sub-function has as many UARs as its window has pages', () => {
    const { host, pf } = working();
    pf.about(OPCODES.ALLOC_SF, NIC.SF_BASE_ID);
    pf.about(OPCODES.ENABLE_HCA, NIC.SF_BASE_ID);
    const sf = host.driver(NIC.SF_BASE_ID).bringUp();
    const uars = Array.from({ length: 15 }, () => sf.alloc(OPCODES.ALLOC_UAR));
    expect([uars[0], uars[14], sf.exec(OPCODES.ALLOC_UAR).status]).toEqual([1, 15, STATUS.noResources]);
  });
});
