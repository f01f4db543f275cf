// @ts-check
// What a figure computes without the page: scales, lines, ticks, the state nearest to a place.

export const scale = (low, high, from, to) => (value) => from + (value - low) / ((high - low) || 1) * (to - from);

// Low and high of several lists; what is null (no finite number) does not count.
export const extent = (lists) => {
  let low = Infinity, high = -Infinity;
  for (const list of lists) for (const value of list) {
    if (value === null) continue;
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return low > high ? [0, 1] : low === high ? [low - 0.5, high + 0.5] : [low, high];
};

// The path of a line; it breaks where there is no number.
export const path = (xs, ys, fx, fy) => {
  let text = '', open = false;
  xs.forEach((x, k) => {
    if (x === null || ys[k] === null || ys[k] === undefined) { open = false; return; }
    text += `${open ? 'L' : 'M'}${fx(x).toFixed(1)} ${fy(ys[k]).toFixed(1)}`;
    open = true;
  });
  return text;
};

// The line's value at x, or null outside of it. xs rise.
export const valueAt = (xs, ys, x) => {
  for (let k = 0; k < xs.length; k += 1) {
    if (xs[k] === x) return ys[k];
    if (xs[k] > x) {
      if (k === 0 || ys[k] === null || ys[k - 1] === null) return null;
      return ys[k - 1] + (x - xs[k - 1]) / (xs[k] - xs[k - 1]) * (ys[k] - ys[k - 1]);
    }
  }
  return null;
};

// The number of the place that is nearest to x.
export const nearest = (places, x) => {
  let best = 0;
  places.forEach((place, k) => { if (Math.abs(place - x) < Math.abs(places[best] - x)) best = k; });
  return best;
};

// A number in at most six letters.
export const short = (value) => {
  const size = Math.abs(value);
  if (value === 0) return '0';
  return size >= 1e4 || size < 1e-3 ? value.toExponential(0) : String(Number(value.toPrecision(size < 1 ? 2 : 3)));
};

const DIGITS = '⁰¹²³⁴⁵⁶⁷⁸⁹';
const powerOfTen = (n) => `10${n < 0 ? '⁻' : ''}${[...String(Math.abs(n))].map((one) => DIGITS[one]).join('')}`;

// The least of 1, 2, 5, 10, 20, ... that is not below a value.
const roundStep = (value) => {
  const ten = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((one) => one * ten).find((one) => one >= value * (1 - 1e-9));
};

// Two to six ticks [value, text] at round numbers within the range; of a logarithmic scale (whose values are powers of
// ten) at whole powers where there are two, else at its ends.
export const ticks = ([low, high], log) => {
  const step = log ? Math.max(1, Math.ceil((high - low) / 5)) : roundStep((high - low) / 5 || 1);
  const found = [], slack = (high - low) * 0.02;         // 0.9999 is as good as 1
  for (let k = Math.ceil((low - slack) / step); k * step <= high + slack; k += 1) found.push(k * step);
  if (log && found.length < 2) return [low, high].map((value) => [value, short(10 ** value)]);
  return found.map((value) => [value, log ? (value >= -2 && value <= 3 ? short(10 ** value) : powerOfTen(value)) : short(Number(value.toPrecision(10)))]);
};

// The height that a histogram has to show: of its bars and of the curve that they are held against.
export const peak = (bars, curve) => 1.06 * Math.max(...curve.map((one) => one * 1.4), ...bars.filter((one) => one !== null));

// The shares of the numbers that lie in each of `count` equal parts of a range.
export const shares = (xs, [low, high], count) => {
  const found = Array(count).fill(0);
  for (const x of xs) found[Math.min(count - 1, Math.floor((x - low) / ((high - low) || 1) * count))] += 1 / xs.length;
  return found;
};

// The share of a place's weights (of a grid `w` wide) that lies beyond it and its eight neighbours.
export const shareBeyond = (weights, w, row, column) => {
  let beyond = 0, all = 0;
  weights.forEach((weight, n) => {
    all += weight;
    if (Math.abs(Math.floor(n / w) - row) > 1 || Math.abs(n % w - column) > 1) beyond += weight;
  });
  return all ? beyond / all : 0;
};

// The part of a film's sheet that holds state k: [left, top].
export const corner = (k, columns, width, height) => [(k % columns) * width, Math.floor(k / columns) * height];
