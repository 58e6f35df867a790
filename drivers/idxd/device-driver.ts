import { Errno, hex, injectable } from '../../core/index.js';
import { ERRORS, GENCFG, GENSTATUS, STATES } from '../../hw/regs/dsa.js';
import { enableCauses } from './causes.js';
import { CMD_STATUS } from './cmd-status.js';
import { configure, refusal } from './configure.js';
import { DSA_BUS, type DsaDevice, type IdxdSubDriver } from './dsa-bus.js';
import { cutOff } from './halt.js';
import type { Idxd } from './idxd.js';
import { unbindPart } from './unbind-part.js';

/**
 * The driver of `dsa0`: a device is enabled while it is bound.
 * @see Linux 6.12 drivers/dma/idxd/device.c idxd_device_drv_probe, idxd_device_drv_remove
 */
@injectable()
export class IdxdDeviceDriver implements IdxdSubDriver<DsaDevice, Idxd> {
  readonly name = 'idxd';
  readonly bus = DSA_BUS;
  readonly types = ['dsa'] as const;

  /** @throws {Errno} ENXIO for whatever keeps it from being enabled; `cmd_status` says what */
  probe({ idxd }: DsaDevice): Promise<Idxd> {
    if (idxd.state !== 'disabled') throw refusal(idxd, CMD_STATUS.deviceEnabled, `is ${idxd.state}, not disabled`);
    configure(idxd);
    // Completions of work without a PASID interrupt as those of users do.
    idxd.regs.modify(GENCFG, { userInterrupts: 1 });
    setUpEventLog(idxd);
    return enable(idxd);
  }

  async remove(dev: DsaDevice, idxd: Idxd): Promise<void> {
    idxd.isLeaving = true;
    try {
      for (const wq of idxd.wqs) {
        if (wq.isEnabled) dev.log('warn', `${wq.name} is enabled: it is unbound first`, 'active_wq');
        await unbindPart(wq);
      }
      await disable(idxd);
    } catch (error) {
      // The memory of its log goes next.
      cutOff(idxd);
      throw error;
    } finally {
      idxd.isLeaving = false;
      if (idxd.state !== 'halted') idxd.state = 'disabled';
      idxd.clear();
    }
  }
}

function setUpEventLog(idxd: Idxd): void {
  try {
    idxd.eventLog?.setUp();
  } catch (error) {
    idxd.cmdStatus = CMD_STATUS.eventLog;
    throw error;
  }
}

async function enable(idxd: Idxd): Promise<Idxd> {
  if (isEnabled(idxd)) throw refusal(idxd, CMD_STATUS.deviceEnabled, 'is enabled already');
  const { status } = await idxd.commands.run('enableDevice');
  if (status !== ERRORS.none) throw refusal(idxd, status, `not enabled: status 0x${hex(status)}`);
  if (idxd.state === 'halted') throw refusal(idxd, ERRORS.hardware, 'has halted meanwhile');
  idxd.state = 'enabled';
  idxd.cmdStatus = 0;
  return idxd;
}

/** A device that has halted is disabled by its reset, and one that is gone is left alone. */
async function disable(idxd: Idxd): Promise<void> {
  const { commands, caps, dev } = idxd;
  if (idxd.state === 'halted' || dev.isGone) return;
  if (isEnabled(idxd)) {
    const { status } = await commands.run('disableDevice');
    if (status !== ERRORS.none && isEnabled(idxd)) throw new Errno('EIO', `${idxd.name}: not disabled: status 0x${hex(status)}`);
  }
  if (!caps.isConfigurable) return;
  await commands.run('resetDevice');
  enableCauses(idxd);
}

const isEnabled = ({ regs }: Idxd): boolean => regs.readField(GENSTATUS, GENSTATUS.fields.state) === STATES.enabled;
