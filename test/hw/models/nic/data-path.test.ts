import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import * as NIC from '../../../../hw/regs/nic.js';
import { ESW } from '../../../../hw/regs/nic-contexts.js';
import { MEMORY_BYTES, PAGE } from './memory.js';
import { BROADCAST, FarEnd, Port, frame, mac, network, setMode, setRule } from './ports.js';
import type { Parts } from './queues.js';

const SEED = 1;
const PORTS = 3;

/** One step: a port sends frames, takes what has come, or gets buffers. */
const step = fc.oneof(
  fc.record({
    kind: fc.constant('send' as const),
    from: fc.nat(PORTS - 1),
    frames: fc.array(fc.record({ to: fc.nat(PORTS), length: fc.integer({ min: 14, max: 1518 }), cut: fc.nat(1518) }), {
      minLength: 1,
      maxLength: 12,
    }),
  }),
  fc.record({ kind: fc.constant('take' as const), port: fc.nat(PORTS - 1) }),
  fc.record({ kind: fc.constant('fill' as const), port: fc.nat(PORTS - 1), count: fc.integer({ min: 1, max: 8 }) }),
);

describe('nic data path', () => {
  test.each([ESW.legacy, ESW.switchdev])(
    'mode %i: frames arrive in order, byte for byte and once, unless a ring is full, which is counted',
    (mode) => {
      fc.assert(
        fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
          const { host, pf, sfs } = network(PORTS - 1);
          const far = new FarEnd(host);
          const ports = [pf, ...sfs].map((driver) => new Port(driver, { buffers: 4 }));
          setMode(pf, mode);
          for (const { driver, mac: source } of mode === ESW.switchdev ? ports : []) {
            for (const port of ports) if (port.mac !== source) setRule(pf, driver.id, port.mac, [port.driver.id]);
            setRule(pf, driver.id, BROADCAST, [
              ...ports.filter(({ mac }) => mac !== source).map((port) => port.driver.id),
              0xffff,
            ]);
          }
          // What each port is to receive, what it has, and how many of its buffers are free.
          const expected = ports.map((): Uint8Array[] => []);
          const received = ports.map((): Uint8Array[] => []);
          const free = ports.map(() => 4);
          const lost = ports.map(() => 0);
          const toCable: Uint8Array[] = [];
          const take = (n: number): void => void received[n]!.push(...ports[n]!.received());
          let seed = 0;
          for (const action of steps) {
            if (action.kind === 'take') take(action.port);
            else if (action.kind === 'fill') {
              const count = Math.min(action.count, 64 - free[action.port]!);
              take(action.port);
              ports[action.port]!.rq.fill(count, 1518);
              free[action.port]! += count;
            } else {
              const { sq, txCq, mac: source } = ports[action.from]!;
              for (const { to, length, cut } of action.frames) {
                const bytes = frame(to === PORTS ? BROADCAST : ports[to]!.mac, source, length, seed++);
                const address = sq.alloc(length);
                host.memory.bytes.set(bytes, address);
                const first = Math.min(cut, length);
                sq.post([
                  [address, first],
                  [address + first, length - first],
                ]);
                const targets = to === PORTS ? ports.map((_, n) => n).filter((n) => n !== action.from) : [to];
                if (to === PORTS) toCable.push(bytes);
                if (mode === ESW.switchdev && to === action.from) continue;
                for (const n of targets) {
                  if (free[n]! > 0) {
                    free[n]!--;
                    expected[n]!.push(bytes);
                  } else {
                    lost[n]!++;
                  }
                }
              }
              sq.ring64();
              host.elapse(100);
              expect(txCq.drain()).toHaveLength(action.frames.length);
            }
          }
          ports.forEach((_, n) => take(n));
          expect(received).toEqual(expected);
          expect(far.frames).toEqual(toCable);
          expect(ports.map((port) => port.counter('rxOutOfBuffer'))).toEqual(lost);
        }),
        { seed: SEED, numRuns: 25 },
      );
    },
  );

  test('garbage in rings, records and doorbells changes no memory but what the queues reach', () => {
    // Words of entries, large and small ones, with the valid ones around them.
    const word = fc.oneof(fc.nat(0xffff_ffff), fc.nat(0xfff), fc.nat(MEMORY_BYTES - 1));
    const corruption = fc.record({ ring: fc.nat(3), index: fc.nat(32 * 16 - 1), word });
    const counters = fc.record({
      sent: fc.nat(70),
      given: fc.nat(70),
      arm: fc.nat(0xffff_ffff),
      length: fc.integer({ min: 0, max: 1600 }),
    });
    fc.assert(
      fc.property(
        fc.array(corruption, { maxLength: 40 }),
        fc.array(counters, { minLength: 1, maxLength: 6 }),
        (words, rounds) => {
          const { host, pf, sfs } = network(1);
          const { memory } = host;
          const far = new FarEnd(host);
          const hostile = new Port(sfs[0]!, { pasid: 3 });
          const { sq, rq, txCq, rxCq, eq } = hostile;
          const zero = new Port(pf);
          for (let i = 0; i < 32; i++) sq.frame(frame(zero.mac, hostile.mac, 60 + i, i));
          const rings = [sq, rq, txCq, rxCq];
          for (const { ring, index, word } of words) memory.view.setUint32(rings[ring]!.at(0) + 4 * index, word, true);
          const before = memory.bytes.slice();
          for (const { sent, given, arm, length } of rounds) {
            memory.view.setUint32(sq.record + NIC.WQ_RECORD.send, sent, true);
            memory.view.setUint32(rq.record + NIC.WQ_RECORD.receive, given, true);
            hostile.driver.ring64(sq.uar, NIC.UAR_SQ_DOORBELLS[0], arm, sq.number << 8);
            hostile.driver.ring64(sq.uar, NIC.UAR_CQ_ARM, arm, rxCq.number);
            host.elapse(50);
            far.send(frame(hostile.mac, mac(9), Math.max(14, length)), 0, length);
          }
          const reached = new Set([...eq.pages, ...zero.eq.pages, ...zero.rxCq.ring.pages, ...zero.rq.buffers.flatMap(pagesOf)]);
          for (let page = 0; page < MEMORY_BYTES; page += PAGE) {
            if (reached.has(page) || memory.reach(page, 1, true, 3) === 1) continue;
            if (Buffer.compare(before.subarray(page, page + PAGE), memory.bytes.subarray(page, page + PAGE)) !== 0) {
              throw new Error(`page 0x${page.toString(16)} has changed`);
            }
          }
          // Who else is there, works on.
          zero.rxCq.drain();
          const sent = frame(mac(99), zero.mac);
          far.take();
          zero.sq.send(sent);
          expect(far.take()).toEqual([sent]);
        },
      ),
      { seed: SEED, numRuns: 40 },
    );
  });
});

const pagesOf = (parts: Parts): number[] => parts.map(([address]) => address - (address % PAGE));
