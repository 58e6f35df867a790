export { Dma, type DmaAllocOptions } from './dma.js';
export { DmaBuffer } from './dma-buffer.js';
export { type InterruptPlatform, buildInterruptPlatform } from './interrupts.js';
