/** What attributes say of a work queue that nobody has configured. @see Linux 6.12 drivers/dma/idxd/device.c idxd_wq_disable_cleanup */
export const FRESH_QUEUE: Readonly<Record<string, string>> = {
  clients: '0',
  state: 'disabled',
  group_id: '-1',
  mode: 'shared',
  size: '0',
  priority: '0',
  block_on_fault: '0',
  threshold: '0',
  type: 'none',
  name: '',
  driver_name: '',
  max_transfer_size: '2097152',
  max_batch_size: '32',
  occupancy: '0',
  enqcmds_retries: '32',
};
