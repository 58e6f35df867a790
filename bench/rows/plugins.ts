import { Container, ContainerModule } from 'inversify';
import { loadAndUnload } from '../fixture/plugins.js';
import { type Load, timing } from '../gauge.js';
import type { Row } from '../row.js';

const COUNT = 1000;

/** What the container alone needs for as many modules with a service each, made once. */
function containerAlone(): Load {
  const container = new Container({ defaultScope: 'Singleton' });
  const modules = Array.from({ length: COUNT }, () => {
    class Service {}
    return { id: Service, module: new ContainerModule(({ bind }) => void bind(Service).toSelf()) };
  });
  return (calls) => {
    for (let i = 0; i < calls; i++) {
      for (const { id, module } of modules) {
        container.load(module);
        container.get(id);
      }
      for (const { module } of modules.toReversed()) container.unload(module);
    }
  };
}

export const row: Row = {
  name: 'load and unload one of 1,000 plugins with a driver',
  unit: 'ns',
  yardstick: { name: 'module of inversify', prepare: (effort) => timing(containerAlone(), effort, COUNT) },
  run: async (effort) => timing(await loadAndUnload(effort.roundMs === 0 ? 10 : COUNT), effort, COUNT),
};
