// @ts-check
// The pixels that a brush covers. A module for node's tests (tests/js); page_script.py prepares it for the page.

/**
 * Numbers, row by row, of every pixel whose middle is under the brush, and of the one that the brush's middle is on.
 * @param {[number, number]} middle in pixels @param {number} radius @param {{width: number, height: number}} picture
 */
export const pixelsUnder = ([x, y], radius, { width, height }) => {
  const found = [];
  for (let row = Math.max(0, Math.floor(y - radius)); row <= Math.min(height - 1, y + radius); row++) {
    for (let column = Math.max(0, Math.floor(x - radius)); column <= Math.min(width - 1, x + radius); column++) {
      const under = Math.hypot(column + 0.5 - x, row + 0.5 - y) <= radius;
      if (under || (Math.floor(x) === column && Math.floor(y) === row)) found.push(row * width + column);
    }
  }
  return found;
};

/**
 * The sides between painted and unpainted pixels, as [x, y, whether it lies across]; the picture's rim counts as unpainted.
 * @param {ArrayLike<number>} mask row by row @param {number} width @param {number} height
 */
export const edgesOf = (mask, width, height) => {
  const on = (/** @type {number} */ x, /** @type {number} */ y) => x >= 0 && y >= 0 && x < width && y < height && !!mask[y * width + x];
  /** @type {[number, number, boolean][]} */ const found = [];
  for (let y = 0; y <= height; y++) {
    for (let x = 0; x <= width; x++) {
      if (x < width && on(x, y) !== on(x, y - 1)) found.push([x, y, true]);
      if (y < height && on(x, y) !== on(x - 1, y)) found.push([x, y, false]);
    }
  }
  return found;
};

/** What an edit draws towards, in a sentence. @param {(string | undefined)[]} asked label and prompt, as the page has them */
export const wantedText = (asked) => {
  const said = asked.map((one) => (one ?? '').replace(/\s+/g, ' ').trim()).filter((one) => one !== '' && one !== 'any');
  return said.length ? `Drawn towards “${said.join(', ')}”, as the settings say; change it there.` : 'Nothing certain is asked for in the settings: the model draws what it likes.';
};
