// What the history keeps. `node --test tests/js/*.test.mjs`
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readEntries, withEntry } from '../../diffusion_studio/ui/history/entries.mjs';

const entry = (run, recipe = run, picture = 'data:image/webp;base64,AA') => ({ run, recipe, picture, title: `title ${run}` });

test('the newest is first, and there are at most so many', () => {
  let entries = [];
  for (const run of ['a', 'b', 'c', 'd']) entries = withEntry(entries, entry(run), 3, 1e6);
  assert.deepEqual(entries.map((one) => one.run), ['d', 'c', 'b']);
});

test('a run of the same settings takes the place of the one before; runs without settings stay apart', () => {
  let entries = [entry('b', 'two'), entry('a', 'one'), entry('x', null)];
  entries = withEntry(entries, entry('c', 'one'), 9, 1e6);
  assert.deepEqual(entries.map((one) => one.run), ['c', 'b', 'x']);
  assert.deepEqual(withEntry(entries, entry('y', null), 9, 1e6).map((one) => one.run), ['y', 'c', 'b', 'x']);
});

test('the oldest go where there is no room; the newest stays', () => {
  const large = 'data:image/webp;base64,' + 'A'.repeat(400);
  let entries = [];
  for (const run of ['a', 'b', 'c']) entries = withEntry(entries, entry(run, run, large), 9, 1000);
  assert.deepEqual(entries.map((one) => one.run), ['c', 'b']);
  assert.ok(JSON.stringify(entries).length <= 1000);
  assert.deepEqual(withEntry([], entry('z', 'z', large), 9, 10).map((one) => one.run), ['z']);
});

test('what a storage holds is read, and no more than that', () => {
  const good = [entry('a'), entry('b', null)];
  assert.deepEqual(readEntries(JSON.stringify(good)), good);
  for (const text of [null, '', '{', '{}', '"x"', '[1, null, {"run": 3}]']) assert.deepEqual(readEntries(text), []);
  assert.deepEqual(readEntries(JSON.stringify([entry('a', 'a', 'javascript:alert(1)'), entry('b')])), [entry('b')]);
});
