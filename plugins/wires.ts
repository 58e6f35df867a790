export { Pace } from '../hw/remote/pace.js';
export { TapWire, type TapWireOptions } from '../hw/remote/tap-wire.js';
export { UdpWire, type UdpWireOptions } from '../hw/remote/udp-wire.js';
