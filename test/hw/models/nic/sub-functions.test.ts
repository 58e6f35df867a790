import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import * as CMDS from '../../../../hw/regs/nic-commands.js';
import { VHCA, VHCA_STATES } from '../../../../hw/regs/nic-contexts.js';
import { getWord, setWord } from '../../../../hw/regs/nic-words.js';
import * as NIC from '../../../../hw/regs/nic.js';
import { type FunctionDriver, type HostEq, working } from './fixture.js';

const { FUNCTION_ID, OPCODES, STATUS } = CMDS;
const { invalid, allocated, active, inUse, teardownRequest } = VHCA_STATES;
const ID = NIC.SF_BASE_ID + 3;
const VHCA_IN = { inBytes: 0x18 };

function query(pf: FunctionDriver, id = ID): Uint32Array {
  return pf.about(OPCODES.QUERY_VHCA_STATE, id, { outBytes: 0x18 }).output;
}
const stateOf = (pf: FunctionDriver, id = ID): number => getWord(query(pf, id), VHCA.state);

function arm(pf: FunctionDriver, id = ID): void {
  const fill = (words: Uint32Array): void => {
    setWord(words, VHCA.select, VHCA.selectArm);
    setWord(words, VHCA.arm, 1);
  };
  pf.about(OPCODES.MODIFY_VHCA_STATE, id, { ...VHCA_IN, fill });
}

/** Functions that events tell of. */
function told(eq: HostEq): number[] {
  const ids = eq.drain().map(({ view }) => view.getUint16(NIC.EQE.vhcaFunction, true));
  eq.update();
  return ids;
}

/** A physical function that hears of the states of others. */
function manager() {
  const { host, pf } = working({ sfs: 16 });
  const eq = pf.createEq({ events: [NIC.EVENTS.vhcaState] });
  return { host, pf, eq };
}

describe('nic sub-functions', () => {
  test('go through their states as commands say, with an event for each change that is armed', () => {
    const { host, pf, eq } = manager();
    const states: number[] = [stateOf(pf)];
    const steps: (() => void)[] = [];
    const step = (run: () => number): void => void steps.push(() => expect(run()).toBe(STATUS.ok));
    step(() => pf.about(OPCODES.ALLOC_SF, ID).status);
    step(() => pf.about(OPCODES.ENABLE_HCA, ID).status);
    step(() => host.driver(ID).exec(OPCODES.ENABLE_HCA).status);
    step(() => host.driver(ID).exec(OPCODES.DISABLE_HCA).status);
    step(() => host.driver(ID).exec(OPCODES.ENABLE_HCA).status);
    step(() => pf.about(OPCODES.DISABLE_HCA, ID).status);
    step(() => host.driver(ID).exec(OPCODES.DISABLE_HCA).status);
    step(() => pf.about(OPCODES.ENABLE_HCA, ID).status);
    step(() => pf.about(OPCODES.DISABLE_HCA, ID).status);
    step(() => pf.about(OPCODES.DEALLOC_SF, ID).status);
    for (const run of steps) {
      arm(pf);
      run();
      expect(told(eq)).toEqual([ID]);
      states.push(stateOf(pf));
    }
    expect(states).toEqual([
      invalid,
      allocated,
      active,
      inUse,
      active,
      inUse,
      teardownRequest,
      allocated,
      active,
      allocated,
      invalid,
    ]);
  });

  test('no sequence of commands leads elsewhere', () => {
    // By state: what a command leads to; absent: it is refused.
    const next: Readonly<Record<string, Readonly<Record<number, number>>>> = {
      alloc: { [invalid]: allocated },
      dealloc: { [allocated]: invalid },
      enable: { [allocated]: active },
      disable: { [active]: allocated, [inUse]: teardownRequest },
      enableSelf: { [active]: inUse },
      disableSelf: { [inUse]: active, [teardownRequest]: allocated },
    };
    const command = fc.tuple(fc.constantFrom(...Object.keys(next)), fc.nat(2));
    fc.assert(
      fc.property(fc.array(command, { minLength: 10, maxLength: 60 }), (commands) => {
        const { host, pf, eq } = manager();
        const states = [invalid, invalid, invalid] as number[];
        const ids = [0, 1, 2].map((n) => NIC.SF_BASE_ID + n);
        const sfs = ids.map((id) => host.driver(id));
        const run = (what: string, n: number): number => {
          if (what === 'alloc') return pf.about(OPCODES.ALLOC_SF, ids[n]!).status;
          if (what === 'dealloc') return pf.about(OPCODES.DEALLOC_SF, ids[n]!).status;
          if (what === 'enable') return pf.about(OPCODES.ENABLE_HCA, ids[n]!).status;
          if (what === 'disable') return pf.about(OPCODES.DISABLE_HCA, ids[n]!).status;
          sfs[n]!.setQueue();
          return sfs[n]!.exec(what === 'enableSelf' ? OPCODES.ENABLE_HCA : OPCODES.DISABLE_HCA).status;
        };
        for (const [what, n] of commands) {
          arm(pf, ids[n]);
          told(eq);
          const expected = next[what]![states[n]!];
          const status = run(what, n);
          expect(status === STATUS.ok).toBe(expected !== undefined);
          expect(told(eq)).toEqual(expected === undefined ? [] : [ids[n]]);
          states[n] = expected ?? states[n]!;
          expect(ids.map((id) => stateOf(pf, id))).toEqual(states);
        }
      }),
      { numRuns: 40, seed: 5 },
    );
  });

  test('what cannot happen in a state has status 0x09, and no event', () => {
    const { host, pf, eq } = manager();
    const manage = [OPCODES.ALLOC_SF, OPCODES.DEALLOC_SF, OPCODES.ENABLE_HCA, OPCODES.DISABLE_HCA] as const;
    const allowed = (): number[] => manage.map((opcode) => pf.about(opcode, ID).status);
    arm(pf);
    expect([OPCODES.DEALLOC_SF, OPCODES.ENABLE_HCA, OPCODES.DISABLE_HCA].map((opcode) => pf.about(opcode, ID).status)).toEqual(
      Array(3).fill(STATUS.badResourceState),
    );
    pf.about(OPCODES.ALLOC_SF, ID);
    pf.about(OPCODES.ENABLE_HCA, ID);
    expect(host.driver(ID).exec(OPCODES.DISABLE_HCA).status).toBe(STATUS.badResourceState);
    host.driver(ID).must(OPCODES.ENABLE_HCA);
    expect(host.driver(ID).exec(OPCODES.ENABLE_HCA).status).toBe(STATUS.badResourceState);
    expect(told(eq)).toEqual([ID]);
    query(pf);
    arm(pf);
    expect(allowed()).toEqual([STATUS.badResourceState, STATUS.badResourceState, STATUS.badResourceState, STATUS.ok]);
    told(eq);
    query(pf);
    arm(pf);
    expect(stateOf(pf)).toBe(teardownRequest);
    expect(allowed()).toEqual(Array(4).fill(STATUS.badResourceState));
    expect(told(eq)).toEqual([]);
  });

  test('a number that is none has status 0x03, and so has every command of a sub-function about others', () => {
    const { host, pf } = manager();
    const opcodes = [OPCODES.ALLOC_SF, OPCODES.DEALLOC_SF, OPCODES.ENABLE_HCA, OPCODES.DISABLE_HCA, OPCODES.QUERY_VHCA_STATE];
    for (const opcode of opcodes) {
      for (const id of [1, NIC.SF_BASE_ID - 1, NIC.SF_BASE_ID + 16]) {
        expect(pf.about(opcode, id, { outBytes: 0x18 }).status).toBe(STATUS.badParameter);
      }
    }
    pf.about(OPCODES.ALLOC_SF, ID);
    pf.about(OPCODES.ENABLE_HCA, ID);
    const sf = host.driver(ID).bringUp();
    for (const opcode of opcodes) expect(sf.about(opcode, ID, { outBytes: 0x18 }).status).toBe(STATUS.badParameter);
    expect(sf.about(OPCODES.MODIFY_VHCA_STATE, ID, VHCA_IN).status).toBe(STATUS.badParameter);
  });

  test('63 software gives it a number of its own', () => {
    const { pf } = manager();
    pf.about(OPCODES.ALLOC_SF, ID);
    const fill = (words: Uint32Array): void => {
      setWord(words, FUNCTION_ID, ID);
      setWord(words, VHCA.select, VHCA.selectSwId);
      setWord(words, VHCA.swFunctionId, 88);
    };
    pf.must(OPCODES.MODIFY_VHCA_STATE, { ...VHCA_IN, fill });
    expect([getWord(query(pf), VHCA.swFunctionId), getWord(query(pf), VHCA.arm)]).toEqual([88, 0]);
    expect(pf.about(OPCODES.MODIFY_VHCA_STATE, ID).status).toBe(STATUS.inLength);
    expect(pf.about(OPCODES.QUERY_VHCA_STATE, ID).status).toBe(STATUS.outLength);
  });

  test('a number that is given to it leaves its arm as it is', () => {
    const { pf, eq } = manager();
    arm(pf);
    const fill = (words: Uint32Array): void => {
      setWord(words, VHCA.select, VHCA.selectSwId);
      setWord(words, VHCA.swFunctionId, 88);
    };
    expect(pf.about(OPCODES.MODIFY_VHCA_STATE, ID, { ...VHCA_IN, fill }).status).toBe(STATUS.ok);
    pf.about(OPCODES.ALLOC_SF, ID);
    expect(told(eq)).toEqual([ID]);
  });

  test('one that has failed is the manager’s again at once, and with DEALLOC_SF its port is gone', () => {
    const { host, pf } = manager();
    const { ports } = host.device.engine.switch;
    pf.about(OPCODES.ALLOC_SF, ID);
    pf.about(OPCODES.ENABLE_HCA, ID);
    host.driver(ID).bringUp();
    host.device.functionOf(ID)!.health.stall();
    expect([pf.about(OPCODES.DISABLE_HCA, ID).status, stateOf(pf)]).toEqual([STATUS.ok, allocated]);
    expect(ports.live).toHaveLength(2);
    expect(pf.about(OPCODES.DEALLOC_SF, ID).status).toBe(STATUS.ok);
    expect([ports.live.length, ports.at(ports.slotOf(ID))]).toEqual([1, undefined]);
  });

  test('an arm gives one event; one that was given back gives none', () => {
    const { pf, eq } = manager();
    arm(pf);
    expect(getWord(query(pf), VHCA.arm)).toBe(1);
    pf.about(OPCODES.ALLOC_SF, ID);
    pf.about(OPCODES.ENABLE_HCA, ID);
    expect(told(eq)).toEqual([ID]);
    query(pf);
    arm(pf);
    const disarm = (words: Uint32Array): void => setWord(words, VHCA.select, VHCA.selectArm);
    pf.about(OPCODES.MODIFY_VHCA_STATE, ID, { ...VHCA_IN, fill: disarm });
    pf.about(OPCODES.DISABLE_HCA, ID);
    expect(told(eq)).toEqual([]);
  });

  test('75 a state that changes between query and arm is told by the arm', () => {
    const { host, pf, eq } = manager();
    pf.about(OPCODES.ALLOC_SF, ID);
    pf.about(OPCODES.ENABLE_HCA, ID);
    const sf = host.driver(ID);
    expect(stateOf(pf)).toBe(active);
    sf.must(OPCODES.ENABLE_HCA);
    sf.must(OPCODES.DISABLE_HCA);
    arm(pf);
    expect(told(eq)).toEqual([ID]);
    expect(stateOf(pf)).toBe(active);
    arm(pf);
    expect(told(eq)).toEqual([]);
  });

  test('one that is not active answers to nothing: its firmware is not there', () => {
    const { host, pf } = manager();
    const sf = host.driver(ID);
    expect(sf.read(NIC.INITIALIZING.offset)).toBe(NIC.INITIALIZING_BIT);
    pf.about(OPCODES.ALLOC_SF, ID);
    expect(sf.read(NIC.INITIALIZING.offset)).toBe(NIC.INITIALIZING_BIT);
    sf.setQueue();
    expect(sf.exec(OPCODES.NOP).status).toBe(-1);
    pf.about(OPCODES.ENABLE_HCA, ID);
    expect(sf.read(NIC.INITIALIZING.offset)).toBe(0);
    sf.setQueue();
    expect(sf.exec(OPCODES.NOP).status).toBe(STATUS.ok);
  });

  test('its firmware takes its time', () => {
    const { host, pf } = working({ sfInitUs: 5000 });
    pf.about(OPCODES.ALLOC_SF, ID);
    pf.about(OPCODES.ENABLE_HCA, ID);
    const sf = host.driver(ID);
    expect([sf.read(NIC.INITIALIZING.offset), sf.exec(OPCODES.NOP).status]).toEqual([NIC.INITIALIZING_BIT, -1]);
    host.elapse(5000);
    expect([sf.read(NIC.INITIALIZING.offset), sf.exec(OPCODES.NOP).status]).toEqual([0, STATUS.ok]);
  });

  test('each has numbers, events and interrupts of its own', () => {
    const { host, pf } = manager();
    const [a, b] = [ID, ID + 1].map((id) => {
      pf.about(OPCODES.ALLOC_SF, id);
      pf.about(OPCODES.ENABLE_HCA, id);
      return host.driver(id).bringUp();
    }) as [FunctionDriver, FunctionDriver];
    const eqs = [a.createEq({ vector: 11, events: [9] }), b.createEq({ vector: 12, events: [9] })];
    expect(eqs.map(({ number, uar }) => [number, uar])).toEqual([
      [0, NIC.FIRST_SF_UAR],
      [0, NIC.FIRST_SF_UAR],
    ]);
    for (const eq of eqs) eq.arm();
    host.device.functionOf(ID + 1)!.event(9);
    expect([host.takeIrqs(), eqs.map((eq) => eq.drain().length)]).toEqual([[12], [0, 1]]);
  });

  test('all of it ends with DISABLE_HCA of its own, and its neighbours go on', () => {
    const { host, pf } = manager();
    for (const id of [ID, ID + 1]) {
      pf.about(OPCODES.ALLOC_SF, id);
      pf.about(OPCODES.ENABLE_HCA, id);
    }
    const [a, b] = [host.driver(ID).bringUp(), host.driver(ID + 1).bringUp()];
    const [lost, kept] = [a.createEq({ events: [9] }), b.createEq({ events: [9] })];
    pf.about(OPCODES.DISABLE_HCA, ID);
    expect([stateOf(pf), a.exec(OPCODES.NOP).status]).toEqual([teardownRequest, STATUS.ok]);
    expect(a.exec(OPCODES.DISABLE_HCA).status).toBe(STATUS.ok);
    for (const id of [ID, ID + 1]) host.device.functionOf(id)!.event(9);
    expect([lost.drain().length, kept.drain().length, stateOf(pf)]).toEqual([0, 1, allocated]);
    expect(a.exec(OPCODES.NOP).status).toBe(-1);
  });

  test('all of them are gone with TEARDOWN_HCA of the physical function', () => {
    const { host, pf } = manager();
    pf.about(OPCODES.ALLOC_SF, ID);
    pf.about(OPCODES.ENABLE_HCA, ID);
    const sf = host.driver(ID).bringUp();
    const eq = sf.createEq({ events: [9] });
    pf.must(OPCODES.TEARDOWN_HCA);
    expect([sf.exec(OPCODES.NOP).status, host.device.functionOf(ID) === undefined, eq.next()]).toEqual([-1, true, undefined]);
    pf.must(OPCODES.INIT_HCA);
    const again = pf.createEq({ events: [NIC.EVENTS.vhcaState] });
    arm(pf);
    expect([stateOf(pf), told(again)]).toEqual([invalid, []]);
  });

  test('a window ends where the next begins, and beyond the last there is nothing', () => {
    const { host, pf } = manager();
    pf.about(OPCODES.ALLOC_SF, ID);
    pf.about(OPCODES.ENABLE_HCA, ID);
    const sf = host.driver(ID).bringUp();
    const eq = sf.createEq();
    const before = host.device.pf.uarViolations;
    sf.ring32(16 + NIC.FIRST_SF_UAR, NIC.UAR_EQ_CI, (eq.number << 24) | 5);
    host.bar2.write32(2 ** 24, 5);
    expect([eq.query('consumer'), host.device.pf.uarViolations - before]).toEqual([0, 0]);
  });
});
