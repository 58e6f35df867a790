import { hostQtest } from '../../../plugins/host-qtest.js';
import { describeQemus } from '../../helpers/qemu.js';
import { eduScenarios } from './scenarios.js';

describeQemus('system', (qemu) => {
  eduScenarios(qemu.name, {
    make: (count) => hostQtest({ ...qemu.options, devices: Array.from({ length: count }, (_, i) => `edu,addr=${4 + i}`) }),
  });
});
