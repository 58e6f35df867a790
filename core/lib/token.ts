/**
 * A typed name for a service that a container hands out: `const Ims = token<Ims>('Ims')`.
 *
 * One name serves as interface and token. It is a symbol at run time, and accepted wherever inversify takes a service identifier.
 */
export type Token<T> = symbol & { readonly __service?: T };

/** Makes a {@link Token}; two calls with one name give two different tokens. */
export function token<T>(name: string): Token<T> {
  return Symbol(name);
}
