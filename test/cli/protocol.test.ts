import { describe, expect, test } from 'vitest';
import { LineReader, REQUEST_LIMIT, decodeRequest, encodeRequest } from '../../cli/protocol.js';

const REQUEST = { argv: ['tree'], cwd: '/', json: true, colour: false };

describe('a request', () => {
  test('comes out as it went in, in one line', () => {
    const line = encodeRequest(REQUEST);
    expect(line.match(/\n/g)).toHaveLength(1);
    expect(decodeRequest(line.trimEnd())).toEqual(REQUEST);
  });
  test.each([
    ['hello', 'EINVAL: request: not a line of JSON: "hello"'],
    ['1', 'EINVAL: request: not an object'],
    ['{"v":2,"argv":[],"cwd":"/"}', 'EPROTO: request: version 2, this is 1'],
    ['{"v":1,"argv":[1],"cwd":"/"}', 'EINVAL: request: wants argv'],
    ['{"v":1,"argv":[]}', 'EINVAL: request: wants argv'],
  ])('is refused when it is %s', (line, message) => {
    expect(() => decodeRequest(line)).toThrow(message);
  });
  test('over the limit is not sent', () => {
    expect(() => encodeRequest({ ...REQUEST, cwd: 'x'.repeat(REQUEST_LIMIT) })).toThrow('E2BIG');
  });
});

describe('LineReader', () => {
  test('makes lines of pieces, wherever these end', () => {
    const reader = new LineReader();
    expect(['a', 'b\nc\n', '\nd'].map((piece) => [...reader.push(piece)])).toEqual([[], ['ab', 'c'], ['']]);
  });
  test('refuses a line over the limit before its end has come', () => {
    expect(() => [...new LineReader(3).push('abcd')]).toThrow('E2BIG');
  });
});
