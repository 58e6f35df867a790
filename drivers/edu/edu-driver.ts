import {
  Dma,
  Errno,
  type MaybePromise,
  type PciDevice,
  type PciDriver,
  hex,
  inject,
  injectable,
  pciId,
} from '../../core/index.js';
import * as R from '../../hw/regs/edu.js';
import { Edus } from './api.js';
import { EduDevice } from './edu-device.js';

/** The driver of QEMU's educational device, and the tutorial of this folder. */
@injectable()
export class EduDriver implements PciDriver<EduDevice> {
  readonly name = 'edu';
  readonly ids = [pciId(R.EDU_VENDOR, R.EDU_DEVICE)];

  constructor(@inject(Dma) private readonly dma: Dma) {}

  probe(dev: PciDevice): EduDevice {
    const regs = dev.mapBar(0);
    const id = regs.readField(R.IDENT, R.IDENT.fields.id);
    if (id !== R.IDENT.fields.id.reset) throw new Errno('ENODEV', `${dev.name}: identifies itself as 0x${hex(id)}, not as edu`);
    this.dma.setMask(dev, R.DMA_MASK);
    const edu = new EduDevice(dev, regs, this.dma.alloc(dev, R.BUFFER_BYTES));
    if (!edu.isAlive()) throw new Errno('EIO', `${dev.name}: does not invert what is written to LIVENESS`);
    dev.setMaster();
    dev.allocVectors({ types: ['msi', 'intx'] });
    dev.requestIrq(0, () => edu.interrupted(), 'edu');
    edu.start();
    dev.log('info', `edu ${regs.readField(R.IDENT, R.IDENT.fields.major)}.${regs.readField(R.IDENT, R.IDENT.fields.minor)}`);
    dev.publish(Edus, edu);
    return edu;
  }

  remove(_dev: PciDevice, edu: EduDevice): MaybePromise<void> {
    return edu.stop();
  }
}
