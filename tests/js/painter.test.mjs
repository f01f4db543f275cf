// What the painter's brush covers.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pixelsUnder } from '../../diffusion_studio/ui/painter/brush.mjs';

const picture = { width: 5, height: 4 };

test('a thin brush covers the pixel that it is on', () => {
  assert.deepEqual(pixelsUnder([2.1, 1.9], 0.1, picture), [7]);
});

test('a brush covers the pixels whose middles are under it', () => {
  assert.deepEqual(pixelsUnder([2.5, 1.5], 1, picture), [2, 6, 7, 8, 12]);
});

test('a brush at the rim stays in the picture', () => {
  assert.deepEqual(pixelsUnder([0, 0], 1, picture), [0]);
  assert.deepEqual(pixelsUnder([-3, -3], 1, picture), []);
  assert.deepEqual(pixelsUnder([2, 2], 99, picture).length, 20);
});
