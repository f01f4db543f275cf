// Lanes of a race as text, and back. `node --test tests/js/*.test.mjs`
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { withLanes } from '../../diffusion_studio/ui/actions.mjs';
import { lanesOf, lanesText } from '../../diffusion_studio/ui/lanes/lane_text.mjs';

const WORDS = ['as it is', 'the run before'];

test('lanes are read as compare/text.py reads them', () => {
  assert.deepEqual(lanesOf('\nAs it is\n eta=0.5 ,steps = 3\nprompt="a, b", label=Cat\nfaster', WORDS), [
    { words: 'as it is' },
    { pairs: [['eta', '0.5'], ['steps', '3']] },
    { pairs: [['prompt', 'a, b'], ['label', 'Cat']] },
    { raw: 'faster' },
  ]);
  assert.deepEqual(lanesOf('the run before', ['as it is']), [{ raw: 'the run before' }]);      // what is not offered is kept as it is
  assert.deepEqual(lanesOf('prompt=a=b', WORDS), [{ pairs: [['prompt', 'a=b']] }]);
});

test('what is read is written again', () => {
  const text = 'as it is\nthe run before\nsampler=ddim, steps=16\nprompt="a wizard, blue", steps=8\nfaster';
  assert.equal(lanesText(lanesOf(text, WORDS)), text);
  assert.equal(lanesText([{ pairs: [['prompt', 'a "b", c']] }]), 'prompt="a b, c"');
});

test('the menus keep what they offer when the text is another', () => {
  assert.deepEqual(withLanes('steps=3', { text: '', words: [1] }), { text: 'steps=3', words: [1] });
  assert.equal(withLanes('steps=3', null), null);
});
