export { BusDriver } from './bus-driver.js';
export { type Caller, Command, type Output } from './command.js';
export type { BusNode, ClassNode, DeviceNode, DeviceTree, DriverNode } from './device-tree.js';
export type { DriverVerdict, Explanation, Verdict } from './explain.js';
export { inject, injectable, multiInject, optional } from './inject.js';
export {
  type BindTo,
  Plugin,
  type PluginContext,
  type PluginOptions,
  type ServiceClass,
  type ServiceId,
  type Services,
} from './plugin.js';
export type { PluginNode, PluginTree } from './plugin-tree.js';
export { System } from './system.js';
export { VERSION } from './version.js';
