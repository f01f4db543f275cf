// What a figure computes without the page. `node --test tests/js/*.test.mjs`
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as plot from '../../diffusion_studio/ui/figure/plot.mjs';

test('a scale is linear, and of no width it stays finite', () => {
  assert.equal(plot.scale(0, 10, 100, 200)(2.5), 125);
  assert.equal(plot.scale(3, 3, 0, 1)(3), 0);
});

test('extent leaves out what is no number', () => {
  assert.deepEqual(plot.extent([[1, null, 4], [-2]]), [-2, 4]);
  assert.deepEqual(plot.extent([[2, 2]]), [1.5, 2.5]);
  assert.deepEqual(plot.extent([[null]]), [0, 1]);
});

test('a line breaks where there is no number', () => {
  const same = (value) => value;
  assert.equal(plot.path([0, 1, 2, 3], [5, null, 6, 7], same, same), 'M0.0 5.0M2.0 6.0L3.0 7.0');
});

test('a line is read between its points, and not outside', () => {
  assert.equal(plot.valueAt([0, 2, 4], [0, 10, 30], 3), 20);
  assert.equal(plot.valueAt([0, 2, 4], [0, 10, 30], 2), 10);
  assert.equal(plot.valueAt([0, 2], [0, 10], 2.1), null);
  assert.equal(plot.valueAt([0, 2], [null, 10], 1), null);
});

test('the nearest place, as a marker is dragged', () => {
  assert.equal(plot.nearest([0, 0.5, 1], 0.7), 1);
  assert.equal(plot.nearest([0, 0.5, 1], 9), 2);
});

const texts = (range, log) => plot.ticks(range, log).map(([, text]) => text);

test('ticks are round numbers within the range', () => {
  assert.deepEqual(texts([2e-9, 0.9999], false), ['0', '0.2', '0.4', '0.6', '0.8', '1']);
  assert.deepEqual(texts([-19.8, 10.1], false), ['-20', '-10', '0', '10']);
  assert.deepEqual(texts([0.107, 1.02], false), ['0.2', '0.4', '0.6', '0.8', '1']);
  assert.deepEqual(texts([0, 999], false), ['0', '200', '400', '600', '800', '1000']);
  assert.deepEqual(texts([2.5, 3.5], false), ['2.6', '2.8', '3', '3.2', '3.4']);
  assert.equal(plot.short(12345), '1e+4');
});

test('those of a logarithmic scale are powers of ten, as numbers where they are short', () => {
  assert.deepEqual(texts([-4.4, 0], true), ['10⁻⁴', '10⁻³', '0.01', '0.1', '1']);
  assert.deepEqual(texts([-12, 0], true), ['10⁻¹²', '10⁻⁹', '10⁻⁶', '10⁻³', '1']);
  assert.deepEqual(texts([-0.4, 0.3], true), ['0.4', '2']);
});

test('a histogram is as high as its highest bar, and the curve never leaves it', () => {
  assert.equal(plot.peak([0.1, 3], [0.4]), 1.06 * 3);
  assert.equal(plot.peak([0.1, null], [0.4, 0.1]).toFixed(4), (1.06 * 0.56).toFixed(4));
});

test('a state lies row by row in its sheet', () => {
  assert.deepEqual(plot.corner(0, 8, 64, 32), [0, 0]);
  assert.deepEqual(plot.corner(9, 8, 64, 32), [64, 32]);
});

test('the share of attention beyond a place and its neighbours', () => {
  const weights = [0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 6];     // 4 by 4: at (1, 1) and at (3, 3)
  assert.equal(plot.shareBeyond(weights, 4, 1, 1), 0.75);
  assert.equal(plot.shareBeyond(weights, 4, 2, 2), 0);
  assert.equal(plot.shareBeyond(weights, 4, 0, 3), 1);                 // (1, 1) is next to (0, 3) in the list alone
  assert.equal(plot.shareBeyond([0, 0], 2, 0, 0), 0);
});

test('how many numbers lie in each part of a range', () => {
  assert.deepEqual(plot.shares([0, 0.1, 0.6, 1], [0, 1], 2), [0.5, 0.5]);
  assert.deepEqual(plot.shares([3, 3], [2, 4], 4), [0, 0, 1, 0]);
});
