import { createSocket } from 'node:dgram';
import { describe, expect, test, vi } from 'vitest';
import { UdpWire } from '../../../hw/remote/udp-wire.js';
import { FakePort } from './fake-port.js';

async function pair(options: { queue?: number } = {}): Promise<[UdpWire, UdpWire]> {
  const [one, other] = [await UdpWire.open(options), await UdpWire.open(options)];
  one.peerPort = other.port;
  other.peerPort = one.port;
  return [one, other];
}
const pattern = (length: number, seed = 0): Uint8Array => Uint8Array.from({ length }, (_, i) => (i * 7 + seed) & 0xff);

describe('UdpWire', () => {
  test('takes frames to the other end, byte for byte and in order', async () => {
    const [one, other] = await pair();
    await using _one = one;
    await using _other = other;
    const port = new FakePort();
    other.attach(port);
    const frames = [14, 60, 1514, 9996].map((length) => pattern(length, length));
    for (const frame of frames) {
      const buffer = new Uint8Array(frame.length + 8);
      buffer.set(frame, 5);
      one.send(buffer, 5, frame.length);
      // It was good during the call only.
      buffer.fill(0xee);
    }
    expect(port.frames).toEqual([]);
    await vi.waitFor(() => expect(port.frames).toEqual(frames));
    expect([one.sent, other.received, one.lost + other.lost]).toEqual([4, 4, 0]);
  });

  test('has a link while it is open', async () => {
    const wire = await UdpWire.open();
    const [port, late] = [new FakePort(), new FakePort()];
    wire.attach(port);
    await Promise.all([wire.close(), wire.close()]);
    wire.attach(late);
    expect([port.links, late.links]).toEqual([[true, false], [false]]);
    wire.send(pattern(60), 0, 60);
    expect([wire.sent, wire.lost]).toEqual([0, 1]);
  });

  test('loses what is no frame, what has nowhere to go, and what waits behind too many', async () => {
    const [one, other] = await pair({ queue: 2 });
    await using _one = one;
    await using _other = other;
    one.send(pattern(13), 0, 13);
    one.send(pattern(65_508), 0, 65_508);
    expect(one.lost).toBe(2);
    for (let n = 0; n < 5; n++) one.send(pattern(60), 0, 60);
    expect(one.lost).toBe(5);
    await vi.waitFor(() => expect(one.sent).toBe(2));
    one.peerPort = undefined;
    one.send(pattern(60), 0, 60);
    expect([one.sent, one.lost]).toEqual([2, 6]);
  });

  test('hears its other end alone, and only while a port is plugged in', async () => {
    const [one, other] = await pair();
    await using _one = one;
    await using _other = other;
    await using stranger = await UdpWire.open({ peerPort: one.port });
    const port = new FakePort();
    one.attach(port);
    stranger.send(pattern(60), 0, 60);
    await vi.waitFor(() => expect(one.lost).toBe(1));
    one.attach(undefined);
    other.send(pattern(60), 0, 60);
    await vi.waitFor(() => expect(one.lost).toBe(2));
    const raw = createSocket('udp4');
    one.attach(port);
    await new Promise<void>((resolve) => void raw.bind(0, '127.0.0.1', resolve));
    one.peerPort = raw.address().port;
    raw.send('too short', one.port, '127.0.0.1');
    await vi.waitFor(() => expect(one.lost).toBe(3));
    raw.close();
    expect([port.frames, one.received]).toEqual([[], 0]);
  });

  test('refuses ports that cannot be, and one that is taken', async () => {
    await using wire = await UdpWire.open();
    await expect(UdpWire.open({ port: wire.port })).rejects.toThrow(
      `EADDRINUSE: udp: port ${wire.port} of 127.0.0.1 is taken: give another`,
    );
    for (const options of [{ port: 0 }, { port: 65_536 }, { peerPort: 0 }, { queue: 0 }]) {
      await expect(UdpWire.open(options)).rejects.toThrow('ERANGE: udp: ');
    }
    expect(() => (wire.peerPort = 1.5)).toThrow('ERANGE: udp: peerPort is 1.5');
    expect(wire.peerPort).toBeUndefined();
  });
});
