// What the player computes without the page. `node --test tests/js/*.test.mjs`
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import * as logic from '../../diffusion_studio/ui/player/logic.mjs';

const fixture = (name) => JSON.parse(readFileSync(new URL(name, import.meta.url), 'utf-8')).cases;

for (const { half, number, box, ...sheet } of fixture('sheet.json')) {
  test(`sheet of ${sheet.count}: ${half} ${number ?? 'all'}`, () => assert.deepEqual(logic.tileBox(sheet, half, number), box));
}

test('a click in the grid finds its picture, or none', () => {
  const sheet = { count: 5, columns: 3 };
  assert.deepEqual([[0.1, 0.1], [0.5, 0.2], [0.9, 0.4], [0.1, 0.9], [0.5, 0.6]].map(([x, y]) => logic.tileAt(sheet, x, y)), [0, 1, 2, 3, 4]);
  assert.equal(logic.tileAt(sheet, 0.9, 0.9), null);
});

test('the nearest loaded frame stands in, the earlier of two', () => {
  const frames = [1, undefined, undefined, undefined, 1, undefined];
  assert.deepEqual([0, 1, 2, 3, 4, 5].map((place) => logic.nearestLoaded(frames, place, 5)), [0, 0, 0, 4, 4, 4]);
  assert.equal(logic.nearestLoaded([], 2, 5), -1);
});

test('what is looked at is asked for first, nothing twice, nothing that is loaded', () => {
  const frames = [1, undefined, 1];
  assert.deepEqual(logic.missingPlaces(frames, 6, [4, 6], 3), [4, 6, 1]);
  assert.deepEqual(logic.missingPlaces(frames, 6, [6, 6, 9, -1], 9), [6, 1, 3, 4, 5]);
  assert.deepEqual(logic.missingPlaces(frames, 6, [4, 6], 1), [4]);
});

test('the next request is as large as the line is fast', () => {
  assert.equal(logic.nextBatch(2, 100, 250, false), 5);
  assert.equal(logic.nextBatch(2, 100, 250, true), 10);
  assert.equal(logic.nextBatch(8, 1, 250, false), 8);
  assert.equal(logic.nextBatch(8, 0, 250, true), 48);
  assert.equal(logic.nextBatch(1, 60000, 250, false), 1);
});

test('the strip reaches from the first place to the last', () => {
  assert.deepEqual([0, 1, 2, 3, 4].map((k) => logic.stripPlace(k, 5, 8)), [0, 2, 4, 6, 8]);
  assert.equal(logic.stripPlace(0, 1, 0), 0);
});

test('levels and calls in words', () => {
  assert.equal(logic.levelText({ t: 999, logSnr: -1e9 }, false), 't = 999 · pure noise');
  assert.equal(logic.levelText({ t: 0.123456, logSnr: 1.005 }, false), 't = 0.1235 · log-SNR 1.00');
  assert.equal(logic.levelText({ t: -1, logSnr: null }, false), 'clean picture');
  assert.equal(logic.levelText({ t: -1, logSnr: null }, true), 'clean points');
  assert.deepEqual([0, 1, 2].map(logic.callsText), ['0 network calls', '1 network call', '2 network calls']);
});

test('points: the hue goes by the angle, the middle is pale', () => {
  const hue = (x, y) => Math.floor(logic.colourNumber(x, y) / 4), pale = (x, y) => logic.colourNumber(x, y) % 4;
  const from = hue(1, 0);                              // 0.5 radians, of 48 hues round the circle
  assert.equal(from, Math.round(0.5 / (2 * Math.PI) * 48));
  assert.deepEqual([[0, 1], [-1, 0], [0, -1]].map(([x, y]) => (hue(x, y) - from + 48) % 48), [12, 24, 36]);
  assert.deepEqual([0.1, 0.3, 0.6, 0.8, 3].map((x) => pale(x, 0)), [0, 1, 2, 3, 3]);
  assert.equal(logic.pointColour(4 * 12 + 3, true, 0.5), `oklch(0.78 ${0.155 * (0.35 + 0.65 * 3.5 / 4)} 90 / 0.5)`);
});

test('numbers evenly spaced among all', () => {
  assert.deepEqual(logic.evenly(3, 9), [0, 4, 8]);
  assert.deepEqual(logic.evenly(70, 3), [0, 1, 2]);
  assert.deepEqual(logic.evenly(70, 1), [0]);
});

test('the strip of a text has fewer and wider cells, so that each shows all of it', () => {
  assert.equal(logic.cellsOf(1060, 74, true, null), 27);          // 1060 / (37 + 2)
  assert.equal(logic.cellsOf(1060, 74, true, { columns: 12, rows: 1 }), 4);
  assert.equal(logic.cellsOf(1060, 74, true, { columns: 3, rows: 1 }), 9);      // 1060 / (111 + 2)
  assert.equal(logic.cellsOf(300, 74, false, null), 6);
});

test('an ended run is finished once all its states are in the page', () => {
  const run = { loaded: 8, all: 25, lost: false, done: true };
  assert.equal(logic.endedText(run), 'loading states 8 of 25');
  assert.equal(logic.endedText({ ...run, lost: true }), 'some states are no longer on the server');
  assert.equal(logic.endedText({ ...run, loaded: 25, lost: true }), 'finished');
  assert.equal(logic.endedText({ ...run, loaded: 25, took: { seconds: 7.62, asked: 10 } }), 'finished, took 7.6 s of the 10 s asked (without timing and waiting)');
  assert.equal(logic.endedText({ ...run, loaded: 25, done: false }), 'stopped');
});

test('a press waits some seconds, and is made again', async () => {
  const said = [];
  await logic.pressLater(3, { tell: (left) => said.push(left), sleep: async (ms) => { said.push(`${ms} ms`); }, waiting: () => true, press: () => said.push('press') });
  assert.deepEqual(said, [3, '1000 ms', 2, '1000 ms', 1, '1000 ms', 'press']);
});

test('a press that another one took the place of is not made again', async () => {
  const said = [];
  await logic.pressLater(3, { tell: (left) => said.push(left), sleep: async () => {}, waiting: () => said.length < 2, press: () => said.push('press') });
  assert.deepEqual(said, [3, 2]);
});

test('a late run finds the settings of its own press', () => {
  const presses = new Map();
  logic.notePress(presses, 'first', { shape: 'moons' });
  logic.notePress(presses, 'second', { shape: 'swiss-roll' });
  assert.deepEqual(presses.get('first'), { shape: 'moons' });
  for (let k = 0; k < 40; k++) logic.notePress(presses, `later ${k}`, k);
  assert.ok(presses.size <= 16 && presses.get('later 39') === 39);
});

test('until the first state is painted the stage counts those that came', () =>
  assert.equal(logic.arrivingText(1, 26), 'Loading the states … 1 of 26'));

test('the thumbnail of a text is its first letters in one row', () => {
  const line = { count: 5, columns: 10, rows: 1, tile: [32, 32], places: [[0, 1], [0, 2], [0, 3], [0, 5], [0, 6]] };
  assert.deepEqual(logic.letterRow(line), [1, 2, 3, 5, 6].map((k) => [32 * k, 0, 32, 32]));
  const long = { count: 60, columns: 60, rows: 1, tile: [32, 32], places: Array.from({ length: 60 }, (_, k) => [0, k]) };
  assert.equal(logic.letterRow(long).length, 16);      // more would be too small
});

test('what plays waits for the next state, so that no mark runs ahead of the picture', () => {
  const frames = ['a', 'b', undefined, 'd'];
  assert.equal(logic.nextToPlay(frames, 0, 3, false), 1);
  assert.equal(logic.nextToPlay(frames, 1, 3, false), null);
  assert.equal(logic.nextToPlay(frames, 1, 3, true), 3);      // what is lost is left out
  assert.equal(logic.nextToPlay(['a'], 0, 3, true), 3);
});
