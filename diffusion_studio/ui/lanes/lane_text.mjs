// @ts-check
// The lanes of a race as text, one a line, read and written as compare/text.py does. For node's tests (tests/js).

/** @typedef {{words: string} | {pairs: [string, string][]} | {raw: string}} Lane a lane said by words, by settings, or what is neither */

/** The lanes of a text; `words` are those that are said by words. @param {string} text @param {string[]} words @returns {Lane[]} */
export const lanesOf = (text, words) => text.split('\n').map((line) => line.trim()).filter(Boolean).map((line) => {
  if (words.includes(line.toLowerCase())) return { words: line.toLowerCase() };
  /** @type {[string, string][]} */ const pairs = [];
  for (const part of line.match(/(?:[^,"]|"[^"]*")+/g) ?? []) {
    const [, name, value] = part.match(/^([^=]*)=(.*)$/s) ?? [];
    if (name === undefined) return { raw: line };
    pairs.push([name.trim(), value.trim().replace(/^"+|"+$/g, '')]);
  }
  return pairs.length ? { pairs } : { raw: line };
});

/** The line of a lane. @param {Lane} lane */
export const laneText = (lane) => ('words' in lane ? lane.words : 'raw' in lane ? lane.raw
  : lane.pairs.map(([name, value]) => `${name}=${value.includes(',') ? `"${value.replaceAll('"', '')}"` : value}`).join(', '));

/** @param {Lane[]} lanes */
export const lanesText = (lanes) => lanes.map(laneText).join('\n');
