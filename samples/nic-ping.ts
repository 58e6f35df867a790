/**
 * Frames of the real world across a driver: this machine's `ping`, a TAP interface, the adapter's model, its driver, and a program
 * that answers. Needs Linux, root, `/dev/net/tun`, socat and ping. `sudo npx backplane run nic-ping`
 */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { NetDevices, System } from 'backplane';
import { hostSim } from 'backplane/plugins/host-sim';
import { mlx5 } from 'backplane/plugins/mlx5';
import { mlx5Eth } from 'backplane/plugins/mlx5-eth';
import { Pace, TapWire } from 'backplane/plugins/wires';
import { Echo } from './lib/echo.js';

const HERE = '198.51.100.1/24';
const THERE = '198.51.100.2';

await using wire = await TapWire.open({ address: HERE });
const sim = hostSim({ nic: [{ wire }] });
await using system = await System.start(sim.plugin, mlx5(), mlx5Eth());
// From here on the machine's time is that of the wall clock.
using _pace = new Pace(sim.clock);

const eth0 = system.get(NetDevices, 'eth0');
await eth0.open();
const { mac, hasCarrier } = eth0.info();
console.log(`${wire.name} is ${HERE}; eth0 is ${THERE}, ${mac}, ${hasCarrier ? 'with' : 'without'} carrier`);

const echo = new Echo(mac, THERE);
echo.serveDevice(eth0);
const { stdout } = await promisify(execFile)('ping', ['-c', '3', '-i', '0.2', '-W', '5', THERE]);
console.log(stdout.trim());

const { rxPackets, txPackets } = await eth0.statistics();
console.log(`eth0: ${echo.echoes} echoes of ${rxPackets} frames, ${txPackets} sent`);
