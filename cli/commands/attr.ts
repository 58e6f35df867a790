import { type AttributeSet, type DeviceCore, Errno } from '../../core/index.js';
import type { Context } from '../command.js';
import { columns } from '../out.js';

type Attributes = Pick<AttributeSet<unknown>, 'paths' | 'mode' | 'read' | 'write'>;

/** Lists the attributes of a device, a bus or a driver, reads one, or writes one. */
export async function attr({ system, args, out }: Context): Promise<void> {
  const [name = '', attribute, value] = args.positionals;
  const attributes = attributesOf(system.core, name);
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

/** Of a driver `pci/edu`, a bus `pci`, or a device. @throws {Errno} ENODEV when there is none of them */
function attributesOf(core: DeviceCore, name: string): Attributes {
  const [first = '', driver] = name.split('/');
  const bus = core.buses.get(first);
  if (bus !== undefined && driver === undefined) return bus.attributes;
  const found = driver === undefined ? undefined : bus?.findDriver(driver);
  if (bus !== undefined && found !== undefined) return bus.attributesOf(found);
  for (const dev of core.order) if (dev.name === name) return dev.attributes;
  throw new Errno('ENODEV', `${name}: no such device, bus or bus/driver`);
}

/** `-rw-r--r--`, as ls prints it. */
function permissions(mode: number): string {
  return `-${'rwxrwxrwx'.replace(/./g, (letter, i: number) => ((mode >> (8 - i)) & 1 ? letter : '-'))}`;
}
