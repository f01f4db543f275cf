// @ts-check
// What the player computes without the page: places of frames, boxes in a sheet, matching of two runs, wording.
// A module for node's tests (tests/js); page_script.py takes the keyword `export` away for the page.

/** @typedef {{index: number, t: number, logSnr: number | null, calls: number, part: string}} Meta */
/** @typedef {{count: number, columns: number, tile: [number, number]}} Sheet */

export const PURE_NOISE = -1e9;                        // stands for -infinity, as in player.py; a clean picture has null
const CLEAN = 1e12;                                    // farther from any noise than all others, as in export/beside.py

/**
 * [left, top, width, height] of a picture, or of all (null), in the sheet: x in a grid, x0 in the same grid below it.
 * @param {Sheet} sheet @param {string} half @param {number | null} number
 */
export const tileBox = ({ count, columns, tile: [h, w] }, half, number) => {
  const rows = Math.ceil(count / columns), top = half === 'x0' ? rows * h : 0;
  if (number === null) return [0, top, columns * w, rows * h];
  return [number % columns * w, top + Math.floor(number / columns) * h, w, h];
};

/**
 * The number of the picture at a point of the grid, both shares from 0 to 1; null beside the last picture.
 * @param {{count: number, columns: number}} sheet @param {number} across @param {number} down
 */
export const tileAt = ({ count, columns }, across, down) => {
  const rows = Math.ceil(count / columns);
  const number = Math.floor(down * rows) * columns + Math.floor(across * columns);
  return number < count ? number : null;
};

/**
 * The loaded place nearest to the wanted one, the earlier of two; -1 where none is loaded.
 * @param {ArrayLike<unknown>} frames @param {number} place @param {number} last
 */
export const nearestLoaded = (frames, place, last) => {
  if (frames[place]) return place;
  for (let d = 1; d <= last; d++) {
    if (frames[place - d]) return place - d;
    if (frames[place + d]) return place + d;
  }
  return -1;
};

/**
 * At most `count` places to ask the server for: those that come first, then the gaps from the start.
 * @param {ArrayLike<unknown>} frames @param {number} last @param {number[]} first @param {number} count
 */
export const missingPlaces = (frames, last, first, count) => {
  /** @type {number[]} */ const asked = [];
  const ask = (/** @type {number} */ place) => {
    if (place >= 0 && place <= last && !frames[place] && !asked.includes(place)) asked.push(place);
  };
  first.forEach(ask);
  for (let place = 0; place <= last && asked.length < count; place++) ask(place);
  return asked.slice(0, count);
};

/**
 * How many frames to ask for next, so that an answer takes about `wanted` ms; of a finished run more at once.
 * @param {number} got @param {number} spent @param {number} wanted @param {boolean} ended
 */
export const nextBatch = (got, spent, wanted, ended) =>
  Math.max(1, Math.min(ended ? 48 : 8, Math.round(got * (ended ? 2 : 1) * wanted / Math.max(spent, 1))));

/**
 * The place that cell k of the film strip shows: evenly spaced from 0 to `last`.
 * @param {number} k @param {number} cells @param {number} last
 */
export const stripPlace = (k, cells, last) => (cells > 1 ? Math.round(k * last / (cells - 1)) : 0);

/** How far two states are apart in noise. @param {Meta} one @param {Meta} other */
export const noiseDistance = (one, other) => {
  const number = (/** @type {Meta} */ { logSnr }) => (logSnr === null ? CLEAN : logSnr <= PURE_NOISE ? -CLEAN : logSnr);
  return Math.abs(number(one) - number(other));
};

/**
 * The place of the kept run whose noise is nearest to that of `place` in the shown run; the first goes with the first.
 * Of two that are as near, the one as far on its way. export/beside.py does the same; a shared fixture holds both to it.
 * @param {number} place @param {{meta: Meta[], kept: number, last: number}} shown
 * @param {{meta: Meta[], kept: number, frames: ArrayLike<unknown>}} other only its loaded frames count
 * @returns {number | undefined} undefined where none is loaded
 */
export const matchByNoise = (place, shown, other) => {
  const loaded = Array.from(other.frames, (_, k) => k).filter((k) => other.frames[k]);
  if ((place === 0 && shown.last > 0) || !shown.meta[place]) return loaded[0];
  const share = place / Math.max(shown.kept, 1);
  const apart = (/** @type {number} */ k) =>
    noiseDistance(other.meta[k], shown.meta[place]) + 1e-9 * Math.abs(k / Math.max(other.kept, 1) - share);
  return loaded.reduce((best, k) => (apart(k) < apart(best) ? k : best), loaded[0]);
};

/**
 * Settings that differ, as 'name mine (above: other)'. Where a sampler differs its options are not listed.
 * @param {Record<string, unknown>} mine @param {Record<string, unknown>} other
 */
export const settingsDifferences = (mine, other) => {
  const names = [...new Set([...Object.keys(mine), ...Object.keys(other)])].filter((name) => mine[name] !== other[name]);
  const said = (/** @type {unknown} */ value) => (value === undefined || value === null ? 'none' : `${value}`);
  return names.filter((name) => !names.some((group) => name.startsWith(`${group} `)))
    .map((name) => `${name} ${said(mine[name])} (above: ${said(other[name])})`);
};

/** The level of a state in words. @param {{t: number, logSnr: number | null}} state @param {boolean} points */
export const levelText = ({ t, logSnr }, points) => {
  if (logSnr === null) return points ? 'clean points' : 'clean picture';
  const time = Number.isInteger(t) ? t : +t.toPrecision(4);
  return `t = ${time} · ${logSnr <= PURE_NOISE ? 'pure noise' : `log-SNR ${logSnr.toFixed(2)}`}`;
};

/** @param {number} calls */
export const callsText = (calls) => `${calls} network call${calls === 1 ? '' : 's'}`;

const HUES = 48, PALES = 4;

/** The number of a point's colour: hue by angle, paler in the middle. @param {number} x @param {number} y */
export const colourNumber = (x, y) => {
  const hue = ((Math.round((Math.atan2(y, x) + 0.5) / (2 * Math.PI) * HUES) % HUES) + HUES) % HUES;
  return hue * PALES + Math.min(PALES - 1, Math.floor(Math.hypot(x, y) / 0.9 * PALES));
};

/** A colour by its number, in CSS. @param {number} number @param {boolean} night */
export const pointColour = (number, night, alpha = 1) => {
  const hue = Math.floor(number / PALES) / HUES * 360, share = 0.35 + 0.65 * ((number % PALES) + 0.5) / PALES;
  return night ? `oklch(0.78 ${0.155 * share} ${hue} / ${alpha})` : `oklch(0.62 ${0.19 * share} ${hue} / ${alpha})`;
};

/** `wanted` numbers from 0 to points - 1, evenly spaced; all where there are fewer. @param {number} wanted @param {number} points */
export const evenly = (wanted, points) => {
  const count = Math.min(wanted, points);
  return Array.from({ length: count }, (_, k) => (count > 1 ? Math.round(k * (points - 1) / (count - 1)) : 0));
};
