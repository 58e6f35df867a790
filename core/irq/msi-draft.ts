import { chipParent } from './data.js';
import { handleEdge } from './flow.js';
import type { MsiDomainDraft, MsiFlag } from './msi-parent.js';

/**
 * Completes a device's domain for messages that are edges: what is not supported is dropped, and who acknowledges is the parent.
 * @see Linux 7.2 arch/x86/kernel/apic/msi.c x86_init_dev_msi_info
 * @internal
 */
export function completeDraft(draft: MsiDomainDraft, supported: ReadonlySet<MsiFlag>): void {
  for (const flag of draft.flags) if (!supported.has(flag)) draft.flags.delete(flag);
  draft.flags.add('use-def-dom-ops').add('use-def-chip-ops');
  draft.chip = {
    ...draft.chip,
    ack: chipParent.ack,
    acksByParent: true,
    retrigger: chipParent.retrigger,
    skipSetWake: true,
    affinityPreStartup: true,
  };
  draft.flow = handleEdge;
  draft.flowName = 'edge';
}
