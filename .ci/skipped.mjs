// Lists the tests that vitest's JSON report says were skipped, and fails when one is of something in BACKPLANE_REQUIRE: its name, with
// the reason, or its file has the word.
import { readFileSync } from 'node:fs';

const required = (process.env.BACKPLANE_REQUIRE ?? '').split(',').filter((name) => name !== '');
const { testResults } = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const tests = testResults.flatMap((file) => file.assertionResults.map((one) => ({ ...one, file: file.name })));
if (tests.length === 0) throw new Error('the report holds no test');

const skipped = tests.filter(({ status }) => status !== 'passed' && status !== 'failed');
console.log(`${tests.length} tests, ${skipped.length} skipped${skipped.length > 0 ? ':' : ''}`);
for (const { fullName, file } of skipped) {
  const host = required.find((name) => new RegExp(`\\b${name}\\b`).test(`${fullName} ${file}`));
  console.log(`  ${fullName}${host === undefined ? '' : `: must run, since BACKPLANE_REQUIRE names ${host}`}`);
  if (host !== undefined) process.exitCode = 1;
}
