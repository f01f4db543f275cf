// What events do in the browser, where it can be computed without one. `node --test tests/js/*.test.mjs`
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { endRun, pressGenerate, pressPoints, showArrivedComparison, spellOnly, stopRun, takeComparison, tryComparison, tryExample, withLook, withStrength } from '../../diffusion_studio/ui/actions.mjs';

test('a run that is stopped says so, and the rest of its tick stays', () => {
  assert.deepEqual(stopRun({ run: 'a', kept: 3 }), { run: 'a', kept: 3, stopped: true });
  assert.equal(stopRun(null), null);
});

test('an example sets what it names alone', () => {
  assert.deepEqual(tryExample({ label: 'Sneaker' }, '', 'red'), ['Sneaker', 'red', '']);
  assert.deepEqual(tryExample({ spell: 'ada' }, 'B', 'red'), ['B', 'red', 'ada']);
  assert.deepEqual(tryExample(null, 'B', 'red'), ['B', 'red', '']);
});

test('of several examples one is taken that is not there now', () => {
  const any_of = [{ prompt: 'a' }, { prompt: 'b' }];
  for (let k = 0; k < 20; k++) assert.deepEqual(tryExample({ any_of }, '', 'a'), ['', 'b', '']);
});

test('a text to spell takes the place of labels and of a number of pictures', () => {
  for (const [text, off] of [['ada', true], ['  ', false], [null, false]]) {
    const [label, count, chips] = spellOnly(text);
    assert.deepEqual(label, { __type__: 'update', interactive: !off });
    assert.deepEqual(count, label);
    assert.deepEqual(chips, { __type__: 'update', off });
  }
});

test('a comparison to try keeps what it does not name', () => {
  const axes = { x: '', y: 'steps=5', settings: [1] };
  assert.deepEqual(tryComparison({ x: 'seed=1, 2' }, 'eta=0', axes), ['eta=0', { x: 'seed=1, 2', y: 'steps=5', settings: [1] }]);
  assert.deepEqual(tryComparison({ lanes: 'eta=1' }, 'eta=0', axes), ['eta=1', axes]);
});

test('the strength of an edit is told to a sheet that has a picture', () => {
  assert.deepEqual(withStrength(0.5, { picture: 'p' }), { picture: 'p', strength: 0.5 });
  assert.equal(withStrength(0.5, null), null);
});

/** A page with a player that takes what it is told; `look` is how its player shows its run. */
const withPage = (look, test) => {
  const heard = [], data = { compare: '{"x":"seed=1"}' };
  const found = { '.screens': { dataset: { view: look.view } }, '.speed': { value: look.fps }, '.film': { ariaPressed: look.film } };
  const player = { dataset: { zoom: look.zoom }, dispatchEvent: ({ type, detail }) => heard.push([type, detail]), querySelector: (name) => found[name] };
  const page = { documentElement: { dataset: data }, querySelector: (name) => (name.endsWith('player .player') ? player : name === '#points-stage' ? { dataset: data } : null) };
  Object.assign(globalThis, { document: page, innerWidth: 1200 });
  try { test(heard, data); } finally { delete globalThis.document; delete globalThis.innerWidth; }
};
const LOOK = { view: 'both', zoom: '2', fps: '20', film: 'false' };

test('a run that ended early is stopped', () => withPage(LOOK, (heard) => {
  assert.deepEqual(endRun({ run: 'a' }, '1 a'), { run: 'a', stopped: true });
  assert.deepEqual(heard, [['unpressed', { refused: false }]]);
}));

test('a press that was refused leaves the run before going on', () => withPage(LOOK, (heard) => {
  assert.deepEqual(endRun({ run: 'a' }, ''), { run: 'a' });
  assert.equal(endRun(null, ''), null);                // nothing was shown yet
  assert.deepEqual(heard, [['unpressed', { refused: true }], ['unpressed', { refused: false }]]);
}));

test('how the player shows its run goes with its value', () => withPage(LOOK, () => {
  assert.deepEqual(withLook('', 'gif', { run: 'a' }), ['gif', { run: 'a', look: { view: 'both', zoom: 2, fps: 20, film: false } }]);
  assert.deepEqual(withLook('', 'gif', null), ['gif', null]);
}));

test('a single picture is none where all are shown', () => withPage({ ...LOOK, zoom: '', film: 'true' }, () => {
  assert.deepEqual(withLook('points-', { run: 'a' }), [{ run: 'a', look: { view: 'both', zoom: null, fps: 20, film: true } }]);
}));

test('a press of Points tells the settings that it uses, under its name', () => withPage(LOOK, (heard, data) => {
  const [name, ...given] = pressPoints('drawn', 'train', ['steps'], '', 'moons', 'a drawing', 500);
  assert.deepEqual(given, ['moons', 'a drawing', 500]);
  assert.deepEqual(heard, [['points-pressed', { name, settings: { shape: 'moons', sketch: null, steps: 500 } }]]);
  assert.equal(data.pressed, 'train');                 // beside this button stands Stop
  assert.ok(Number(name.split(' ')[0]) > 0);           // its time, by which the server orders presses
  const [drawn] = pressPoints('drawn', 'forward', [], '', 'drawn', 'a drawing');
  assert.deepEqual(heard[1], ['points-pressed', { name: drawn, settings: { shape: 'drawn', sketch: 'a drawing' } }]);
  assert.notEqual(drawn, name);
}));

test('a comparison that the page asks for is taken once', () => withPage(LOOK, (_, data) => {
  assert.equal(takeComparison(), '{"x":"seed=1"}');
  assert.equal(takeComparison(), '');
  assert.ok(!('compare' in data));
}));

test('Continue says once, before the name of its press, that it goes on', () => withPage(LOOK, (heard, data) => {
  data.resume = 'true';
  assert.match(pressGenerate()[0], /^resume \d/);
  assert.match(pressGenerate()[0], /^\d/);
  assert.ok(heard.every(([name]) => name === 'pressed'));
}));

test('the tab of runs that arrive is shown, once, unless they came with the address', () => withPage(LOOK, (_, data) => {
  let clicks = 0;
  const { querySelector } = globalThis.document;
  globalThis.document.querySelector = (name) => (name.includes('data-tab-id="compare"') ? { click: () => { clicks++; } } : querySelector(name));
  data.arrives = 'compare';
  assert.deepEqual(showArrivedComparison('race {}'), ['race {}']);
  assert.equal(clicks, 0);
  showArrivedComparison('race {}');
  assert.equal(clicks, 1);
}));
