import { type Socket, createConnection } from 'node:net';
import { lstatSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { describe, expect, test } from 'vitest';
import { LocalTarget } from '../../cli/local.js';
import { REQUEST_LIMIT } from '../../cli/protocol.js';
import { RemoteTarget } from '../../cli/remote.js';
import { listen } from '../../cli/server.js';
import type { SystemCommand } from '../../cli/command.js';
import { COMMANDS } from '../../cli/table.js';
import { hostSim } from '../../plugins/host-sim.js';
import { TempDir } from '../helpers/temp-dir.js';
import { Tape } from './fixture.js';

const never = (): AbortSignal => new AbortController().signal;

/** A system that listens, with a command that waits until it is let go. */
class Fixture implements AsyncDisposable {
  readonly log: string[] = [];
  readonly #dir = new TempDir();
  readonly path = join(this.#dir.path, 'a.sock');
  letGo: () => void = () => {};
  target!: LocalTarget;
  #close: () => Promise<void> = async () => {};

  static async make(): Promise<Fixture> {
    const self = new Fixture();
    const gate = new Promise<void>((resolve) => {
      self.letGo = resolve;
    });
    const slow: SystemCommand = {
      name: 'slow',
      summary: '',
      usage: '<name>',
      run: async ({ args, out }) => {
        self.log.push(`${args.positionals[0]} begins`);
        await gate;
        self.log.push(`${args.positionals[0]} ends`);
        out.show(args.positionals[0], () => [`done ${args.positionals[0]}`]);
      },
    };
    self.target = await LocalTarget.start({ plugins: [{ plugin: hostSim({ edu: 1 }).plugin }] }, [...COMMANDS.system, slow]);
    const listener = await listen(self.target, self.path);
    self.#close = () => listener.close();
    return self;
  }

  /** Says something to the socket and gives what is answered until it is closed. */
  say(...pieces: string[]): Promise<string> {
    const socket: Socket = createConnection(this.path);
    for (const piece of pieces) socket.write(piece);
    return text(socket);
  }

  async run(argv: string[], json = false): Promise<Tape & { code: number }> {
    const tape = new Tape(json);
    const code = await new RemoteTarget(this.path).run(argv, { io: tape, cwd: '/', signal: never() });
    return Object.assign(tape, { code });
  }

  async until(line: string): Promise<void> {
    while (!this.log.includes(line)) await new Promise((resolve) => setImmediate(resolve));
  }

  close(): Promise<void> {
    return this.#close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.letGo();
    await this.close();
    await this.target.close(new Tape());
    this.#dir[Symbol.dispose]();
  }
}

describe('the socket of a system', () => {
  test('belongs to its owner alone, and gone when it is closed', async () => {
    await using fixture = await Fixture.make();
    expect(lstatSync(fixture.path).mode & 0o777).toBe(0o600);
    await fixture.close();
    expect(() => lstatSync(fixture.path)).toThrow('ENOENT');
  });
  test('gives what a command prints, and its exit code', async () => {
    await using fixture = await Fixture.make();
    expect(await fixture.run(['lspci', '-n'])).toMatchObject({ code: 0, text: '00:04.0 00ff: 1234:11e8 (rev 10)\n', errors: '' });
    expect(await fixture.run(['unbind', 'x'])).toMatchObject({
      code: 1,
      errors: 'backplane unbind: ENODEV: x: no such device\n',
    });
    expect(await fixture.run(['bind'])).toMatchObject({ code: 2, errors: 'backplane bind: <device> is missing\n' });
    expect(await fixture.run(['deferred'], true)).toMatchObject({ code: 0, text: '[]\n' });
  });
  test('answers garbage with the reason, closes, and serves others', async () => {
    await using fixture = await Fixture.make();
    expect(await fixture.say('GET / HTTP/1.1\r\n\r\n')).toContain('EINVAL: request: not a line of JSON');
    expect(await fixture.say('{"v":9}\n')).toContain('EPROTO: request: version 9');
    expect((await fixture.run(['tree'])).code).toBe(0);
  });
  test('refuses a request over the limit before it has ended', async () => {
    await using fixture = await Fixture.make();
    const answer = await fixture.say('x'.repeat(REQUEST_LIMIT), 'x');
    expect(answer).toContain(`E2BIG: request: ${REQUEST_LIMIT + 1} characters or more, at most ${REQUEST_LIMIT}`);
    expect(answer).toMatch(/{"exit":2}\n$/);
  });
  test('serves one command after the other, whoever asks', async () => {
    await using fixture = await Fixture.make();
    const both = Promise.all([fixture.run(['slow', 'a']), fixture.run(['slow', 'b'])]);
    fixture.letGo();
    await both;
    expect(fixture.log.map((line) => line.slice(2))).toEqual(['begins', 'ends', 'begins', 'ends']);
  });
  test('goes on with a command whose caller is gone', async () => {
    await using fixture = await Fixture.make();
    const gone = new AbortController();
    const io = new Tape();
    const remote = new RemoteTarget(fixture.path);
    const first = remote.run(['slow', 'a'], { io, cwd: '/', signal: gone.signal });
    void fixture.until('a begins').then(() => gone.abort());
    await expect(first).rejects.toThrow('EINTR');
    const next = fixture.run(['slow', 'b']);
    fixture.letGo();
    await next;
    expect(fixture.log).toEqual(['a begins', 'a ends', 'b begins', 'b ends']);
  });
  test('lets others through while a command goes on, and ends it with the system', async () => {
    await using fixture = await Fixture.make();
    const tape = new Tape();
    let heard = (): void => {};
    const line = new Promise<void>((resolve) => {
      heard = resolve;
    });
    const io = {
      json: false,
      colour: false,
      err: tape.err,
      out: (text: string) => (tape.out(text), text.includes('is gone') && heard()),
    };
    const following = new RemoteTarget(fixture.path).run(['dmesg', '-w'], { io, cwd: '/', signal: never() });
    expect((await fixture.run(['yank', '0000:00:04.0'])).code).toBe(0);
    await line;
    expect(tape.text).toMatch(/^\[    0\.000000\] 0000:00:04\.0: is gone$/m);
    await fixture.close();
    expect(await following).toBe(0);
  });
  test('tells its callers when the system ends under them', async () => {
    await using fixture = await Fixture.make();
    const slow = fixture.run(['slow', 'a']);
    await fixture.until('a begins');
    await fixture.close();
    expect(await slow).toMatchObject({ code: 1, errors: 'backplane slow: EINTR: interrupted\n' });
  });
});

test('a client of a system that is not there is told how to start one', async () => {
  const remote = new RemoteTarget('/nowhere/a.sock');
  await expect(remote.run(['tree'], { io: new Tape(), cwd: '/', signal: never() })).rejects.toThrow(
    /^ECONNREFUSED: .*backplane up/,
  );
});
