import { spawn } from 'node:child_process';
import { expect, test, vi } from 'vitest';
import { NetDevices, System } from '../../../core/index.js';
import { Pace } from '../../../hw/remote/pace.js';
import { UdpWire } from '../../../hw/remote/udp-wire.js';
import { hostSim } from '../../../plugins/host-sim.js';
import { mlx5 } from '../../../plugins/mlx5.js';
import { mlx5Eth } from '../../../plugins/mlx5-eth.js';
import { describeQemus } from '../../helpers/qemu.js';

vi.setConfig({ testTimeout: 90_000 });
/** The network card of the guest. */
const MAC = '52:54:00:12:34:56';
const BROADCAST = 'ff:ff:ff:ff:ff:ff';
/** Where its firmware asks for an address: UDP to port 67 of all, from port 68. @see RFC 2131, 4.1 */
const IP_UDP = { type: [0x08, 0x00], protocol: 17, ports: [0, 68, 0, 67] } as const;
const AT = { source: 6, type: 12, protocol: 23, ports: 34 } as const;

const mac = (bytes: Uint8Array): string => [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join(':');
const address = (port: number): string[] => [`type=inet`, `host=127.0.0.1`, `port=${port}`];

/** A guest without a disk: its firmware looks for one in the network. It ends by itself, should nobody end it. */
function guest(qemu: readonly string[], port: number, peerPort: number): Disposable {
  const local = address(port).map((text) => `local.${text}`);
  const remote = address(peerPort).map((text) => `remote.${text}`);
  const netdev = ['dgram', 'id=n', ...local, ...remote].join(',');
  const nic = `virtio-net-pci,netdev=n,mac=${MAC}`;
  const args = [...qemu, '-nodefaults', '-display', 'none', '-m', '128', '-boot', 'n', '-netdev', netdev, '-device', nic];
  const child = spawn('timeout', ['90', ...args], { stdio: 'ignore' });
  return { [Symbol.dispose]: () => void child.kill('SIGTERM') };
}

describeQemus('a UdpWire to the guest', ({ options: { qemu = 'qemu-system-x86_64' } }) => {
  test('what its firmware asks the network comes by the adapter and its driver', async () => {
    await using wire = await UdpWire.open();
    const free = await UdpWire.open();
    await free.close();
    wire.peerPort = free.port;
    const sim = hostSim({ nic: [{ wire }] });
    await using system = await System.start(sim.plugin, mlx5(), mlx5Eth());
    using _pace = new Pace(sim.clock);
    const eth0 = system.get(NetDevices, 'eth0');
    await eth0.open();
    const frames: Uint8Array[] = [];
    eth0.onReceive((buffer, offset, length) => frames.push(Uint8Array.from(buffer.subarray(offset, offset + length))));

    using _guest = guest(typeof qemu === 'string' ? [qemu] : qemu, free.port, wire.port);
    await vi.waitFor(() => expect(frames.some((frame) => mac(frame.subarray(0, AT.source)) === BROADCAST)).toBe(true), {
      timeout: 80_000,
    });
    const asked = frames.find((frame) => mac(frame.subarray(0, AT.source)) === BROADCAST)!;
    expect([mac(asked.subarray(AT.source, AT.type)), asked[AT.protocol]]).toEqual([MAC, IP_UDP.protocol]);
    expect([...asked.subarray(AT.type, AT.type + 2), ...asked.subarray(AT.ports, AT.ports + 4)]).toEqual([
      ...IP_UDP.type,
      ...IP_UDP.ports,
    ]);
  });
});
