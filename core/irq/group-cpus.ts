import { checkRange } from '../lib/bits.js';
import { CpuMask } from './cpu-mask.js';

/** What spreading must know of the machine's CPUs. */
export interface CpuTopology {
  /** CPUs that can ever be there. */
  readonly possible: CpuMask;
  /** CPUs that are there, online or not. */
  readonly present: CpuMask;
  /** What an interrupt that is not spread may use. */
  readonly defaultAffinity: CpuMask;
  /** The NUMA node of a CPU. */
  node(cpu: number): number;
  /** The hardware threads of a CPU's core, the CPU itself included. */
  siblings(cpu: number): CpuMask;
  /** The CPUs that share a CPU's cluster, itself included; undefined where the machine has none. */
  cluster?(cpu: number): CpuMask | undefined;
}

/** CPUs that stay together, and how many groups they make. */
interface Part {
  readonly cpus: CpuMask;
  readonly size: number;
  groups: number;
}

/**
 * Divides all possible CPUs into groups, near ones together, each CPU in one group.
 *
 * The CPUs that are present are dealt out first, then those that are merely possible. Of nodes or clusters with equally many CPUs the one
 * that has the lowest number comes first; Linux's sort leaves that open.
 * @param groups how many are wanted, an integer of 0 or more
 * @returns that many masks, or fewer when there are fewer CPUs
 * @throws {Errno} ERANGE
 * @see Linux 7.2 lib/group_cpus.c group_cpus_evenly
 */
export function groupCpusEvenly(groups: number, topology: CpuTopology): CpuMask[] {
  checkRange('group cpus', 'the number of groups', groups, 0, Number.MAX_SAFE_INTEGER);
  const { possible } = topology;
  const present = possible.and(topology.present);
  // More groups than CPUs would stay empty.
  const masks = Array.from({ length: Math.min(groups, possible.size) }, () => CpuMask.EMPTY);
  if (masks.length === 0) return masks;
  const dealt = deal(masks, 0, present, topology);
  const more = deal(masks, dealt >= masks.length ? 0 : dealt, possible.without(present), topology);
  return masks.slice(0, dealt + more);
}

/** Adds the CPUs to the masks, from index `start` on and round; gives how many masks got some. @see Linux 7.2 __group_cpus_evenly */
function deal(masks: CpuMask[], start: number, cpus: CpuMask, topology: CpuTopology): number {
  if (cpus.isEmpty) return 0;
  let next = start;
  const put = (group: CpuMask): void => {
    masks[next] = masks[next]!.or(group);
    next = (next + 1) % masks.length;
  };
  const nodes = splitByNode(cpus, topology);
  if (masks.length <= nodes.length) {
    for (const node of nodes) put(node.cpus);
    return masks.length;
  }
  const groups = Math.min(cpus.size, masks.length);
  apportion(nodes, groups);
  for (const node of nodes) {
    for (const part of splitByCluster(node, topology)) cut(part, topology, put);
  }
  return groups;
}

/** The nodes that have some of the CPUs, lowest number first. */
function splitByNode(cpus: CpuMask, topology: CpuTopology): Part[] {
  const nodes = new Map<number, number[]>();
  for (const cpu of cpus) {
    const node = topology.node(cpu);
    const members = nodes.get(node);
    if (members === undefined) nodes.set(node, [cpu]);
    else members.push(cpu);
  }
  return [...nodes].sort(([a], [b]) => a - b).map(([, members]) => partOf(CpuMask.from(members)));
}

/** The clusters of a node with their groups; the node itself when it has none, or fewer groups than clusters. @see Linux 7.2 alloc_cluster_groups */
function splitByCluster(node: Part, topology: CpuTopology): Part[] {
  const clusters: Part[] = [];
  for (let rest = node.cpus; !rest.isEmpty;) {
    const cluster = topology.cluster?.(rest.first)?.and(rest);
    if (cluster === undefined || cluster.isEmpty || clusters.length === node.groups) return [node];
    clusters.push(partOf(cluster));
    rest = rest.without(cluster);
  }
  apportion(clusters, node.groups);
  return clusters;
}

/**
 * Gives every part its groups, at least one and in proportion to its CPUs; sorts the parts by their CPUs, fewest first.
 * @see Linux 7.2 lib/group_cpus.c alloc_groups_to_nodes
 */
function apportion(parts: Part[], groups: number): void {
  let cpusLeft = 0;
  let groupsLeft = groups;
  for (const part of parts) cpusLeft += part.size;
  parts.sort((a, b) => a.size - b.size);
  for (const part of parts) {
    part.groups = Math.max(1, Math.floor((groupsLeft * part.size) / cpusLeft));
    groupsLeft -= part.groups;
    cpusLeft -= part.size;
  }
}

/** Cuts a part into its groups: the first ones are larger by one CPU where it does not come out even. @see Linux 7.2 assign_cpus_to_groups */
function cut(part: Part, topology: CpuTopology, put: (group: CpuMask) => void): void {
  let rest = part.cpus;
  for (let groups = part.groups, left = part.size; groups > 0; groups--) {
    const size = Math.ceil(left / groups);
    const group = take(rest, size, topology);
    put(group);
    rest = rest.without(group);
    left -= size;
  }
}

/** The lowest CPUs, each followed by the threads of its core. @see Linux 7.2 lib/group_cpus.c grp_spread_init_one */
function take(cpus: CpuMask, count: number, topology: CpuTopology): CpuMask {
  const taken = new Set<number>();
  for (let cpu = cpus.first; taken.size < count; cpu = cpus.next(cpu)) {
    if (taken.has(cpu)) continue;
    taken.add(cpu);
    for (const sibling of topology.siblings(cpu)) {
      if (taken.size === count) break;
      if (cpus.has(sibling)) taken.add(sibling);
    }
  }
  return CpuMask.from(taken);
}

function partOf(cpus: CpuMask): Part {
  return { cpus, size: cpus.size, groups: 0 };
}
