import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { Pcapng } from '../../../hw/sim/index.js';
import { describeWith } from '../../helpers/program.js';
import { TempDir } from '../../helpers/temp-dir.js';

interface Block {
  readonly type: number;
  readonly body: DataView;
}

/** Reads the blocks of a capture, by the lengths in front and behind. */
function blocks(bytes: Uint8Array): Block[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const all: Block[] = [];
  for (let at = 0; at < bytes.length;) {
    const total = view.getUint32(at + 4, true);
    expect([total % 4, view.getUint32(at + total - 4, true)]).toEqual([0, total]);
    all.push({ type: view.getUint32(at, true), body: new DataView(bytes.buffer, bytes.byteOffset + at + 8, total - 12) });
    at += total;
  }
  return all;
}

/** A UDP packet in an Ethernet frame. */
const FRAME = Uint8Array.from(
  Buffer.from(
    ['020000000002', '020000000001', '0800', '4500002000000000401166cb0a0000010a000002', '04d2162e000c0000', '01020304'].join(''),
    'hex',
  ),
);

describe('Pcapng', () => {
  test('has a section, its interfaces, and packets with their times', () => {
    const capture = new Pcapng();
    const [first, second] = [capture.interface('uplink'), capture.interface('sf 88')];
    capture.packet(second, 2 ** 32 + 0.5, 'in', FRAME);
    capture.packet(first, 7, 'out', FRAME, 14, 3);
    const [section, one, other, packet, part] = blocks(capture.bytes());
    expect([section!.type, section!.body.getUint32(0, true), section!.body.getUint16(4, true)]).toEqual([
      0x0a0d0d0a, 0x1a2b3c4d, 1,
    ]);
    expect([one!.type, one!.body.getUint16(0, true), other!.type]).toEqual([1, 1, 1]);
    expect(packet!.type).toBe(6);
    const ns = packet!.body.getUint32(4, true) * 2 ** 32 + packet!.body.getUint32(8, true);
    expect([packet!.body.getUint32(0, true), ns, packet!.body.getUint32(12, true)]).toEqual([1, (2 ** 32 + 0.5) * 1000, 46]);
    expect([part!.body.getUint32(12, true), part!.body.getUint8(20), part!.body.getUint8(23)]).toEqual([3, 0x45, 0]);
    expect(capture.packets).toBe(2);
  });

  test('grows, and refuses what is no packet', () => {
    const capture = new Pcapng();
    expect(() => capture.packet(0, 0, 'in', FRAME)).toThrow('ERANGE: pcapng: interface is 0');
    capture.interface('a');
    for (let n = 0; n < 1000; n++) capture.packet(0, n, 'out', FRAME);
    expect(blocks(capture.bytes())).toHaveLength(1002);
    for (const length of [-1, 47, 1.5]) expect(() => capture.packet(0, 0, 'in', FRAME, 0, length)).toThrow('ERANGE');
    for (const offset of [-4, 47, 0.5]) expect(() => capture.packet(0, 0, 'in', FRAME, offset, 0)).toThrow('ERANGE');
    expect(capture.sizeBytes).toBe(capture.bytes().length);
  });
});

describeWith([{ name: 'tshark', package: 'tshark' }], 'a capture in tshark', () => {
  test('is read, with times, interfaces and packets', () => {
    using folder = new TempDir();
    const capture = new Pcapng();
    capture.packet(capture.interface('uplink'), 1_500_000.25, 'out', FRAME);
    const file = join(folder.path, 'a.pcapng');
    writeFileSync(file, capture.bytes());
    const names = ['frame.time_epoch', 'frame.interface_name', 'eth.src', 'ip.dst', 'udp.dstport', 'data'];
    const fields = names.flatMap((name) => ['-e', name]);
    const out = execFileSync('tshark', ['-r', file, '-T', 'fields', ...fields], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    expect(out.trim().split('\t')).toEqual(['1.500000250', 'uplink', '02:00:00:00:00:01', '10.0.0.2', '5678', '01020304']);
  });
});
