import { hex } from '../lib/index.js';

/** What of a device the tree shows. */
export interface TreeNode {
  readonly segment: number;
  readonly bus: number;
  readonly devfn: number;
  /** Of a bridge: the buses behind it. */
  readonly secondary: number | undefined;
  readonly subordinate: number;
  /** After the address, with -v. */
  readonly label: string;
}

/** One bus and what is on it. */
interface TreeBus {
  readonly segment: number;
  readonly number: number;
  readonly devices: TreeNode[];
}

/**
 * Draws on one line after the other: what a line begins with stays below it as far as branches go on.
 * @see pciutils 3.9.0 ls-tree.c
 */
class Canvas {
  readonly lines: string[] = [];
  #line = '';

  /** Writes at `at`, dropping what was there; gives the end. */
  put(at: number, text: string): number {
    this.#line = this.#line.slice(0, at) + text;
    return this.#line.length;
  }

  end(at: number): void {
    const line = this.#line.slice(0, at);
    this.lines.push(line);
    this.#line = line.replaceAll('+', '|').replaceAll(/[^|]/g, ' ');
  }
}

/** The bus tree, as `lspci -t` draws it. */
export function tree(nodes: readonly TreeNode[]): string {
  const buses = new Map<number, TreeBus>();
  const key = (segment: number, bus: number): number => segment * 256 + bus;
  for (const node of nodes) {
    const at = key(node.segment, node.bus);
    const bus = buses.get(at) ?? { segment: node.segment, number: node.bus, devices: [] };
    bus.devices.push(node);
    buses.set(at, bus);
  }
  const canvas = new Canvas();
  const behind = new Set(nodes.flatMap((n) => (n.secondary === undefined ? [] : [key(n.segment, n.secondary)])));

  const showBus = (bus: TreeBus | undefined, at: number): void => {
    const devices = bus?.devices ?? [];
    if (devices.length === 0) canvas.end(at);
    else if (devices.length === 1) showDevice(devices[0]!, canvas.put(at, '--'));
    else for (const [i, dev] of devices.entries()) showDevice(dev, canvas.put(at, i === devices.length - 1 ? '\\-' : '+-'));
  };
  const showDevice = (dev: TreeNode, at: number): void => {
    const end = canvas.put(at, `${hex(dev.devfn >> 3, 2)}.${dev.devfn & 7}`);
    if (dev.secondary === undefined) {
      canvas.end(canvas.put(end, dev.label));
      return;
    }
    const last = dev.subordinate === dev.secondary ? '' : `-${hex(dev.subordinate, 2)}`;
    const text = dev.secondary === 0 ? '-' : `-[${hex(dev.secondary, 2)}${last}]-`;
    showBus(dev.secondary === 0 ? undefined : buses.get(key(dev.segment, dev.secondary)), canvas.put(end, `${text}-`));
  };

  const roots = [...buses.entries()].filter(([at]) => !behind.has(at)).map(([, bus]) => bus);
  const start = canvas.put(0, '-');
  for (const [i, bus] of roots.entries()) {
    const branch = roots.length === 1 ? '' : i === roots.length - 1 ? '\\-' : '+-';
    showBus(bus, canvas.put(start, `${branch}[${hex(bus.segment, 4)}:${hex(bus.number, 2)}]-`));
  }
  return canvas.lines.map((line) => `${line}\n`).join('');
}
