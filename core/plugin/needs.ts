import 'reflect-metadata/lite';
import type { LazyServiceIdentifier, ServiceIdentifier } from 'inversify';
import type { ServiceClass, ServiceId } from './plugin.js';

/** One parameter of a constructor that the container fills in. */
export interface Need {
  readonly id: ServiceId<unknown>;
  readonly optional: boolean;
  /** Whether all services of that name are wanted, be there any or none. */
  readonly several: boolean;
}

/** Where inversify's decorators keep what they were told, and how; held by `test/inversify-facts.test.ts`. */
const KEY = '@inversifyjs/core/classMetadataReflectKey';
const SEVERAL = 0;
const SINGLE = 1;
interface Element {
  readonly kind: number;
  readonly optional?: boolean;
  readonly value?: ServiceIdentifier | LazyServiceIdentifier;
}

/** What the container will look for when it makes a class: the `@inject`s of its constructor and fields. */
export function needsOf(cls: ServiceClass<unknown>): Need[] {
  const metadata = Reflect.getOwnMetadata(KEY, cls) as
    | { readonly constructorArguments: readonly (Element | undefined)[]; readonly properties: ReadonlyMap<unknown, Element> }
    | undefined;
  if (metadata === undefined) return [];
  const needs: Need[] = [];
  for (const element of [...metadata.constructorArguments, ...metadata.properties.values()]) {
    if (element === undefined || (element.kind !== SEVERAL && element.kind !== SINGLE)) continue;
    const { value, optional = false } = element;
    const id = typeof value === 'object' ? value.unwrap() : value;
    needs.push({ id: id as ServiceId<unknown>, optional, several: element.kind === SEVERAL });
  }
  return needs;
}
