import type { Context } from '../command.js';
import { columns } from '../out.js';

/** Lists the attributes of a device, reads one, or writes one. */
export async function attr({ system, args, out }: Context): Promise<void> {
  const [name = '', attribute, value] = args.positionals;
  const { attributes } = system.device(name);
  if (attribute === undefined) {
    const all = attributes.paths().map((path) => ({ path, mode: attributes.mode(path) }));
    out.show(all, () => columns(all.map(({ path, mode }) => [permissions(mode), path])));
  } else if (value === undefined) {
    const text = attributes.read(attribute);
    out.show(text, () => (text === '' ? [] : text.replace(/\n$/, '').split('\n')));
  } else {
    await attributes.write(attribute, `${value}\n`);
    out.show({ device: name, attribute, value }, () => []);
  }
}

/** `-rw-r--r--`, as ls prints it. */
function permissions(mode: number): string {
  return `-${'rwxrwxrwx'.replace(/./g, (letter, i: number) => ((mode >> (8 - i)) & 1 ? letter : '-'))}`;
}
