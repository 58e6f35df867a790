import { EventEmitter } from 'node:events';
import { fixed, timed } from './gauge.js';

/** `EventEmitter.emit` with one listener and two arguments: what Node programs pay to tell somebody of something. */
export const emit = timed('emit', () => {
  const emitter = new EventEmitter();
  let total = 0;
  emitter.on('event', (a: number, b: number) => {
    total += a + b;
  });
  return (calls) => {
    for (let i = 0; i < calls; i++) emitter.emit('event', i, 1);
    return total;
  };
});

/**
 * Linux's driver core on the CPU that the targets were set on, in emits: what stands for it where there is no Linux to run.
 * Nanoseconds there: 9,280 to add, probe and remove an auxiliary device; 9,700 with five managed resources and an action; 2,850
 * to unbind and bind again; 65 and 158 to add and release one of 10, and of 100,000, managed resources; 9,000 to allocate, request,
 * free and release one of 2,048 message interrupts; 9.7 to look one up; 21.4 an emit.
 */
export const LINUX = {
  cycle: 434,
  cycleManaged: 453,
  rebind: 133,
  devres10: 3.0,
  devres100000: 7.4,
  msiCycle: 420,
  lookup: 0.45,
} as const;

class Level {
  #count = 0;
  first(value: number): number {
    return this.#second(value) + 1;
  }
  #second(value: number): number {
    return this.third(value) + 1;
  }
  third(value: number): number {
    return (this.#count = (this.#count + value) | 0);
  }
}

/** A call of a method through three levels, of one object of several: what there is between a table and who is called. */
export const methodCall = timed('method call', () => {
  const levels = Array.from({ length: 4 }, () => new Level());
  return (calls) => {
    let total = 0;
    for (let i = 0; i < calls; i++) total = (total + levels[i & 3]!.first(i)) | 0;
    return total;
  };
});

/** `await` of an asynchronous function that does not wait. */
export const awaiting = timed('await', () => {
  const answer = async (value: number): Promise<number> => value;
  return async (calls) => {
    let total = 0;
    for (let i = 0; i < calls; i++) total += await answer(i);
    return total;
  };
});

const OFFSETS = [0, 4, 8, 12] as const;

export const dataViewGet = timed('DataView get', () => {
  const view = new DataView(new ArrayBuffer(4096));
  return (calls) => {
    let total = 0;
    for (let i = 0; i < calls; i++) total = (total + view.getUint32(OFFSETS[i & 3]!, true)) | 0;
    return total;
  };
});

export const dataViewSet = timed('DataView set', () => {
  const view = new DataView(new ArrayBuffer(4096));
  return (calls) => {
    for (let i = 0; i < calls; i++) view.setUint32(OFFSETS[i & 3]!, i, true);
  };
});

export const kibibyte = fixed('KiB', 1024);
