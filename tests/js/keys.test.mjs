// What a key asks of what plays, and where a used control leaves the focus. `node --test tests/js/*.test.mjs`
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { leaveFocus, playerKey } from '../../diffusion_studio/ui/player/keys.mjs';

const stage = { tagName: 'DIV' }, timeline = { tagName: 'INPUT', type: 'range' }, button = { tagName: 'BUTTON', type: 'button' };

test('Space plays on the stage and on the timeline, and presses a button that has the focus', () => {
  assert.deepEqual([stage, timeline].map((one) => playerKey(' ', one)), [{ play: true }, { play: true }]);
  for (const one of [button, { tagName: 'SUMMARY' }, { tagName: 'A' }, { tagName: 'INPUT', type: 'checkbox' }]) assert.equal(playerKey(' ', one), null);
});

test('arrows go by a state, but a slider goes by itself', () => {
  for (const one of [stage, button]) assert.deepEqual(['ArrowLeft', 'ArrowRight', 'Home', 'End'].map((key) => playerKey(key, one)), [{ by: -1 }, { by: 1 }, { to: 0 }, { to: 1 }]);
  for (const key of ['ArrowLeft', 'ArrowRight', 'Home', 'End']) assert.equal(playerKey(key, timeline), null);
});

test('fields and menus keep their keys, and other keys ask for nothing', () => {
  for (const one of [{ tagName: 'SELECT' }, { tagName: 'TEXTAREA' }, { tagName: 'INPUT', type: 'number' }, { tagName: 'INPUT', type: 'text' }]) {
    for (const key of [' ', 'ArrowLeft', 'Home']) assert.equal(playerKey(key, one), null);
  }
  assert.equal(playerKey('x', stage), null);
});

const page = () => {
  const heard = {}, focused = [];
  const player = { focus: () => focused.push('player') };
  const control = (kind) => ({ closest: (what) => (what === 'button' ? (kind === 'button' ? control(kind) : null) : player), matches: (what) => what.includes(kind) });
  leaveFocus({ addEventListener: (name, hear) => { heard[name] = hear; } }, '.player');
  return { focused, tell: (name, kind, detail = 0) => heard[name]({ target: control(kind), detail }) };
};

test('a button pressed by a pointer leaves the focus to its player, one pressed by a key keeps it', () => {
  const { focused, tell } = page();
  tell('click', 'button', 0);
  assert.deepEqual(focused, []);
  tell('click', 'canvas', 1);
  assert.deepEqual(focused, []);
  tell('click', 'button', 1);
  assert.deepEqual(focused, ['player']);
});

test('so does a menu or a box that a pointer changed', () => {
  const { focused, tell } = page();
  tell('pointerdown', 'select'); tell('keydown', 'select'); tell('change', 'select');
  assert.deepEqual(focused, []);
  tell('pointerdown', 'select'); tell('change', 'select');
  tell('pointerdown', 'checkbox'); tell('change', 'checkbox');
  assert.deepEqual(focused, ['player', 'player']);
});
