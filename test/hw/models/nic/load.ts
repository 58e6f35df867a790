import * as NIC from '../../../../hw/regs/nic.js';
import type { NicOptions } from '../../../../hw/models/nic/index.js';
import type { Memory } from './memory.js';
import { Port, frame, network } from './ports.js';
import { HostCq, HostSq } from './queues.js';

const { CQE, CQE_OPCODES, WQE, WQ_RECORD } = NIC;

/** Makes accesses of a device that allocate nothing, and are recorded nowhere. */
export function lighten(memory: Memory): void {
  const { bytes, view } = memory;
  memory.read = (address, buffer, offset, length) => {
    for (let i = 0; i < length; i++) buffer[offset + i] = bytes[address + i]!;
    return true;
  };
  memory.write = (address, buffer, offset, length) => {
    for (let i = 0; i < length; i++) bytes[address + i] = buffer[offset + i]!;
    return true;
  };
  memory.read32 = (address) => view.getUint32(address, true);
  memory.write32 = (address, value) => {
    view.setInt32(address, value, true);
    return true;
  };
}

/** Packets between two functions of an adapter: what drivers write is there already, but what changes. */
export class PacketLoad {
  readonly from: Port;
  readonly to: Port;
  readonly idle: readonly HostSq[];
  readonly #view: DataView;
  readonly #run: () => void;

  /**
   * @param batch packets for each doorbell: a power of two
   * @param live queues that exist, and have nothing to do
   */
  constructor(
    readonly batch: number,
    bytes = 60,
    live = 0,
    options: NicOptions = {},
  ) {
    const { host, pf, sfs } = network(1, { packetUs: 0, bytesPerUs: Infinity, ...options });
    const ring = { logSize: 8, buffers: 256 };
    this.from = new Port(pf, ring);
    this.to = new Port(sfs[0]!, ring);
    const { eq } = this.from;
    this.idle = Array.from({ length: live }, () => new HostSq(pf, new HostCq(pf, eq)));
    this.#view = host.memory.view;
    const { sq } = this.from;
    const sent = frame(this.to.mac, this.from.mac, bytes);
    for (let i = 0; i < 256; i++) sq.frame(sent, { signal: i % batch === batch - 1 });
    sq.producer = 0;
    lighten(host.memory);
    this.#run = () => host.elapse(0);
  }

  /** Sends so many batches, and takes what comes. @returns packets that have come */
  run(batches: number): number {
    const { from, to, batch } = this;
    const view = this.#view;
    const { sq, txCq } = from;
    const { rq, rxCq } = to;
    let received = 0;
    for (let n = 0; n < batches; n++) {
      for (let i = 0; i < batch; i++) {
        const counter = (sq.producer + i) & 0xffff;
        view.setInt32(sq.at(counter) + WQE.indexOpcode, (counter << 8) | NIC.WQE_OPCODES.send, true);
      }
      sq.producer = (sq.producer + batch) & 0xffff;
      view.setInt32(sq.record + WQ_RECORD.send, sq.producer, true);
      sq.driver.ring64(sq.uar, NIC.UAR_SQ_DOORBELLS[0], 0, sq.number << 8);
      this.#run();
      for (let cqe = take(view, rxCq); cqe >= 0; cqe = take(view, rxCq)) received++;
      rq.producer = (rq.producer + batch) & 0xffff;
      view.setInt32(rq.record, rq.producer, true);
      rxCq.tell();
      while (take(view, txCq) >= 0) continue;
      txCq.tell();
    }
    return received;
  }
}

/** Takes a completion. @returns its opcode; -1 when there is none */
function take(view: DataView, cq: Port['rxCq']): number {
  const opOwn = view.getUint8(cq.at(cq.consumer) + CQE.opOwn);
  const opcode = opOwn >>> 4;
  if (opcode === CQE_OPCODES.invalid || (opOwn & 1) !== ((cq.consumer >>> cq.logSize) & 1)) return -1;
  cq.consumer++;
  return opcode;
}
