import { describe, expect, test } from 'vitest';
import { DIM_PROFILES, Dim } from '../../../core/class/index.js';

const EVENTS = 64;

/** What comes with one interrupt, and how long after the one before. */
type Traffic = (periodUs: number) => readonly [us: number, packets: number];

/** As many packets as there is time for. */
const stream: Traffic = (us) => [us, us];
/** The next packet waits for the answer to the last. */
const pingPong: Traffic = (us) => [us + 10, 1];
/** What is waited for too long is lost. */
const lossy: Traffic = (us) => [us, us > 100 ? us * 0.4 : us];
/** Slower than any period. */
const trickle: Traffic = () => [1000, 1];

/** A queue that does what is chosen at once. */
class Queue {
  readonly dim = new Dim();
  #nowUs = 0;
  #events = 0;
  #packets = 0;

  /** @returns the periods that were chosen, one after the other */
  take(traffic: Traffic, measurements: number): number[] {
    const chosen: number[] = [];
    for (let n = 0; n < measurements * EVENTS; n++) {
      const [us, packets] = traffic(this.dim.moderation.us);
      this.#nowUs += us;
      this.#packets += packets;
      this.#events++;
      if (!this.dim.sample(this.#nowUs, this.#events, this.#packets, this.#packets * 1000)) continue;
      chosen.push(this.dim.moderation.us);
      this.dim.applied();
    }
    return chosen;
  }
}

describe('dynamic interrupt moderation', () => {
  test('has the profiles of net_dim that count from the event', () => {
    const pairs = ({ us, frames }: { us: number; frames: number }): readonly [number, number] => [us, frames];
    expect(DIM_PROFILES.rx.map(pairs)).toEqual([1, 8, 64, 128, 256].map((us) => [us, 256]));
    expect(DIM_PROFILES.tx.map(pairs)).toEqual([1, 8, 32, 64, 128].map((us) => [us, 128]));
    expect(new Dim().moderation).toEqual({ us: 1, frames: 256 });
  });

  test('a stream has ever fewer interrupts, until the last profile, and stays there', () => {
    const queue = new Queue();
    expect(queue.take(stream, 20)).toEqual([8, 64, 128, 256]);
    expect(queue.take(stream, 200)).toEqual([]);
  });

  test('who waits for answers has them at once', () => {
    const queue = new Queue();
    queue.take(stream, 20);
    expect(queue.take(pingPong, 40)).toEqual([128, 64, 8, 1]);
    expect(queue.take(stream, 40)).toEqual([8, 64, 128, 256]);
  });

  test('what is best lies between two that are worse: it goes over it and comes back', () => {
    const queue = new Queue();
    expect(queue.take(lossy, 200)).toEqual([8, 64, 128, 64]);
  });

  test('where nothing makes a difference it tires after ten steps, rests as long, and tries again', () => {
    const queue = new Queue();
    const steps = Array.from({ length: 101 }, () => queue.take(trickle, 1).length).join('');
    expect(steps).toMatch(/^0?(1{10}0{10}){4}/);
  });

  test('a measurement takes 64 interrupts, and time', () => {
    const dim = new Dim();
    expect(dim.sample(0, 0, 0, 0)).toBe(false);
    expect(dim.sample(1000, 63, 100, 10_000)).toBe(false);
    expect(dim.sample(0, 64, 100, 10_000)).toBe(false);
    expect(dim.sample(1000, 64, 100, 10_000)).toBe(true);
  });

  test('what was chosen is to be applied before anything more is measured', () => {
    const dim = new Dim();
    dim.sample(0, 0, 0, 0);
    expect(dim.sample(1000, 64, 100, 10_000)).toBe(true);
    expect(dim.moderation.us).toBe(8);
    expect(dim.sample(9000, 1000, 5000, 90_000)).toBe(false);
    expect(dim.moderation.us).toBe(8);
    dim.applied();
    expect(dim.sample(10_000, 1000, 5000, 90_000)).toBe(false);
    expect(dim.sample(11_000, 1063, 5000, 90_000)).toBe(false);
    // Worse than before: it turns.
    expect(dim.sample(20_000, 1064, 5010, 90_100)).toBe(true);
    expect(dim.moderation.us).toBe(1);
  });

  /** Where it goes from the second profile: it came there with 100 interrupts, 100 packets and 10,000 bytes by the millisecond. */
  const next = (events: number, packets: number, bytes: number): 'on' | 'back' => {
    const dim = new Dim();
    dim.sample(0, 0, 0, 0);
    dim.sample(1000, 100, 100, 10_000);
    dim.applied();
    dim.sample(2000, 100, 100, 10_000);
    expect(dim.sample(3000, 100 + events, 100 + packets, 10_000 + bytes)).toBe(true);
    return dim.moderation === DIM_PROFILES.rx[2] ? 'on' : 'back';
  };

  test.each([
    [11_000, 'back'],
    [11_100, 'on'],
    [8900, 'back'],
  ])('what differs by no more than 10 %% is the same: %d bytes after 10,000 go %s', (bytes, where) => {
    expect(next(100, 100, bytes)).toBe(where);
  });

  test.each([
    [200, 50, 12_000, 'on'],
    [64, 200, 8000, 'back'],
    [200, 120, 10_000, 'on'],
    [64, 80, 10_000, 'back'],
    [80, 100, 10_000, 'on'],
    [120, 100, 10_000, 'back'],
  ])('more bytes are better, then more packets, then fewer interrupts: %d, %d, %d go %s', (events, packets, bytes, where) => {
    expect(next(events, packets, bytes)).toBe(where);
  });
});
