// What the player says of a step, of a run and of waiting. `node --test tests/js/*.test.mjs`
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as logic from '../../diffusion_studio/ui/player/logic.mjs';

const near = (given, wanted) => assert.ok(Math.abs(given - wanted) < 1e-12, `${given} and not ${wanted}`);

test('the noise share is sigma² / (alpha² + sigma²)', () => {
  assert.deepEqual([null, logic.PURE_NOISE, 0].map(logic.noiseShare), [0, 1, 0.5]);
  for (const [alpha, sigma] of [[0.6, 0.8], [1, 3], [0.125, 0.992]]) {
    near(logic.noiseShare(Math.log(alpha ** 2 / sigma ** 2)), sigma ** 2 / (alpha ** 2 + sigma ** 2));
  }
});

test('percent: never all or nothing where it is not', () => {
  assert.deepEqual([0, 0.001, 0.006, 0.5, 0.984, 0.9999, 1].map(logic.percentText),
    ['0 %', 'less than 1 %', '1 %', '50 %', '98 %', 'more than 99 %', '100 %']);
});

test('how far the guess has come is a share of the way from the farthest one to the last', () => {
  assert.deepEqual(logic.settled([0.4, 0.2, 0.1, 0], 0), { share: 0, gain: null });
  const { share, gain } = logic.settled([0.4, 0.2, 0.1, 0], 2);
  near(share, 0.75); near(gain, 0.25);
  assert.equal(logic.settled([], 0), null);              // a run that is not finished
  assert.equal(logic.settled([0, 0], 1), null);          // one that never changed
  near(logic.settled([0.4, undefined, 0.2, 0], 1).share, 0.25);        // of a long run not every place is measured
  near(logic.settled([0.4, undefined, 0.2, 0], 2).gain, 0.25);
  assert.equal(logic.settled([undefined, 0.4, 0], 0), null);
});

const state = (given) => logic.sentence({ logSnr: 0, first: false, last: false, finished: true, part: '', asked: '“Bag”', total: 25, calls: 50, way: null, ...given });

test('a sentence claims no more than the numbers say', () => {
  assert.equal(state({ first: true, logSnr: logic.PURE_NOISE }), "100 % noise. Every run starts like this; the network's first guess is beside it.");
  assert.equal(state({ way: { share: 0.1, gain: 0.2 } }), "50 % noise. The network's guess is still far from “Bag” as it ends; this step changes its guess a lot.");
  assert.equal(state({ way: { share: 0.5, gain: 0.05 } }), "50 % noise. “Bag” begins to show in the network's guess; this step changes its guess a little.");
  assert.equal(state({ way: { share: 0.8, gain: 0.001 } }), '50 % noise. The network already sees most of “Bag”; this step changes its guess hardly at all.');
  assert.equal(state({ way: { share: 0.95, gain: -0.05 } }), '50 % noise. The network has all but decided “Bag”; this step leads its guess away for a moment.');
  assert.equal(state({ last: true, logSnr: null }), 'Done: “Bag” after 25 steps. The network was asked 50 times.');
  assert.equal(state({ last: true, logSnr: null, total: 1, calls: 1 }), 'Done: “Bag” after 1 step. The network was asked once.');
});

test('a branch says which steps are those of the run before', () => {
  const branch = (given) => state({ branch: 6, way: { share: 0.8, gain: 0.05 }, ...given });
  assert.equal(branch({ index: 25, last: true, logSnr: null, calls: 25, before: 6 }),
    'Done: “Bag” after 25 steps. The first 6 are those of the run before. The network was asked 25 times, 6 of them there.');
  assert.equal(branch({ branch: 1, index: 25, last: true, logSnr: null, calls: 25 }),
    'Done: “Bag” after 25 steps. The first is that of the run before. The network was asked 25 times.');
  // the run before may have been asked for something else
  assert.equal(branch({ index: 5 }),
    '50 % noise. The network already sees most of the picture; this step changes its guess a little. This is still the run before the branch, which is at step 6.');
  assert.match(branch({ index: 6 }), /sees most of “Bag”.* Here it branches from the run before\.$/);
  assert.doesNotMatch(branch({ index: 7 }), /before/);
  // from pure noise there is nothing that was before
  assert.equal(branch({ branch: 0, index: 25, last: true, logSnr: null, calls: 25, before: 0 }), 'Done: “Bag” after 25 steps. The network was asked 25 times.');
});

test('the branching point on the timeline, and the calls until then', () => {
  const meta = [0, 2, 4, 6, 8].map((index) => ({ index, calls: index + 1 }));
  assert.equal(logic.branchShare(meta, 4, 4), 0.5);
  assert.equal(logic.branchShare(meta, 4, 5), 0.75);     // every second state is kept
  assert.deepEqual([logic.branchShare(meta, 4, null), logic.branchShare(meta.slice(0, 2), 4, 4), logic.branchShare([undefined, meta[1]], 4, 2)], [null, null, 0.25]);
  assert.deepEqual([logic.callsBefore(meta, 4), logic.callsBefore(meta, 5), logic.callsBefore(meta, null)], [4, null, null]);
});

test('what is not known is not claimed', () => {
  const while_it_runs = state({ finished: false, last: true });
  assert.equal(while_it_runs, '50 % noise. Noise and picture weigh about the same now.');
  assert.doesNotMatch(state({ part: 'into noise' }), /sees|guess/);
  assert.doesNotMatch(state({ first: true, logSnr: 0 }), /Every run starts/);      // one that starts from a picture
});

test('while a run goes on the sentence follows the noise that is left and how far the guess moves', () => {
  const said = (noise, moved = null) => state({ finished: false, logSnr: Math.log((1 - noise) / noise), moved });
  assert.equal(said(0.98), '98 % noise. There is little to go by yet.');
  assert.equal(said(0.98, 0.05), "98 % noise. There is little to go by yet; the network's guess still moves a lot.");
  assert.equal(said(0.7, 0.01), "70 % noise. There is more noise than picture yet; the network's guess moves a little with each step.");
  assert.equal(said(0.3, 0.01), "30 % noise. There is more picture than noise by now; the network's guess moves a little with each step.");
  assert.equal(said(0.01, 0), "1 % noise. Little noise is left to take away; the network's guess hardly moves any more.");
});

test('a network whose training was stopped is named where its cloud is seen', () => {
  const tick = { trained: [62, 1500], note: '' };
  assert.equal(state({ last: true, logSnr: null, total: 50, early: true }), 'This is what an unfinished network makes of noise in 50 steps.');
  assert.equal(logic.noteText(tick), 'The network had 62 of 1,500 training steps; the button Go on makes the others.');
  assert.equal(logic.noteText({ note: 'The training on moons was stopped after 62 of 1,500 steps.' }), 'The training on moons was stopped after 62 of 1,500 steps.');
  assert.equal(logic.noteText({}) + logic.noteText(null), '');
});

test('what was asked for, in words', () => {
  assert.equal(logic.askedFor({ label: 'Sneaker' }), '“Sneaker”');
  assert.equal(logic.askedFor({ label: 'R', prompt: 'teal black display' }), '“R, teal black display”');
  assert.deepEqual([logic.askedFor({}), logic.askedFor(undefined), logic.askedFor({}, true)], ['the picture', 'the picture', 'the shape']);
  assert.ok(logic.askedFor({ prompt: 'x'.repeat(300) }).length < 60);
});

test('with what a run was made', () => {
  assert.equal(logic.madeWith({ model: 'heroes', prompt: 'orc', steps: 25, sampler: 'ddim', seeds: '0, 1, 2, 3' }), 'heroes · “orc” · 25 steps · ddim · seeds 0 to 3');
  assert.equal(logic.madeWith({ model: 'mnist', label: '8', steps: 1, sampler: 'ddim', seed: 7 }), 'mnist · “8” · 1 step · ddim · seed 7');
  assert.equal(logic.madeWith(undefined), '');
});

test('waiting and time left in words', () => {
  assert.deepEqual([{ ahead: 1, seconds: 4.2 }, { ahead: 2, seconds: null }, { ahead: 0, seconds: null }, { loading: 'heroes' }, { running: true }, { running: true, others: 1 }, { running: true, others: 3 }, null].map(logic.waitText),
    ['One run is before yours, which is finished in about 5 s …', '2 runs are before yours …', 'Preparing the run …', 'Loading heroes …', 'Drawing the first noise …',
      'Drawing the first noise, in turns with another run …', 'Drawing the first noise, in turns with 3 other runs …', 'Sending the settings …']);
  assert.match(logic.waitText({ lost: true }), /^The server does not answer/);
  assert.equal(logic.waitText({ full: 'All is taken.', again: 9 }), 'All is taken. This page asks again in 9 s …');
  assert.deepEqual([null, 0.4, 7.2].map((left) => logic.progressText('denoising', left)), ['denoising …', 'denoising …', 'denoising … about 8 s left']);
  assert.deepEqual([0.2, 1.2, 89, 100, 5400].map(logic.aboutText), ['less than a second', '2 s', '89 s', '2 minutes', '1.5 hours']);
});

test('letters of a text have the places of its lines', () => {
  const sheet = { count: 3, columns: 3, rows: 2, tile: [10, 20], places: [[0, 0], [0, 2], [1, 0]] };
  assert.deepEqual(logic.tileBox(sheet, 'x', null), [0, 0, 60, 20]);
  assert.deepEqual(logic.tileBox(sheet, 'x0', 1), [40, 20, 20, 10]);
  assert.deepEqual([[0.1, 0.1], [0.5, 0.1], [0.9, 0.1], [0.1, 0.9], [0.9, 0.9]].map(([x, y]) => logic.tileAt(sheet, x, y)), [0, null, 1, 2, null]);
});

test('the curve goes from all noise to none, over what is known', () => {
  const meta = [{ logSnr: logic.PURE_NOISE }, undefined, { logSnr: null }];
  assert.equal(logic.curvePath(meta, 2), 'M0,4 L100,96');
  assert.equal(logic.curvePath(meta, 2, true), 'M0,100 L0,4 L100,96 L100,100 Z');
  assert.equal(logic.curvePath([], 2), '');
});

test('a click beside a picture that is fitted into its box finds none', () => {
  const box = { width: 200, height: 200, wide: 64, high: 32 };      // 200 by 100, 50 from the top
  assert.deepEqual(logic.fittedPoint({ x: 100, y: 75, ...box }), [0.5, 0.25]);
  assert.equal(logic.fittedPoint({ x: 100, y: 20, ...box }), null);
});

test('the words of a tab are filled with the numbers of the state', () => {
  assert.equal(logic.filled('after {index} steps: {noise}, {index}', { index: 62, noise: '50 % noise' }), 'After 62 steps: 50 % noise, 62');
  assert.equal(logic.filled('', {}), '');
});

test('a state of points speaks of a shape', () => {
  const said = state({ points: true, finished: false });
  assert.equal(said, '50 % noise. Noise and shape weigh about the same now.');
});

test('a run is of other settings where one of its own has changed', () => {
  const of = { shape: 'moons', sketch: null, sampler: 'ddim' };
  assert.equal(logic.differs(of, { shape: 'moons', sketch: null, steps: 300, sampler: 'ddim' }), false);
  assert.equal(logic.differs(of, { shape: 'moons', sketch: null, steps: 300, sampler: 'ddpm' }), true);
  assert.equal(logic.differs(of, { shape: 'rings' }), true);
  assert.equal(logic.differs(of, {}), false);                       // nothing is known of the settings
});

test('what is prepared is said', () => {
  assert.equal(logic.waitText({ doing: 'Preparing the network' }), 'Preparing the network …');
});

test('the time left is that of the own steps once there are two, and before that what the server knows of the model', () => {
  const pace = { index: 1, at: 1000 };                 // the first step, with a model to load, tells nothing
  assert.equal(logic.timeLeft({ index: 1, total: 26 }, null, 9000), null);
  assert.equal(logic.timeLeft({ index: 2, total: 26 }, pace, 9000), null);
  assert.equal(logic.timeLeft({ index: 2, total: 26, seconds_left: 3 }, pace, 9000), 3);
  assert.equal(logic.timeLeft({ index: 6, total: 26, seconds_left: 3 }, pace, 2000), 4);
});

test('words that the model does not know are not claimed of the picture', () => {
  assert.equal(logic.askedFor({ prompt: 'a zebra with a ruby staff' }, false, ['zebra']), 'the picture');
  assert.equal(logic.askedFor({ prompt: 'a wizard' }, false, []), '“a wizard”');
  const asked = 'the picture', unknown = ['zebra'];
  assert.equal(state({ last: true, logSnr: null, asked, unknown }), 'Done: the picture after 25 steps. The network was asked 50 times. The network never saw “zebra”.');
  for (const share of [0.1, 0.5, 0.8, 0.95]) assert.ok(!state({ asked, unknown, way: { share, gain: null } }).includes('zebra'));
});
