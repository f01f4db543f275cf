// Axes of a grid as text, and back. `node --test tests/js/*.test.mjs`
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { axisOf, axisText, valuesOf, withValue } from '../../diffusion_studio/ui/axes/axis_text.mjs';

test('an axis is a setting and its values', () => {
  assert.deepEqual(axisOf('guidance=1, 2.5 '), ['guidance', '1, 2.5']);
  assert.deepEqual(axisOf('prompt=a=b, c'), ['prompt', 'a=b, c']);
  assert.deepEqual(axisOf(' 1, 2'), ['', '1, 2']);
  assert.equal(axisText('steps', ' 4, 8 '), 'steps=4, 8');
  assert.equal(axisText('', '4'), '');
});

test('a value that is pressed is added, and taken out again', () => {
  assert.deepEqual(valuesOf('ddim, "a, b" ,,'), ['ddim', '"a, b"']);
  assert.equal(withValue('ddim', 'heun'), 'ddim, heun');
  assert.equal(withValue('ddim, heun', 'ddim'), 'heun');
  assert.equal(withValue('', 'a, b'), '"a, b"');
  assert.equal(withValue('"a, b", c', 'a, b'), 'c');
});
