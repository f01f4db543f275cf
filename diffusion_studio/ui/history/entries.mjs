// @ts-check
// What the history keeps, without the page. A module for node's tests (tests/js).

/** @typedef {{run: string, recipe: string | null, picture: string, title: string}} Entry */

/**
 * The entries with a new one first: at most `most`, and at most `room` letters as JSON. A run with the same recipe takes
 * the place of the one before. The newest is always kept.
 * @param {Entry[]} entries @param {Entry} entry @param {number} most @param {number} room
 */
export const withEntry = (entries, entry, most, room) => {
  const others = entries.filter((one) => one.run !== entry.run && (entry.recipe === null || one.recipe !== entry.recipe));
  const found = [entry, ...others].slice(0, most);
  while (found.length > 1 && JSON.stringify(found).length > room) found.pop();
  return found;
};

/**
 * The entries in a text from the browser's storage; none where it is missing, damaged, or of another kind.
 * @param {string | null} text @returns {Entry[]}
 */
export const readEntries = (text) => {
  try {
    const found = JSON.parse(text ?? '[]');
    return Array.isArray(found) ? found.filter((one) => typeof one?.run === 'string' && typeof one.title === 'string'
      && typeof one.picture === 'string' && one.picture.startsWith('data:image/') && (one.recipe === null || typeof one.recipe === 'string')) : [];
  } catch { return []; }
};
