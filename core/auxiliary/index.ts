export { AuxName } from './aux-name.js';
export { AuxiliaryBus } from './auxiliary-bus.js';
export { AuxiliaryDevice, type AuxiliaryOptions } from './auxiliary-device.js';
export { AuxiliaryDriver } from './auxiliary-driver.js';
