import { describe, expect, test } from 'vitest';
import { PCI } from '../../../../core/hal/index.js';
import { Machine, cable } from '../../../../hw/sim/index.js';
import { type Nic, nic } from '../../../../hw/models/nic/index.js';
import { CAPS_BYTES, CAPS_OFFSET, OPCODES, STATUS } from '../../../../hw/regs/nic-commands.js';
import { ESW, UPLINK, VHCA_STATES, VPORT_STATE } from '../../../../hw/regs/nic-contexts.js';
import * as NIC from '../../../../hw/regs/nic.js';
import { Host, working } from './fixture.js';
import { Port, counterOf, frame, mac, setMode, setRule, setState, stateOf, switched } from './ports.js';

const ID = NIC.SF_BASE_ID;

/** An adapter with a sub-function, event queues, a message in memory, and a command under way. */
function busy() {
  const { host, pf } = working({ imsCapacity: 4 });
  pf.about(OPCODES.ALLOC_SF, ID);
  pf.about(OPCODES.ENABLE_HCA, ID);
  const sf = host.driver(ID).bringUp();
  const eqs = [pf.createEq({ events: [NIC.EVENTS.command], message: host.memory.alloc(16, 16) }), sf.createEq({ events: [9] })];
  for (const eq of eqs) eq.arm();
  host.device.pf.health.report(NIC.SYNDROMES.temperature);
  return { host, pf, sf, eqs };
}

describe('nic resets', () => {
  test.each(['function', 'bus', 'power'] as const)('a reset of kind %s leaves nothing', (kind) => {
    const { host, pf, sf } = busy();
    const late = [pf.submit(OPCODES.NOP), sf.submit(OPCODES.NOP)];
    host.endpoint.reset(kind);
    host.enable();
    const { device } = host;
    host.memory.writes.length = 0;
    host.elapse(10_000);
    expect([host.memory.writes, host.takeIrqs(), late.map(({ isDone }) => isDone)]).toEqual([[], [], [false, false]]);
    expect([device.pf.eqs.length, device.messages, device.pf.pages.count, device.functionOf(ID) === undefined]).toEqual([
      0,
      0,
      0,
      true,
    ]);
    expect(device.vhca.state(ID)).toBe(VHCA_STATES.invalid);
    expect([pf.read(NIC.CMDQ_ADDR_LO.offset) >>> 12, pf.read(NIC.HEALTH.syndrome)]).toEqual([0, 0]);
    pf.setQueue();
    expect(pf.exec(OPCODES.ALLOC_PD).status).toBe(STATUS.badSystemState);
    pf.bringUp();
    expect(pf.createEq().number).toBe(0);
  });

  test('capabilities, switch and ports are as at the start', () => {
    const { host, pf, zero, a, far } = switched();
    const { device } = host;
    zero.sq.send(frame(mac(9), zero.mac));
    expect(far.take()).toHaveLength(1);
    pf.must(OPCODES.SET_HCA_CAP, { inBytes: CAPS_OFFSET + CAPS_BYTES });
    expect(device.pf.hasRoce).toBe(false);
    setMode(pf, ESW.switchdev);
    setRule(pf, ID, zero.mac, [0]);
    setState(pf, UPLINK, VPORT_STATE.down);
    a.sq.send(frame(mac(8), a.mac));
    expect(counterOf(pf, UPLINK, 'txUnicastPackets')).toBe(1);
    const own = zero.mac;
    host.endpoint.reset('function');
    host.enable();
    pf.setQueue();
    pf.bringUp();
    const { mode, rules } = device.engine.switch;
    expect([device.pf.hasRoce, mode, rules.size, stateOf(pf, UPLINK)]).toEqual([true, ESW.legacy, 0, [VPORT_STATE.follow, 1]]);
    expect(counterOf(pf, UPLINK, 'txUnicastPackets')).toBe(0);
    const again = new Port(pf, { mac: mac(7) });
    for (const to of [own, mac(7)]) far.send(frame(to, mac(9)));
    expect(again.received()).toEqual([frame(mac(7), mac(9))]);
  });

  test('the firmware starts again, and takes its time', () => {
    const host = new Host({ initUs: 2000 });
    const pf = host.driver();
    host.elapse(2000);
    expect(pf.read(NIC.INITIALIZING.offset)).toBe(0);
    host.endpoint.reset('function');
    expect(pf.read(NIC.INITIALIZING.offset)).toBe(NIC.INITIALIZING_BIT);
    host.elapse(2000);
    expect(pf.read(NIC.INITIALIZING.offset)).toBe(0);
  });

  test('a reset at any access of the device leaves nothing behind: no access comes after it', () => {
    for (let n = 1; ; n++) {
      const { host, pf, eqs } = busy();
      const page = pf.prepare(OPCODES.QUERY_HCA_CAP, { outBytes: 16 + 1024, slot: 1 });
      pf.prepare(OPCODES.NOP, { slot: 2 });
      let accesses = 0;
      let since = 0;
      host.memory.during = () => {
        if (accesses >= n) since++;
        if (++accesses === n) host.endpoint.reset('function');
      };
      pf.write(NIC.CMD_DOORBELL.offset, 0b110);
      host.elapse(1000);
      host.memory.during = () => {};
      if (accesses < n) {
        expect(page.answer.status).toBe(STATUS.ok);
        expect(eqs[0]!.drain()).toHaveLength(2);
        return;
      }
      // The write under way may still arrive; nothing follows it.
      expect(since).toBe(0);
      host.enable();
      expect(host.device.pf.state).toBe(0);
      pf.setQueue();
      pf.bringUp();
    }
  });

  test('a command that was being taken at the reset does not end a later one in its slot', () => {
    const { host, pf } = working();
    pf.prepare(OPCODES.NOP);
    host.memory.during = () => {
      host.memory.during = () => {};
      host.endpoint.reset('function');
      host.enable();
      pf.setQueue();
    };
    pf.write(NIC.CMD_DOORBELL.offset, 1);
    const { commandUs } = host.device.settings;
    host.elapse(commandUs - 2);
    const later = pf.submit(OPCODES.ENABLE_HCA);
    host.elapse(commandUs - 1);
    expect(later.isDone).toBe(false);
    host.elapse(1);
    expect(later.answer.status).toBe(STATUS.ok);
  });

  test('pages that are given while it is reset are not taken', () => {
    const { host, pf } = working();
    let accesses = 0;
    const pages = Array.from({ length: 3 }, () => host.memory.alloc(4096));
    host.memory.during = () => {
      if (++accesses === 2) host.endpoint.reset('function');
    };
    expect([host.device.pf.pages.give(pages), host.device.pf.pages.count, accesses]).toEqual([false, 0, 2]);
    expect(pf.exec(OPCODES.NOP).status).toBe(-1);
  });

  test('doorbells that come inside its accesses are heard', () => {
    const { host, pf } = working();
    const eq = pf.createEq({ events: [NIC.EVENTS.command], logSize: 6 });
    let depth = 0;
    const inner = pf.prepare(OPCODES.NOP, { slot: 9 });
    host.memory.during = () => {
      if (depth++ > 0) return;
      pf.write(NIC.CMD_DOORBELL.offset, 1 << 9);
      eq.arm();
    };
    const outer = pf.submit(OPCODES.NOP, { slot: 8 });
    host.elapse(100);
    expect([inner.answer.status, outer.answer.status, eq.drain().length]).toEqual([STATUS.ok, STATUS.ok, 2]);
  });

  test('one that is pulled out does nothing any more, and at the other end of its cable there is no link', () => {
    let device: Nic | undefined = undefined;
    const [near, far] = cable();
    const model = nic({ wire: near, onCreate: (made) => (device = made) });
    const machine = new Machine({ clock: 'manual', iommu: false, devices: [{ at: '00:04.0', model }] });
    const config = machine.pci[0]!.config(0, 0x20);
    config.write32(PCI.barReg(0).offset, 0xe000_0000);
    config.write16(PCI.COMMAND.offset, 0x6);
    const page = machine.dma.alloc(4096, { mask: 2 ** 32 });
    const give = (): boolean => device!.pf.pages.give([page]);
    expect([give(), machine.dma.read32(page)]).not.toContain(0);
    device!.pf.pages.reset();
    const link: boolean[] = [];
    const frames: number[] = [];
    far.attach({ setLink: (isUp) => link.push(isUp), receive: (_frame, _offset, length) => frames.push(length) });
    machine.yank('00:04.0');
    expect([give(), machine.modelErrors, link]).toEqual([false, [], [true, false]]);
    far.send(new Uint8Array(60), 0, 60);
    expect([device!.wire, frames, machine.modelErrors]).toEqual([undefined, [], []]);
  });
});
