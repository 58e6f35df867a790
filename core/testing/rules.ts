/** A rule that the core or the kit checks: what is wrong, why it matters, and how it looks right. */
export interface Rule {
  readonly id: string;
  readonly text: string;
  readonly bad: string;
  readonly good: string;
}

/**
 * The rules, by name. A broken one is recorded with the device's name; the caller gets an `Errno`, and nothing is changed.
 * @see Linux 6.12 Documentation/driver-api/driver-model; Windows Driver Verifier; Linux kernel/dma/debug.c
 */
export const RULES: readonly Rule[] = [
  {
    id: 'use-after-unbind',
    text: 'A handle dies with the binding it was made for. Using it later would reach hardware that belongs to another driver, or to none.',
    bad: 'setInterval(() => regs.read(STATUS), 100); // goes on after remove',
    good: 'remove(dev, state) { state.stop(); } // stop what uses the handle',
  },
  {
    id: 'double-release',
    text: 'What was released early has left the ledger; releasing it again would give back what somebody else may hold by now.',
    bad: 'handle.release(); handle.release();',
    good: 'if (handle.held) handle.release();',
  },
  {
    id: 'devres-added-twice',
    text: 'One entry is in one ledger once; a second time it would be released twice.',
    bad: 'a.devres.add(entry); b.devres.add(entry);',
    good: 'a.devres.add(entry);',
  },
  {
    id: 'unknown-group',
    text: 'A group that was kept or released is gone; closing, keeping or releasing it again has no meaning.',
    bad: 'group.keep(); group.release();',
    good: 'group.keep();',
  },
  {
    id: 'acquire-in-release',
    text: 'A release that acquires makes the ledger grow while it is being emptied. After eight sweeps the rest is given up and reported.',
    bad: "devres.defer('x', () => devres.defer('y', again));",
    good: "devres.defer('x', () => free(x));",
  },
  {
    id: 'added-twice',
    text: 'A device object lives once: it cannot be added again, and not after its removal. A new device needs a new object.',
    bad: 'bus.add(dev); bus.remove(dev); bus.add(dev);',
    good: 'bus.add(new Device({ name }));',
  },
  {
    id: 'removed-twice',
    text: 'A device that is not registered cannot be removed; after a failed add only put is left to do.',
    bad: 'bus.remove(dev); bus.remove(dev);',
    good: 'bus.remove(dev);',
  },
  {
    id: 'orphaned-children',
    text: 'A parent went before its children, which now hang below nothing. Children that a driver adds through its device go by themselves; others must be removed first.',
    bad: 'core.remove(parent); // child was added with bus.add',
    good: 'core.remove(child); core.remove(parent);',
  },
  {
    id: 'device-without-release',
    text: 'The last reference of a device was given up, and neither it nor its type nor its class says how to give up what it is made of.',
    bad: "new Device({ name: 'x' })",
    good: "new Device({ name: 'x', release: () => free(x) })",
  },
  {
    id: 'driver-not-registered',
    text: 'A driver that is not on the bus cannot be taken off it.',
    bad: 'bus.unregister(driver); bus.unregister(driver);',
    good: 'bus.unregister(driver);',
  },
  {
    id: 'managed-link-deleted',
    text: 'The core keeps a managed link for as long as its devices live; only stateless links are deleted by hand.',
    bad: 'core.deleteLink(core.link(consumer, supplier));',
    good: 'core.deleteLink(core.link(consumer, supplier, DL_STATELESS));',
  },
  {
    id: 'link-to-unbound-supplier',
    text: 'A consumer was bound although the supplier it depends on was not: the link was made in probe, to a device without driver.',
    bad: 'probe(dev) { core.link(dev, supplier); } // supplier unbound',
    good: "probe(dev) { if (!supplier.bound) throw defer('supplier'); }",
  },
  {
    id: 'unmatched-resume',
    text: 'Each pause of sync_state is resumed once.',
    bad: 'core.syncState.resume();',
    good: 'core.syncState.pause(); core.syncState.resume();',
  },
  {
    id: 'not-an-errno',
    text: 'A callback of a driver threw something that is not an `Errno`: a bug, such as a TypeError, and not a failure that anybody could act on.',
    bad: 'probe(dev) { const size = SIZES[regs.read(KIND)].bytes; } // all ones when the device is gone',
    good: "if (size === undefined) throw new Errno('ENXIO', `${dev.name}: unknown kind`);",
  },
  {
    id: 'auxiliary-driver-incomplete',
    text: 'An auxiliary driver needs a probe and at least one id; without them it could never be bound.',
    bad: "aux.register({ name: 'port', ids: [] });",
    good: "aux.register({ name: 'port', ids: [PORT], probe });",
  },
  {
    id: 'component-unknown',
    text: 'A component that was never added, or was removed before, is removed.',
    bad: 'components.remove(dev, ops); components.remove(dev, ops);',
    good: 'components.remove(dev, ops);',
  },
  {
    id: 'subcomponent-0',
    text: 'Sub-components are numbered from 1; 0 stands for a component without a number.',
    bad: 'components.add(dev, ops, 0);',
    good: 'components.add(dev, ops, 1);',
  },
  {
    id: 'components-left-bound',
    text: 'The unbind of an aggregate left components bound: it must unbind all that it bound.',
    bad: 'unbind() {}',
    good: 'unbind(dev) { components.unbindAll(dev); }',
  },
  {
    id: 'callback-threw',
    text: 'A listener of a bus, of events or of a class threw. What it listened to goes on; a listener must not fail.',
    bad: "bus.notifier.on(() => { throw new Error('no'); });",
    good: 'bus.notifier.on((event, dev) => seen.push([event, dev.name]));',
  },
  {
    id: 'release-failed',
    text: 'An action that could not be recorded was run at once, and failed as well.',
    bad: "devres.defer('ring', async () => { throw new Errno('EIO', 'stuck'); });",
    good: "devres.defer('ring', async () => { await ring.stop(); });",
  },
  {
    id: 'attribute-without-device',
    text: 'An attribute was added to a device that is not in the tree: nobody could see it, and nothing would remove it.',
    bad: 'core.remove(dev); dev.attributes.add(attribute);',
    good: 'new Device({ name, groups: [{ attributes: [attribute] }] })',
  },
  {
    id: 'put-twice',
    text: 'A reference was given up that nobody holds, or the last one of a registered device: somebody else still uses it.',
    bad: 'dev.put(); dev.put();',
    good: 'dev.get(); use(dev); dev.put();',
  },
  {
    id: 'used-after-release',
    text: 'A reference was taken after the last one had been given up: the device is no more.',
    bad: 'dev.put(); dev.get();',
    good: 'dev.get(); dev.put(); dev.put();',
  },
  {
    id: 'link-deleted-twice',
    text: 'A device link was deleted more often than it was asked for.',
    bad: 'core.deleteLink(link); core.deleteLink(link);',
    good: 'core.deleteLink(link);',
  },
  {
    id: 'deferral-loop',
    text: 'A probe binds something and then defers, and so triggers its own retry for ever. After 1,000 rounds it waits for a bind elsewhere.',
    bad: "probe(dev) { addAndBindChild(dev); throw defer('child'); }",
    good: "probe(dev) { if (!ready) throw defer('clock'); addChild(dev); }",
  },
  {
    id: 'hung-callback',
    text: 'A probe, remove or release did not end within the limit. It is given up: its device is unbound, its handles are dead, the rest of the system goes on.',
    bad: 'async probe() { await new Promise(() => {}); }',
    good: 'async probe() { await clock.poll(ready, { timeoutUs: 1000 }); }',
  },
  {
    id: 'match-waits',
    text: 'A bus asks its match in the middle of other work, and must know at once. A promise would count as a match with everything.',
    bad: 'match: async (dev, driver) => (await identify(dev)) === driver.name,',
    good: "match: (dev, driver) => { if (dev.ident === undefined) throw defer('not identified'); return dev.ident === driver.name; },",
  },
];

/** The rule of this name. */
export function findRule(id: string): Rule | undefined {
  return RULES.find((rule) => rule.id === id);
}
