// Where a notice lies, and what the link says. `node --test tests/js/*.test.mjs`
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { freePlace, linkOf, nextOf, placeOf, placesOf } from '../../diffusion_studio/ui/page.mjs';

const SCREEN = { width: 1000, height: 800 }, SIZE = { width: 300, height: 100 };
const box = (left, top, width, height) => ({ left, top, right: left + width, bottom: top + height });

test('a notice takes the first place at which it covers nothing', () => {
  const places = [{ left: 16, top: 684 }, { left: 400, top: 300 }, { left: 684, top: 684 }];
  assert.deepEqual(freePlace(places, SIZE, [box(320, 700, 80, 40)], SCREEN), { left: 16, top: 684 });
  assert.deepEqual(freePlace(places, SIZE, [box(20, 780, 80, 40)], SCREEN), { left: 400, top: 300 });
  assert.deepEqual(freePlace(places, SIZE, [box(20, 780, 80, 20), box(690, 310, 40, 20)], SCREEN), { left: 684, top: 684 });
});

test('where every place covers something, the least counts, and the notice stays on the screen', () => {
  const places = [{ left: 0, top: 0 }, { left: 900, top: 790 }];
  const controls = [box(0, 0, 100, 100), box(900, 780, 10, 10)];
  assert.deepEqual(freePlace(places, SIZE, controls, SCREEN), { left: 700, top: 700 });
});

test('a link within the page names its place', () => {
  assert.deepEqual(['#open-model', '#a%20b', '#50%', '#', null].map(placeOf), ['open-model', 'a b', '50%', '', '']);
});

test('an error is shown at the control of its setting, and in Compare where the setting is written', () => {
  for (const name of ['seed', 'seeds']) assert.deepEqual(placesOf(name, 'generate'), ['#seed']);
  assert.deepEqual(placesOf('steps', 'compare-run'), ['#compare-lanes', '#compare-lanes-help', '#compare-x']);
  assert.deepEqual(placesOf('steps', 'compare-run', 'steps'), ['#compare-lanes', '#compare-lanes-help', '#compare-y']);
  assert.equal(placesOf('y', 'compare-run', 'eta').at(-1), '#compare-y');
  assert.equal(placesOf('', 'compare-run', '').at(-1), '#compare-x');
  assert.deepEqual(placesOf('sampler.eta', 'compare-run', 'eta'), ['#compare-lanes', '#compare-lanes-help', '#compare-y']);
  assert.deepEqual(placesOf('format', 'compare-save'), []);      // under the button
  assert.deepEqual(placesOf('base', 'compare-run'), []);
  assert.deepEqual(placesOf('export.picture', 'make-file'), ['#export-picture']);
  assert.deepEqual(placesOf('export.fps', 'points-make-file'), ['#points-export-fps']);
  assert.deepEqual(placesOf('shape', 'points-forward'), []);
});

test('the link keeps the rest of the address, and only a run tells the history its recipe', () => {
  const from = 'http://here:1/app/?race=1&__theme=dark&recipe=old';
  const ran = linkOf('run:{"a": 1}', from), stands = linkOf('{"a": 1}', from);
  assert.deepEqual([ran.ofRun, ran.recipe, stands.ofRun, stands.recipe], [true, '{"a": 1}', false, '{"a": 1}']);
  assert.equal(ran.link, 'http://here:1/app/?recipe=%7B%22a%22%3A%201%7D');
  assert.equal(new URL(ran.address).searchParams.get('recipe'), '{"a": 1}');
  assert.equal(new URL(ran.address).searchParams.get('__theme'), 'dark');
  assert.equal(new URL(ran.address).searchParams.get('race'), null);
});

test('a race and a grid are links of their own kind', () => {
  for (const kind of ['race', 'grid']) {
    const text = `{"diffusion-studio": 1, "${kind}": {}}`, found = linkOf(text, 'http://here/?recipe=old&grid=1');
    assert.deepEqual([...new URL(found.address).searchParams], [[kind, text]]);
    assert.equal(new URL(found.link).searchParams.get(kind), text);
  }
});

test('settings that no link can carry leave the address, and the field says why', () => {
  const found = linkOf('run:No link: too large', 'http://here/?recipe=old');
  assert.deepEqual([found.recipe, found.link, found.address], [null, 'No link: too large', 'http://here/']);
});

test('arrows lead from tab to tab, around the ends', () => {
  assert.deepEqual(['ArrowRight', 'ArrowLeft', 'Home', 'End', 'a'].map((key) => nextOf(2, 3, key)), [0, 1, 0, 2, null]);
  assert.equal(nextOf(0, 3, 'ArrowLeft'), 2);
  assert.equal(nextOf(-1, 0, 'ArrowLeft'), null);
});
