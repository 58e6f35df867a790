import { describe, expect, test } from 'vitest';
import * as NIC from '../../../../hw/regs/nic.js';
import { OPCODES, STATUS } from '../../../../hw/regs/nic-commands.js';
import { WQ_STATES } from '../../../../hw/regs/nic-contexts.js';
import { working } from './fixture.js';
import { PAGE } from './memory.js';
import { FarEnd, Port, type PortOptions, frame, mac } from './ports.js';
import { HostRq, type WqOptions } from './queues.js';

const { CQE_OPCODES, CQE_SYNDROMES } = NIC;

function receiver(options: PortOptions = {}) {
  const { host, pf } = working();
  const port = new Port(pf, options);
  return { host, pf, port, far: new FarEnd(host) };
}
/** Frame `seed` for the port, from the cable. */
function arrive(far: FarEnd, port: Port, seed: number, length = 60): Uint8Array {
  const bytes = frame(port.mac, mac(99), length, seed);
  // It is somewhere in a buffer of the sender.
  const buffer = new Uint8Array(length + 20);
  buffer.set(bytes, 7);
  far.send(buffer, 7, length);
  return bytes;
}
const outcome = (port: Port): (readonly [opcode: number, counter: number, syndrome: number])[] =>
  port.rxCq.drain().map(({ opcode, counter, syndrome }) => [opcode, counter, syndrome]);

describe('nic receive queue', () => {
  test('puts packets into buffers in order, and says how long they are', () => {
    const { port, far } = receiver();
    const sent = [60, 61, 64, 999, 1514].map((length, seed) => arrive(far, port, seed, length));
    expect(port.received()).toEqual(sent);
    expect(port.counter('rxUnicastPackets')).toBe(5);
    expect(port.counter('rxUnicastBytes')).toBe(60 + 61 + 64 + 999 + 1514);
  });

  test('spreads a packet over the buffers of an entry, and skips those without a byte', () => {
    const { port, far } = receiver({ buffers: 0 });
    const { rq } = port;
    const sizes = [100, 300];
    rq.post(sizes.map((bytes) => [rq.alloc(bytes), bytes] as const));
    rq.post([
      [0, 0],
      [rq.alloc(64), 64],
    ]);
    rq.tell();
    const sent = [arrive(far, port, 1, 400), arrive(far, port, 2, 64)];
    expect(port.received()).toEqual(sent);
  });

  test('goes round, and looks at its record when it has nothing left', () => {
    const { host, port, far } = receiver({ buffers: 64 });
    let reads = 0;
    const { read32 } = host.memory;
    host.memory.read32 = (address, pasid) => {
      if (address === port.rq.record) reads++;
      return read32.call(host.memory, address, pasid);
    };
    for (let pass = 0; pass < 4; pass++) {
      const sent = Array.from({ length: 64 }, (_, i) => arrive(far, port, i));
      expect(port.received()).toEqual(sent);
      port.rq.fill(64, 64);
    }
    expect(reads).toBe(4);
  });

  test('without a buffer a packet is lost, and counted for the queue and for the port', () => {
    const { port, far } = receiver({ buffers: 2 });
    for (let i = 0; i < 5; i++) arrive(far, port, i);
    expect(port.received()).toHaveLength(2);
    expect(port.rq.query('outOfBuffer')).toBe(3);
    expect(port.counter('rxOutOfBuffer')).toBe(3);
    port.rq.fill(1);
    const sent = arrive(far, port, 9);
    expect(port.received()).toEqual([sent]);
  });

  const bad: readonly (readonly [name: string, syndrome: number, make: (port: Port) => void])[] = [
    ['too short', CQE_SYNDROMES.localLength, ({ rq }) => rq.post([[rq.alloc(59), 59]])],
    ['outside memory', CQE_SYNDROMES.protection, ({ rq }) => rq.post([[2 ** 40, 2048]])],
    ['at no address', CQE_SYNDROMES.protection, ({ rq }) => rq.post([[2 ** 60, 2048]])],
    [
      'in an entry that cannot be read',
      CQE_SYNDROMES.protection,
      ({ rq, driver }) => {
        rq.post([[rq.alloc(2048), 2048]]);
        driver.host.memory.unmap(rq.at(0), PAGE);
      },
    ],
  ];
  test.each(bad)('a buffer %s is an error, and all others are flushed', (_name, syndrome, make) => {
    const { port, far } = receiver({ buffers: 0 });
    make(port);
    port.rq.fill(3);
    arrive(far, port, 1);
    expect(outcome(port)).toEqual([
      [CQE_OPCODES.receiveError, 0, syndrome],
      [CQE_OPCODES.receiveError, 1, CQE_SYNDROMES.flushed],
      [CQE_OPCODES.receiveError, 2, CQE_SYNDROMES.flushed],
      [CQE_OPCODES.receiveError, 3, CQE_SYNDROMES.flushed],
    ]);
    expect(port.rq.query('state')).toBe(WQ_STATES.error);
    arrive(far, port, 2);
    expect(outcome(port)).toEqual([]);
    expect(port.counter('rxErrors')).toBe(1);
    expect(port.counter('rxDropped')).toBe(1);
  });

  test('states: nothing is taken in reset, all is flushed in error, and reset begins anew', () => {
    const { host, port, far } = receiver({ buffers: 0 });
    const { rq } = port;
    rq.fill(2);
    rq.to(WQ_STATES.error);
    expect(outcome(port).map(([, , why]) => why)).toEqual([CQE_SYNDROMES.flushed, CQE_SYNDROMES.flushed]);
    rq.to(WQ_STATES.reset);
    arrive(far, port, 1);
    expect(port.counter('rxDropped')).toBe(1);
    rq.producer = 0;
    host.memory.view.setUint32(rq.record, 0, true);
    rq.fill(1);
    rq.to(WQ_STATES.ready);
    const sent = arrive(far, port, 2);
    expect(port.received()).toEqual([sent]);
  });

  test.each([
    ['cannot be', 0x1234, CQE_SYNDROMES.localQueue],
    ['cannot be read', undefined, CQE_SYNDROMES.protection],
  ])('a record that %s is one error', (_name, value, syndrome) => {
    const { host, port, far } = receiver({ buffers: 0 });
    if (value === undefined) host.memory.unmap(port.rq.record, 8);
    else host.memory.view.setUint32(port.rq.record, value, true);
    arrive(far, port, 1);
    arrive(far, port, 2);
    expect(outcome(port)).toEqual([[CQE_OPCODES.receiveError, 0, syndrome]]);
  });

  test('a queue whose completions are lost takes no more', () => {
    const { port, far } = receiver({ buffers: 32, logSize: 3 });
    for (let i = 0; i < 12; i++) arrive(far, port, i);
    expect(port.rq.query('state')).toBe(WQ_STATES.error);
  });

  test('it cannot be destroyed while a TIR or a port uses it', () => {
    const { pf, port } = receiver();
    const destroy = (opcode: number, number: number): number => pf.about(opcode, number).status;
    expect(destroy(OPCODES.DESTROY_RQ, port.rq.number)).toBe(STATUS.badResourceState);
    expect(destroy(OPCODES.DESTROY_TIR, port.tir)).toBe(STATUS.badResourceState);
    expect(pf.about(OPCODES.SET_RX_TIR, 0).status).toBe(STATUS.ok);
    expect(destroy(OPCODES.DESTROY_TIR, port.tir)).toBe(STATUS.ok);
    expect(destroy(OPCODES.DESTROY_RQ, port.rq.number)).toBe(STATUS.ok);
    expect(destroy(OPCODES.DESTROY_CQ, port.rxCq.number)).toBe(STATUS.ok);
  });

  test.each([3, 11])('entries of 2^%i bytes cannot be', (logStride) => {
    const { pf, port } = receiver();
    const options: WqOptions = { logStride };
    expect(() => new HostRq(pf, port.rxCq, options)).toThrow(`status ${STATUS.badParameter}`);
  });

  test.each([
    ['is reset', ({ port }: ReturnType<typeof receiver>) => port.driver.host.device.pf.rqs[port.rq.number]!.setState(0)],
    ['is put into error', ({ port }: ReturnType<typeof receiver>) => port.driver.host.device.pf.rqs[port.rq.number]!.setState(3)],
    ['is reset with its function', ({ host }: ReturnType<typeof receiver>) => host.device.reset()],
    ['gets another packet', ({ far, port }: ReturnType<typeof receiver>) => void arrive(far, port, 5)],
  ])('a queue that %s inside any of its own accesses is whole afterwards', (_name, happen) => {
    let at = 0;
    for (let isDone = false; !isDone; at++) {
      const t = receiver();
      const { host, port, far } = t;
      let left = at;
      isDone = true;
      host.memory.during = () => {
        if (left-- !== 0) return;
        isDone = false;
        happen(t);
      };
      const sent = [arrive(far, port, 1, 100), arrive(far, port, 2, 100)];
      host.memory.during = () => {};
      const { rxCq } = port;
      const got = rxCq.drain().filter(({ opcode }) => opcode === CQE_OPCODES.received);
      const frames = got.map((cqe) => port.rq.frameOf(cqe)).filter(({ length }) => length === 100);
      expect(sent.filter((bytes) => frames.some((other) => Buffer.compare(bytes, other) === 0))).toEqual(frames);
    }
    expect(at).toBeGreaterThan(6);
  });

  test('entries that were read before a reset are forgotten, whenever it comes', () => {
    let at = 0;
    for (let isDone = false; !isDone; at++) {
      const { host, port, far } = receiver({ buffers: 8 });
      const { rq } = port;
      const model = host.device.pf.rqs[rq.number]!;
      let left = at;
      isDone = true;
      host.memory.during = () => {
        if (left-- !== 0) return;
        isDone = false;
        model.setState(WQ_STATES.reset);
      };
      arrive(far, port, 1);
      host.memory.during = () => {};
      model.setState(WQ_STATES.reset);
      port.rxCq.drain();
      rq.producer = 0;
      rq.fill(8);
      model.setState(WQ_STATES.ready);
      const sent = [arrive(far, port, 2), arrive(far, port, 3)];
      expect(port.received()).toEqual(sent);
    }
    expect(at).toBeGreaterThan(4);
  });

  test('only entries that were given are read ahead', () => {
    const { host, port, far } = receiver({ buffers: 3 });
    const sent = [arrive(far, port, 1), arrive(far, port, 2)];
    // The fourth is written now, and the device is told.
    port.rq.fill(1);
    sent.push(arrive(far, port, 3), arrive(far, port, 4));
    expect(port.received()).toEqual(sent);
    expect(host.memory.faults).toEqual([]);
  });
});
