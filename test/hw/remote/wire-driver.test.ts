import { describe, expect, test, vi } from 'vitest';
import { NetDevices, System } from '../../../core/index.js';
import { Pace } from '../../../hw/remote/pace.js';
import { UdpWire } from '../../../hw/remote/udp-wire.js';
import { CapturedWire, Pcapng } from '../../../hw/sim/index.js';
import { hostSim } from '../../../plugins/host-sim.js';
import { mlx5 } from '../../../plugins/mlx5.js';
import { mlx5Eth } from '../../../plugins/mlx5-eth.js';
import { Echo } from '../../../samples/lib/echo.js';
import { ECHO, arpRequest, echoRequest } from '../../samples/lib/frames.js';
import { FakePort } from './fake-port.js';

const ECHOES = 20;

describe('frames of another program', () => {
  test('cross the adapter and its driver, and the answers come back', async () => {
    await using near = await UdpWire.open();
    await using far = await UdpWire.open({ peerPort: near.port });
    near.peerPort = far.port;
    const program = new FakePort();
    far.attach(program);

    const capture = new Pcapng();
    const sim = hostSim({ nic: [{ onCreate: (nic) => (nic.wire = new CapturedWire(near, capture, nic.clock)) }] });
    await using system = await System.start(sim.plugin, mlx5(), mlx5Eth());
    using _pace = new Pace(sim.clock);
    const eth0 = system.get(NetDevices, 'eth0');
    await eth0.open();
    const { mac, hasCarrier } = eth0.info();
    expect(hasCarrier).toBe(true);
    const echo = new Echo(mac, ECHO.ip);
    echo.serveDevice(eth0);

    const ask = (frame: Uint8Array): void => far.send(frame, 0, frame.length);
    ask(arpRequest());
    const requests = Array.from({ length: ECHOES }, (_, n) => echoRequest({ toMac: mac, length: 70 * n }));
    requests.forEach(ask);
    await vi.waitFor(() => expect(program.frames).toHaveLength(1 + ECHOES), { timeout: 20_000 });
    expect(program.frames.slice(1).map((frame) => frame.slice(38))).toEqual(requests.map((frame) => frame.slice(38)));
    expect([echo.arps, echo.echoes, echo.lost, near.lost, capture.packets]).toEqual([1, ECHOES, 0, 0, 2 * (1 + ECHOES)]);

    await near.close();
    await vi.waitFor(() => expect(eth0.info().hasCarrier).toBe(false), { timeout: 20_000 });
  });
});
