import { dirname, join } from 'node:path/posix';
import { parseSync } from 'vite';

/** One import or re-export of a file. */
export interface Import {
  /** A path from the root (`core/lib/errno.ts`), or the name of a package or of one of Node's modules. */
  readonly target: string;
  /** Whether `target` is a path. */
  readonly relative: boolean;
  /** Whether the compiled file loads it: not so for `import type`. */
  readonly value: boolean;
}

/** What the rules ask of a source file. */
export interface Source {
  readonly path: string;
  readonly lines: number;
  readonly imports: readonly Import[];
  /** Names read that the file does not own: identifiers in value positions, and `Math.random` as one. */
  readonly names: ReadonlySet<string>;
  /** Names of variables at the top level that can change or that start as empty collections. */
  readonly state: readonly string[];
}

interface Node {
  readonly type: string;
  readonly [key: string]: unknown;
}

const isNode = (value: unknown): value is Node =>
  typeof value === 'object' && value !== null && typeof (value as { type?: unknown }).type === 'string';

/** Keys under which an identifier is the name of a member and not a variable. */
const MEMBER_KEYS = new Set(['property', 'key', 'label', 'imported', 'exported', 'right of TSQualifiedName']);

/** Reads a source file. @throws when it does not parse */
export function readSource(path: string, text: string): Source {
  const { program, errors } = parseSync(path, text);
  if (errors.length > 0) throw new Error(`${path}: ${errors[0]?.message}`);
  const imports: Import[] = [];
  const names = new Set<string>();

  const add = (specifier: unknown, kind: unknown): void => {
    if (!isNode(specifier) || typeof specifier['value'] !== 'string') return;
    const name = specifier['value'];
    const relative = name.startsWith('.');
    const target = relative ? join(dirname(path), name).replace(/\.js$/, '.ts') : name;
    imports.push({ target, relative, value: kind !== 'type' });
  };

  const visit = (node: Node, parent: Node | undefined, key: string): void => {
    switch (node.type) {
      case 'ImportDeclaration':
        add(node['source'], node['importKind']);
        return;
      case 'ExportNamedDeclaration':
      case 'ExportAllDeclaration':
        add(node['source'], node['exportKind']);
        break;
      case 'ImportExpression':
        add(node['source'], 'value');
        break;
      case 'TSImportType':
        add(node['source'], 'type');
        break;
      case 'Identifier': {
        const place = node['name'];
        const where = key === 'right' && parent?.type === 'TSQualifiedName' ? 'right of TSQualifiedName' : key;
        if (typeof place === 'string' && (parent?.['computed'] === true || !MEMBER_KEYS.has(where))) names.add(place);
        break;
      }
      case 'MemberExpression': {
        const { object, property } = node;
        if (isNode(object) && isNode(property) && object['name'] === 'Math' && property['name'] === 'random')
          names.add('Math.random');
        break;
      }
      default:
    }
    for (const [name, value] of Object.entries(node)) {
      if (isNode(value)) visit(value, node, name);
      else if (Array.isArray(value)) for (const item of value) if (isNode(item)) visit(item, node, name);
    }
  };
  const body = (program.body as readonly unknown[]).filter(isNode);
  for (const statement of body) visit(statement, undefined, 'body');
  return { path, lines: text.split('\n').length - 1, imports, names, state: body.flatMap(stateOf) };
}

function stateOf(statement: Node): string[] {
  const declared = statement.type === 'ExportNamedDeclaration' ? statement['declaration'] : statement;
  if (!isNode(declared) || declared.type !== 'VariableDeclaration' || declared['declare'] === true) return [];
  const declarators = declared['declarations'] as readonly Node[];
  return declarators
    .filter((one) => declared['kind'] === 'let' || declared['kind'] === 'var' || isEmptyCollection(one['init']))
    .map((one) => String((one['id'] as Node)['name']));
}

function isEmptyCollection(value: unknown): boolean {
  if (!isNode(value)) return false;
  const parts = value['elements'] ?? value['properties'] ?? (value.type === 'NewExpression' ? value['arguments'] : undefined);
  if (!Array.isArray(parts) || parts.length > 0) return false;
  const made = value['callee'];
  return value.type !== 'NewExpression' || (isNode(made) && /^(Weak)?(Map|Set)$|^Array$/.test(String(made['name'])));
}
