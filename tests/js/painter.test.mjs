// What the painter's brush covers.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { edgesOf, pixelsUnder, wantedText } from '../../diffusion_studio/ui/painter/brush.mjs';

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

test('the outline of what is painted has each side once', () => {
  assert.deepEqual(edgesOf([1, 1, 0, 0], 2, 2), [[0, 0, true], [0, 0, false], [1, 0, true], [2, 0, false], [0, 1, true], [1, 1, true]]);
  assert.deepEqual(edgesOf([0, 0, 0, 0], 2, 2), []);
});

test('an edit says what it draws towards', () => {
  assert.match(wantedText(['Sneaker', undefined]), /^Drawn towards “Sneaker”/);
  assert.match(wantedText(['any', 'a wizard\nwith a staff']), /“a wizard with a staff”/);
  assert.match(wantedText(['any', '']), /^Nothing certain/);
});
