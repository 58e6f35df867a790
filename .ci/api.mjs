// Records the public surface in api/<export>.api.md, one report per export of package.json, from the emitted declarations.
// With --check it changes nothing, and fails when a report is out of date.
import { mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Extractor, ExtractorConfig, ExtractorLogLevel } from '@microsoft/api-extractor';

const check = process.argv.includes('--check');
const root = fileURLToPath(new URL('..', import.meta.url));
const scratch = join(root, 'dist/.api');
const { exports } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));

/** `./regs/*` is one report: each file of the folder a namespace of it. */
function entryOf(name, types) {
  if (!types.includes('*')) return join(root, types);
  const folder = types.slice('./dist/'.length, types.indexOf('*'));
  const files = readdirSync(join(root, folder)).filter((file) => file.endsWith('.ts'));
  const lines = files.toSorted().map((file) => {
    const stem = basename(file, '.ts');
    return `export * as ${stem.replaceAll(/-(.)/g, (_, letter) => letter.toUpperCase())} from '../${folder}${stem}.js';\n`;
  });
  const entry = join(scratch, `${name}.d.ts`);
  writeFileSync(entry, lines.join(''));
  return entry;
}

function extract(name, types) {
  const entry = entryOf(name, types);
  const config = ExtractorConfig.prepare({
    configObjectFullPath: undefined,
    packageJsonFullPath: join(root, 'package.json'),
    configObject: {
      projectFolder: root,
      mainEntryPointFilePath: entry,
      compiler: {
        overrideTsconfig: {
          compilerOptions: {
            module: 'NodeNext',
            target: 'ES2022',
            lib: ['ES2023', 'ESNext.Disposable'],
            types: ['node'],
            strict: true,
          },
          files: [entry],
        },
      },
      apiReport: { enabled: true, reportFolder: join(root, 'api'), reportTempFolder: scratch, reportFileName: name },
      docModel: { enabled: false },
      dtsRollup: { enabled: false },
      tsdocMetadata: { enabled: false },
      newlineKind: 'lf',
      messages: {
        extractorMessageReporting: {
          default: { logLevel: ExtractorLogLevel.Warning, addToApiReportFile: true },
          // Every name without a tag is public, and internal names carry @internal without an underscore.
          'ae-missing-release-tag': { logLevel: ExtractorLogLevel.None },
          'ae-internal-missing-underscore': { logLevel: ExtractorLogLevel.None },
          'ae-incompatible-release-tags': { logLevel: ExtractorLogLevel.None },
          // Marked at the name already; the list of them at the end would hold line numbers.
          'ae-undocumented': { logLevel: ExtractorLogLevel.None },
          // The other exports lean on the names of the first.
          ...(name === 'backplane' ? {} : { 'ae-forgotten-export': { logLevel: ExtractorLogLevel.None } }),
        },
        // Comments follow the project's own conventions.
        tsdocMessageReporting: { default: { logLevel: ExtractorLogLevel.None } },
      },
    },
  });
  const { apiReportChanged } = Extractor.invoke(config, {
    localBuild: !check,
    messageCallback: (message) => {
      message.handled = message.logLevel !== ExtractorLogLevel.Error;
    },
  });
  if (apiReportChanged)
    console.log(`api/${name}.api.md: ${check ? 'out of date: run `npm run api` and commit the result' : 'updated'}`);
  return apiReportChanged;
}

rmSync(scratch, { recursive: true, force: true });
mkdirSync(scratch, { recursive: true });
mkdirSync(join(root, 'api'), { recursive: true });
const changed = Object.entries(exports)
  .filter(([, target]) => typeof target === 'object')
  .map(([path, { types }]) => extract(path === '.' ? 'backplane' : basename(path.replace('/*', '')), types));
if (check && changed.includes(true)) process.exitCode = 1;
