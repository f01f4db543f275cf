// @ts-check
// What page.js computes without the page, and the link of the settings. A module for node's tests (tests/js); page_script.py prepares it for the page.

/** @typedef {{left: number, top: number, right: number, bottom: number}} Box */

/** @param {Box} a @param {Box} b */
const overlap = (a, b) =>
  Math.max(0, Math.min(a.right, b.right) - Math.max(a.left, b.left)) * Math.max(0, Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top));

/**
 * The first place at which a notice covers no control; where there is none, the one at which it covers least.
 * @param {{left: number, top: number}[]} places in order of preference @param {{width: number, height: number}} size
 * @param {Box[]} controls @param {{width: number, height: number}} screen
 */
export const freePlace = (places, size, controls, screen) => {
  let best = null, least = Infinity;
  for (const place of places) {
    const left = Math.max(0, Math.min(place.left, screen.width - size.width));
    const top = Math.max(0, Math.min(place.top, screen.height - size.height));
    const box = { left, top, right: left + size.width, bottom: top + size.height };
    const covered = controls.reduce((sum, one) => sum + overlap(box, one), 0);
    if (covered < least) { best = { left, top }; least = covered; }
    if (covered === 0) break;
  }
  return best;
};

/**
 * The place to which a key leads in a row of `count` tabs, around its ends; null for another key. @param {number} at @param {number} count
 * @param {string} key
 */
export const nextOf = (at, count, key) => {
  if (at < 0) return null;
  if (key === 'ArrowRight' || key === 'ArrowLeft') return (at + (key === 'ArrowRight' ? 1 : count - 1)) % count;
  return key === 'Home' ? 0 : key === 'End' ? count - 1 : null;
};

/**
 * What the field of the link holds, and the address of the page. `text` is the JSON of a run's recipe, a race or a grid, or
 * a sentence that says why there is no link; `OF_RUN` before it says that a run has begun with it.
 * @param {string} text @param {string} address
 */
export const linkOf = (text, address) => {
  const OF_RUN = 'run:', NO_LINK = 'No link';          // as in generate_tab.py
  const ofRun = text.startsWith(OF_RUN), said = ofRun ? text.slice(OF_RUN.length) : text;
  const recipe = said.startsWith(NO_LINK) ? null : said;
  const at = new URL(address);                         // which may say other things, such as the theme
  const given = recipe === null ? {} : JSON.parse(recipe), kind = 'race' in given ? 'race' : 'grid' in given ? 'grid' : 'recipe';
  for (const name of ['recipe', 'race', 'grid']) at.searchParams.delete(name);
  if (recipe !== null) at.searchParams.set(kind, recipe);
  const link = recipe === null ? said : `${at.origin}${at.pathname}?${kind}=${encodeURIComponent(recipe)}`;
  return { ofRun, recipe, link, address: at.href };
};

const FIELDS = {                                       // the settings of an OptionError whose control has another id
  count: '#count', seed: '#seed', seeds: '#seed', steps: '#steps', guidance: '#guidance', prompt: '#prompt', label: '#label', spell: '#spell',
};

/**
 * Where on the page the control of a setting may be, first choice first; a press in Compare is about what is written there.
 * @param {string} field as an OptionError names it @param {string} pressed the id of the button that was pressed
 * @param {string} y the setting of the second axis of a grid
 */
export const placesOf = (field, pressed, y = '') => {
  if (field === 'base') return [];                     // of Compare, from another tab
  if (pressed === 'compare-run') return ['#compare-lanes', '#compare-lanes-help', field === 'y' || (field && y === field.split('.').at(-1)) ? '#compare-y' : '#compare-x'];
  if (field.startsWith('export.')) return [`#${pressed.startsWith('points-') ? 'points-' : ''}export-${field.slice('export.'.length)}`];
  const known = /** @type {Record<string, string>} */ (FIELDS)[field];
  return known ? [known] : [];
};

/** The id of the place that a link within the page names. @param {string | null} href */
export const placeOf = (href) => {
  const name = (href ?? '').replace(/^#/, '');
  try { return decodeURIComponent(name); } catch { return name; }
};

/** The field's link in place of its text; the address of the page follows. @param {string | null} text */
export const asLink = (text) => {
  if (!text || text.startsWith('http')) return text;
  const found = linkOf(text, location.href);
  if (found.ofRun) document.dispatchEvent(new CustomEvent('run-recipe', { detail: found.recipe }));
  history.replaceState(null, '', found.address);
  return found.link;
};
