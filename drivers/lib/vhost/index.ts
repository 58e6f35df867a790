export { VHOST, type VringSetting } from './calls.js';
export { UserSeat } from './user-seat.js';
export { VdpaUser } from './vdpa-user.js';
export { type VhostServices, VhostVdpa } from './vhost-vdpa.js';
