import { DMA_RULES } from './dma-rules.js';
import { VFIO_RULES } from './vfio-rules.js';

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
  {
    id: 'sleep-in-interrupt',
    text: 'A hard handler interrupts whatever runs: it must not sleep, wait, acquire, free or begin an operation of the core. What has to wait goes into the thread half.',
    bad: 'irqs.request(dev, virq, async () => { await clock.sleep(10); });',
    good: "irqs.request(dev, virq, { hard: () => 'wake', thread: async () => { await clock.sleep(10); } });",
  },
  {
    id: 'free-in-handler',
    text: 'Freeing an interrupt waits until none of its handlers runs; a handler that frees waits for itself.',
    bad: 'const irq = irqs.request(dev, virq, () => irq.free());',
    good: 'const irq = irqs.request(dev, virq, () => irq.disableNosync()); // and free it in remove',
  },
  {
    id: 'synchronize-in-handler',
    text: 'Disabling and synchronising wait until no handler runs; in a handler that never comes.',
    bad: 'irqs.request(dev, virq, () => irqs.disable(virq));',
    good: 'irqs.request(dev, virq, () => irqs.disableNosync(virq));',
  },
  {
    id: 'unbalanced-enable',
    text: 'An interrupt is enabled as often as it was disabled, and not more: the one too many would undo the disable of somebody else.',
    bad: 'irq.disable(); irq.enable(); irq.enable();',
    good: 'irq.disable(); irq.enable();',
  },
  {
    id: 'unbalanced-wake',
    text: 'Wake is taken back as often as it was given, and not more.',
    bad: 'irq.setWake(false);',
    good: 'irq.setWake(true); irq.setWake(false);',
  },
  {
    id: 'wake-without-thread',
    text: "A hard half that says 'wake' has a thread half, or nothing is woken and the interrupt is lost.",
    bad: "irqs.request(dev, virq, () => 'wake');",
    good: "irqs.request(dev, virq, { hard: () => 'wake', thread: work });",
  },
  {
    id: 'affinity-hint-at-free',
    text: 'A hint belongs to the request it was made for, and is taken back before it.',
    bad: 'irq.setAffinityHint([2]); irq.free();',
    good: 'irq.setAffinityHint([2]); irq.setAffinityHint(undefined); irq.free();',
  },
  {
    id: 'affinity-notifier-at-free',
    text: 'A notifier belongs to the request it was made for, and is taken back before it.',
    bad: 'irq.setAffinityNotifier(moved); irq.free();',
    good: 'irq.setAffinityNotifier(moved); irq.setAffinityNotifier(undefined); irq.free();',
  },
  {
    id: 'irq-nobody-cared',
    text: 'Of 100,000 interrupts more than 99,900 were handled by nobody: the line is disabled. The handler looks at the wrong cause, or does not clear it.',
    bad: "irqs.request(dev, virq, () => 'none');",
    good: "irqs.request(dev, virq, () => (regs.read(STATUS) === 0 ? 'none' : acknowledge()));",
  },
  {
    id: 'irq-storm',
    text: 'One device interrupts without end and without time moving: its interrupt is disabled. A level that the handler does not clear does that, and a thread half that wakes itself.',
    bad: 'irqs.request(dev, virq, () => count++); // the cause stays set',
    good: 'irqs.request(dev, virq, () => { regs.write(ACK, regs.read(STATUS)); count++; });',
  },
  {
    id: 'irq-flow-failed',
    text: 'The chip of an interrupt threw while it was delivered. Chip callbacks in interrupt context must not fail.',
    bad: "mask() { throw new Errno('EIO', 'bus'); }",
    good: 'mask(data) { shadow.masked = true; } // and busSyncUnlock writes it',
  },
  {
    id: 'irq-outside-context',
    text: 'An interrupt that hardware raises was handled by a call outside interrupt context.',
    bad: 'irqs.handle(virq);',
    good: 'irqs.inject(virq);',
  },
  {
    id: 'irq-domain-not-empty',
    text: 'A domain went while interrupts of it are mapped: nobody can free them any more.',
    bad: 'domain.remove();',
    good: 'for (const [, desc] of domain.mappings()) domain.disposeMapping(desc.virq); domain.remove();',
  },
  {
    id: 'managed-irq-without-cpu',
    text: 'A managed interrupt was started although none of its CPUs is online. The core starts it when one comes.',
    bad: 'irqs.enable(virq); // after its last CPU went offline',
    good: 'irqs.core.cpus.online; // wait until one of its CPUs is there',
  },
  {
    id: 'affinity-before-activation',
    text: 'An interrupt is on no CPU before it is active: there is nothing to move. What it is to be is kept, and goes to the chip when it starts.',
    bad: 'desc.data.chip.setAffinity(desc.data, mask, false); // never requested',
    good: 'irqs.setAffinity(virq, mask); // kept until it is requested',
  },
  {
    id: 'posted-at-deactivation',
    text: 'An interrupt that is posted to a guest ends there. Freeing it under the guest leaves a descriptor that nobody writes any more.',
    bad: 'irqs.setVcpuAffinity(virq, guest); handle.dispose();',
    good: 'irqs.setVcpuAffinity(virq, undefined); handle.dispose();',
  },
  {
    id: 'msi-domain-taken',
    text: 'A device has one domain of message interrupts under each id. A second would hand out the slots of the first.',
    bad: 'ims.createDomain(dev, store); ims.createDomain(dev, store);',
    good: "ims.createDomain(dev, store); ims.createDomain(dev, queues, { id: 'queues' });",
  },
  {
    id: 'msi-range',
    text: 'Indices of a domain go from 0 to its size less one, and a range from the lower to the higher.',
    bad: 'domain.allocRange(3, 1);',
    good: 'domain.allocRange(1, 3);',
  },
  {
    id: 'msi-stale-map',
    text: "An interrupt is freed once, by who allocated it. Its index may be somebody else's by now.",
    bad: 'domain.free(map); domain.free(map);',
    good: 'if (map.held) domain.free(map);',
  },
  {
    id: 'msi-freed-in-use',
    text: 'The binding that a slot belongs to ended while another device had its interrupt requested. Who hands out an interrupt outlives who requests it.',
    bad: 'irqs.request(other, map.virq, handler); // and dev is unbound before other',
    good: 'irqs.request(dev, map.virq, handler);',
  },
  {
    id: 'msi-left-behind',
    text: 'A domain whose slots are not in the ledger ended before they were freed. They are freed first; who made the domain should have.',
    bad: "msi.createDomain(dev, { id, template, size, label: 'msi domain' }).alloc(); // and unbind",
    good: "dev.devres.acquire('vectors', () => domain.allocRange(0, 3), () => domain.freeAll());",
  },
  {
    id: 'vectors-enabled-twice',
    text: 'A device has one set of MSI or MSI-X vectors. To have more, free them and allocate again, or add single ones to MSI-X.',
    bad: 'dev.allocVectors({ max: 4 }); dev.allocVectors({ max: 8 });',
    good: 'dev.allocVectors({ max: 4 }); dev.msixAllocAt();',
  },
  {
    id: 'no-such-vector',
    text: 'The affinity of a vector was asked for that the device does not have.',
    bad: 'const vectors = dev.allocVectors({ max: 8, affinity: true }); vectors.affinity(7);',
    good: 'for (let n = 0; n < vectors.count; n++) vectors.affinity(n); // there may be fewer than max',
  },
  {
    id: 'affinity-sets',
    text: 'Vectors are divided into at most 4 sets, which have no more vectors together than there are to spread. Nothing is spread.',
    bad: 'dev.allocVectors({ max: 9, affinity: { calcSets: () => [8, 8] } });',
    good: 'dev.allocVectors({ max: 9, affinity: { calcSets: (count) => [count - 1, 1] } });',
  },
  {
    id: 'iommu-not-paging',
    text: 'Only a domain that somebody fills has mappings: the blocked one has none, in the identity one every address is physical, and the memory of a process is mapped through its address space.',
    bad: 'iommu.identity.map(iova, paddr, 4096, PROT.READ);',
    good: 'const domain = iommu.allocDomain(dev); domain.map(iova, paddr, 4096, PROT.READ);',
  },
  {
    id: 'iommu-fault-handler',
    text: 'The owner of a domain is asked about its faults: one handler, for domains that a driver made itself.',
    bad: 'iommu.domainOf(dev).setFaultHandler(handler);',
    good: 'iommu.allocDomain(dev).setFaultHandler(handler);',
  },
  {
    id: 'iommu-domain-in-use',
    text: 'A domain that is freed while it is attached would leave a device with tables that are gone.',
    bad: 'iommu.attach(domain, dev); domain[Symbol.dispose]();',
    good: 'iommu.detach(domain, dev); domain[Symbol.dispose]();',
  },
  {
    id: 'iommu-not-attached',
    text: 'What is detached or freed must be what is attached: otherwise somebody else would lose what he has.',
    bad: 'iommu.attachPasid(a, dev, 1); iommu.detachPasid(b, dev, 1);',
    good: 'iommu.attachPasid(a, dev, 1); iommu.detachPasid(a, dev, 1);',
  },
  {
    id: 'pasid-replaced-by-itself',
    text: 'A replacement changes the domain or its handle; the same again is a mistake about what is attached.',
    bad: 'iommu.replacePasid(domain, dev, 1, handle); iommu.replacePasid(domain, dev, 1, handle);',
    good: 'iommu.replacePasid(other, dev, 1, handle);',
  },
  {
    id: 'pasid-in-use',
    text: 'A number is freed when nothing is attached at it and the device has no access with it under way: its next owner would see them.',
    bad: 'iommu.freePasid(dev, pasid); iommu.detachPasid(domain, dev, pasid);',
    good: 'queue.drain(); iommu.detachPasid(domain, dev, pasid); iommu.freePasid(dev, pasid);',
  },
  {
    id: 'pasid-left-attached',
    text: 'A driver went, and others still have domains at PASIDs of its device, which nobody drives any more.',
    bad: 'iommu.attachPasid(domain, part, 1); // a part that its driver does not own, and that stays when the driver goes',
    good: 'aux.add(dev, PART, { data }); // a part that the driver owns goes before it',
  },
  {
    id: 'dma-owner',
    text: 'A group is claimed for somebody, and given back by who claimed it, when nothing is attached at PASIDs any more.',
    bad: 'iommu.releaseOwner(dev); iommu.releaseOwner(dev);',
    good: 'iommu.claimOwner(dev, user); iommu.releaseOwner(dev);',
  },
  ...DMA_RULES,
  ...VFIO_RULES,
];

/** The rule of this name. */
export function findRule(id: string): Rule | undefined {
  return RULES.find((rule) => rule.id === id);
}
