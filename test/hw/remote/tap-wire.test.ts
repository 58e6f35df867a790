import { execFile, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { RealClock } from '../../../hw/remote/real-clock.js';
import { TapWire } from '../../../hw/remote/tap-wire.js';
import { CapturedWire, Pcapng } from '../../../hw/sim/index.js';
import { Echo } from '../../../samples/lib/echo.js';
import { describeWith } from '../../helpers/program.js';
import { TAP_PROGRAMS, tapObstacle } from '../../helpers/tap.js';
import { TempDir } from '../../helpers/temp-dir.js';
import { FakePort } from './fake-port.js';

const exec = promisify(execFile);
const MAC = '02:00:00:00:00:02';
const SUMMARY = / 0% packet loss/;
let made = 0;

vi.setConfig({ testTimeout: 60_000 });

afterEach(() => {
  vi.unstubAllEnvs();
});

/** A name of our own, and four addresses of those for benchmarks, 198.18.0.0/15. */
function place(): { name: string; address: string; peer: string } {
  const net = 4 * ((process.pid % 2048) * 16 + made);
  const host = (n: number): string => `198.${18 + ((net + n) >>> 16)}.${((net + n) >>> 8) & 255}.${(net + n) & 255}`;
  return { name: `bp${process.pid % 1_000_000}t${made++}`, address: `${host(1)}/30`, peer: host(2) };
}
/** No programs but a shell, and what is socat then. */
function haveOnly({ path }: TempDir, socat?: string): void {
  symlinkSync('/bin/sh', join(path, 'sh'));
  if (socat !== undefined) writeFileSync(join(path, 'socat'), `#!/bin/sh\n${socat}\n`, { mode: 0o755 });
  vi.stubEnv('PATH', path);
}
const exists = (name: string): boolean => existsSync(`/sys/class/net/${name}`);

describe('TapWire', () => {
  test('refuses what is no name, no address, and an interface that is there', async () => {
    await expect(TapWire.open({ name: 'a,b' })).rejects.toThrow("EINVAL: tap: 'a,b' is no name of an interface");
    await expect(TapWire.open({ name: 'sixteen-letters-' })).rejects.toThrow('EINVAL');
    for (const address of ['198.51.100.1', '198.51.100.256/24', '198.51.100.1/33', '198.51.100.1/24,x', 'fd00::1/64']) {
      await expect(TapWire.open({ address })).rejects.toThrow(`EINVAL: tap: backplane0: '${address}' is no address`);
    }
  });
});

describeWith(
  [...TAP_PROGRAMS, { name: 'tshark', package: 'tshark' }],
  'TapWire of Linux',
  () => {
    test('takes the frames of programs to the wire and back, and a capture has them all', async () => {
      const { name, address, peer } = place();
      const echo = new Echo(MAC, peer);
      const capture = new Pcapng();
      await using wire = await TapWire.open({ name, address });
      echo.serve(new CapturedWire(wire, capture, new RealClock(), { name }));
      const { stdout } = await exec('ping', ['-c', '3', '-i', '0.2', '-s', '1000', '-W', '5', peer]);
      expect(stdout).toMatch(SUMMARY);
      expect([echo.echoes, echo.arps > 0]).toEqual([3, true]);

      using folder = new TempDir();
      const file = join(folder.path, 'ping.pcapng');
      writeFileSync(file, capture.bytes());
      const fields = ['icmp.type', 'ip.dst', 'icmp.seq', 'frame.interface_name'].flatMap((field) => ['-e', field]);
      const read = execFileSync('tshark', ['-r', file, '-Y', 'icmp && icmp.checksum.status == 1', '-T', 'fields', ...fields], {
        encoding: 'utf8',
        stdio: ['ignore', 'pipe', 'ignore'],
      });
      const own = address.split('/')[0]!;
      expect(read.trim().split('\n')).toEqual(
        [1, 2, 3].flatMap((n) => [`8\t${peer}\t${n}\t${name}`, `0\t${own}\t${n}\t${name}`]),
      );
    });

    test('is there while it is open, and has a link', async () => {
      const { name, address } = place();
      const wire = await TapWire.open({ name, address });
      const port = new FakePort();
      wire.attach(port);
      expect([exists(name), wire.end]).toEqual([true, undefined]);
      await expect(TapWire.open({ name, address })).rejects.toThrow(`EEXIST: tap: ${name}: there is an interface of this name`);
      await Promise.all([wire.close(), wire.close()]);
      expect([exists(name), port.links, wire.end]).toEqual([false, [true, false], 'closed']);
    });

    test('keeps off the networks that this machine has', async () => {
      // The default name may be another's now, who tests the sample.
      const { name } = place();
      const opened = TapWire.open({ name, address: '127.9.0.1/16' });
      await expect(opened).rejects.toThrow(
        `EADDRINUSE: tap: ${name}: 127.9.0.1/16 overlaps 127.0.0.1/8 of lo: give another address`,
      );
    });

    test('loses its link with its interface', async () => {
      const { name, address } = place();
      await using wire = await TapWire.open({ name, address });
      const port = new FakePort();
      wire.attach(port);
      execFileSync('ip', ['link', 'del', name]);
      await vi.waitFor(() => expect(port.links).toEqual([true, false]), { timeout: 10_000 });
      expect(wire.end).toMatch(/socat/);
    });

    test.each([
      [
        'E open("/dev/net/tun", 02, 0666): Permission denied',
        'EPERM: tap: NAME: not allowed: run as root, or with CAP_NET_ADMIN',
      ],
      [
        'E ioctl(6, TUNSETIFF, {"t"}: Operation not permitted',
        'EPERM: tap: NAME: not allowed: run as root, or with CAP_NET_ADMIN',
      ],
      ['E ioctl(6, TUNSETIFF, {"t"}: Device or resource busy', 'EBUSY: tap: NAME: another program has it: give another name'],
      ['E something', 'EIO: tap: NAME: E something'],
    ])('says what to do when socat says %j', async (said, error) => {
      using folder = new TempDir();
      haveOnly(folder, `echo '${said}' >&2; exit 1`);
      const { name, address } = place();
      await expect(TapWire.open({ name, address })).rejects.toThrow(error.replace('NAME', name));
    });

    test('says so where there is no socat', async () => {
      using folder = new TempDir();
      haveOnly(folder);
      const { name, address } = place();
      await expect(TapWire.open({ name, address })).rejects.toThrow(
        `ENOENT: tap: ${name}: there is no socat: install Debian's socat`,
      );
    });

    test('takes another port when one was taken meanwhile', async () => {
      using folder = new TempDir();
      const tried = join(folder.path, 'tried');
      haveOnly(folder, `echo "$3" >>${tried}; echo 'E bind: Address already in use' >&2; exit 1`);
      const { name, address } = place();
      await expect(TapWire.open({ name, address })).rejects.toThrow(`EIO: tap: ${name}: E bind: Address already in use`);
      expect(new Set(readFileSync(tried, 'utf8').trim().split('\n')).size).toBe(3);
    });

    test('is gone when our process is killed', async () => {
      const { name, address } = place();
      const program = fileURLToPath(new URL('./hold-tap.ts', import.meta.url));
      const child = spawn(process.execPath, ['--import', '@oxc-node/core/register', program, name, address], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      await once(child.stdout, 'data');
      expect(exists(name)).toBe(true);
      child.kill('SIGKILL');
      await vi.waitFor(() => expect(exists(name)).toBe(false), { timeout: 20_000 });
    });
  },
  tapObstacle(),
);
