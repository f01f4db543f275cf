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
  return size >= 1e4 || size < 1e-2 ? value.toExponential(0) : String(Number(value.toPrecision(size < 1 ? 2 : 3)));
};

// Three ticks [value, text]; of a logarithmic scale the text is the number itself.
export const ticks = ([low, high], log) => [low, (low + high) / 2, high].map((value) => {
  const nothing = !log && Math.abs(value) < (high - low) * 1e-6;
  return [value, short(log ? 10 ** value : nothing ? 0 : value)];
});

// The part of a film's sheet that holds state k: [left, top].
export const corner = (k, columns, width, height) => [(k % columns) * width, Math.floor(k / columns) * height];
