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
