export { ERRNO, Errno, type ErrnoCode, assert, collect, defer, describeError, joinErrors } from './errno.js';
export { alignUp, bit, bits, checkRange, hex, isPowerOfTwo } from './bits.js';
export { type Flow, type MaybePromise, chain, run, settle } from './flow.js';
export { IdAllocator } from './id-allocator.js';
export { LOG_LEVELS, Log, type LogLevel, type LogRecord } from './log.js';
export { Random } from './random.js';
export { Signal, type Subscription } from './signal.js';
export { type Token, token } from './token.js';
