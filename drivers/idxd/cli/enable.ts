import { disable, enable } from '../accel-enable.js';
import { type Action, type ActionContext, NOUNS, named } from './action.js';

/** Does it to one after the other, whether or not one fails. */
async function each(context: ActionContext, kind: 'dsa' | 'wq', done: 'enabled' | 'disabled'): Promise<void> {
  const all = named(context, kind);
  const names: string[] = [];
  const errors: unknown[] = [];
  for (const dev of all) {
    try {
      if (done === 'enabled') await enable(dev);
      else await disable(dev, context.options.has('force'));
      names.push(dev.name);
    } catch (error) {
      errors.push(error);
    }
  }
  const what = kind === 'dsa' ? 'device' : kind;
  context.show({ [done]: names }, [`${done} ${names.length} ${what}(s) out of ${all.length}`]);
  if (errors.length > 0) throw errors.length === 1 ? errors[0] : new AggregateError(errors, `${errors.length} ${what}s failed`);
}

const force = [{ name: 'force', short: 'f', summary: 'even if it has clients' }];

export const ENABLE: readonly Action[] = (['dsa', 'wq'] as const).flatMap((kind): Action[] => {
  const what = kind === 'dsa' ? 'device' : kind;
  const usage = kind === 'dsa' ? '<dsa0>...' : '<dsa0/wq0.0>...';
  return [
    {
      name: `enable-${what}`,
      usage,
      summary: `enable ${NOUNS[kind]}`,
      options: [],
      run: (context) => each(context, kind, 'enabled'),
    },
    {
      name: `disable-${what}`,
      usage,
      summary: `disable ${NOUNS[kind]}`,
      options: force,
      run: (context) => each(context, kind, 'disabled'),
    },
  ];
});
