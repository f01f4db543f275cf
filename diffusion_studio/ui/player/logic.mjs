// @ts-check
// What the player computes without the page: places of frames, boxes in a sheet, matching of two runs, wording.
// A module for node's tests (tests/js); page_script.py takes the keyword `export` away for the page.

/** @typedef {{index: number, t: number, logSnr: number | null, calls: number, part: string, alpha?: number, sigma?: number}} Meta */
/**
 * `places` has the [row, column] of each picture in `rows` x `columns` tiles, where they are letters of a text; else they
 * stand row by row.
 * @typedef {{count: number, columns: number, tile: [number, number], rows?: number, places?: [number, number][]}} Sheet
 */

export const PURE_NOISE = -1e9;                        // stands for -infinity, as in player.py; a clean picture has null

/**
 * [left, top, width, height] of a picture, or of all (null), in the sheet: x in a grid, x0 in the same grid below it.
 * @param {Sheet} sheet @param {string} half @param {number | null} number
 */
export const tileBox = ({ count, columns, tile: [h, w], rows = Math.ceil(count / columns), places }, half, number) => {
  const top = half === 'x0' ? rows * h : 0;
  if (number === null) return [0, top, columns * w, rows * h];
  const [row, column] = places ? places[number] : [Math.floor(number / columns), number % columns];
  return [column * w, top + row * h, w, h];
};

const MOST_LETTERS = 16;

/**
 * A text as a thumbnail: its first letters in one row. `boxes` are [left, top, width, height] in the sheet. @param {Sheet} sheet
 */
export const letterRow = (sheet) =>
  Array.from({ length: Math.min(sheet.count, MOST_LETTERS) }, (_, k) => tileBox(sheet, 'x', k));

/**
 * The number of the picture at a point of the grid, both shares from 0 to 1; null beside the last picture.
 * @param {Pick<Sheet, 'count' | 'columns' | 'rows' | 'places'>} sheet @param {number} across @param {number} down
 */
export const tileAt = ({ count, columns, rows = Math.ceil(count / columns), places }, across, down) => {
  const row = Math.floor(down * rows), column = Math.floor(across * columns);
  const number = places ? places.findIndex(([r, c]) => r === row && c === column) : row * columns + column;
  return number >= 0 && number < count ? number : null;
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
 * The place that plays after this one: the next, once it is loaded, so that no mark runs ahead of the picture. null: it is waited for. Where
 * nothing comes any more (`lost`) those that are missing are left out.
 * @param {ArrayLike<unknown>} frames @param {number} place @param {number} last @param {boolean} lost
 */
export const nextToPlay = (frames, place, last, lost) => {
  for (let next = place + 1; next <= last; next++) {
    if (frames[next]) return next;
    if (!lost) return null;
  }
  return lost ? last : null;
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

/**
 * How many cells the film strip has: as many square ones as fit, or fewer and wider ones where a text is shown.
 * @param {number} width @param {number} height @param {boolean} both @param {Pick<Sheet, 'columns' | 'rows'> | null} text
 */
export const cellsOf = (width, height, both, text) => {
  const aspect = text ? text.columns / (text.rows ?? 1) : 1;
  return Math.max(text ? 4 : 6, Math.floor(width / (height / (both ? 2 : 1) * aspect + 2)));
};

/** The level of a state in words. @param {{t: number, logSnr: number | null}} state @param {boolean} points */
export const levelText = ({ t, logSnr }, points) => {
  if (logSnr === null) return points ? 'clean points' : 'clean picture';
  const time = Number.isInteger(t) ? t : +t.toPrecision(4);
  return `t = ${time} · ${logSnr <= PURE_NOISE ? 'pure noise' : `log-SNR ${logSnr.toFixed(2)}`}`;
};

/** @param {number} calls */
export const callsText = (calls) => `${calls} network call${calls === 1 ? '' : 's'}`;

// ---- one sentence about a state ------------------------------------------------------------------------------------
/**
 * The noise's share of a state's variance, from 0 to 1, where picture and noise have unit variance: sigma² / (alpha² + sigma²).
 * @param {number | null} logSnr null is a clean picture
 */
export const noiseShare = (logSnr) => (logSnr === null ? 0 : logSnr <= PURE_NOISE ? 1 : 1 / (1 + Math.exp(logSnr)));

/** A share in whole percent, never 0 or 100 where it is not. @param {number} share */
export const percentText = (share) => {
  if (share <= 0) return '0 %';
  if (share >= 1) return '100 %';
  const whole = Math.round(share * 100);
  return whole < 1 ? 'less than 1 %' : whole > 99 ? 'more than 99 %' : `${whole} %`;
};

const STARTED = 0.35, SEEN = 0.7, DECIDED = 0.92;      // shares of the way from the first guess to the last

/**
 * How far the guess at `place` has come from the first guess to the last, and how much a step adds there; shares from 0 to 1. Of a long
 * run only some places are measured: between two of them both are on the line that joins these.
 * null where it is not known: during a run, or where first and last are equal.
 * @param {ArrayLike<number>} offs distance of each place's guess to the last one
 * @param {number} place
 */
export const settled = (offs, place) => {
  const most = Math.max(...Array.from(offs).filter((off) => off !== undefined));
  if (!(most > 0)) return null;
  const known = (/** @type {number} */ from, /** @type {number} */ way) => { for (let k = from; k >= 0 && k < offs.length; k += way) if (offs[k] !== undefined) return k; return -1; };
  const before = known(place - 1, -1), after = offs[place] === undefined ? known(place + 1, 1) : place;
  if (after < 0 || (before < 0 && after !== place)) return null;
  const gain = before < 0 ? null : (offs[before] - offs[after]) / most / (after - before);
  return { share: 1 - offs[after] / most - (gain ?? 0) * (after - place), gain };
};

/** Note the settings of a press by its name; of presses long ago nothing comes any more. @param {Map<string, any>} presses @param {string} name @param {any} settings */
export const notePress = (presses, name, settings) => {
  presses.set(name, settings);
  const [oldest] = presses.keys();
  if (presses.size > 16) presses.delete(oldest);
};

/**
 * Count down the seconds until the server is asked again, unless the press is no longer `waiting`.
 * @param {number} seconds
 * @param {{tell: (left: number) => void, sleep: (ms: number) => Promise<void>, waiting: () => boolean, press: () => void}} page
 */
export const pressLater = async (seconds, { tell, sleep, waiting, press }) => {
  for (let left = seconds; left > 0; left--) {
    tell(left);
    await sleep(1000);
    if (!waiting()) return;
  }
  press();
};

/**
 * What was asked for, in quotation marks; or the picture, where nothing was, or words that the model does not know.
 * @param {Record<string, unknown> | undefined} about @param {boolean} points @param {string[]} unknown
 */
export const askedFor = (about, points = false, unknown = []) => {
  if (unknown.length) return 'the picture';
  const said = [about?.spell ?? about?.label, about?.prompt].filter((one) => one !== undefined && one !== null && one !== '');
  if (!said.length) return points ? 'the shape' : 'the picture';
  const text = said.map(String).join(', ');
  return `“${text.length > 48 ? `${text.slice(0, 46).trimEnd()} …` : text}”`;
};

const STILL = 0.002, MUCH = 0.02;                      // of the range of a pixel's values: the mean change of the guess in a step

/** What is known while a run goes on: how much noise is left, and how much the guess moved in a step (null: not measured). */
const meanwhile = (/** @type {number} */ share, /** @type {number | null} */ moved, /** @type {string} */ what) => {
  const left = share > 0.9 ? 'There is little to go by yet' : share > 0.55 ? `There is more noise than ${what} yet`
    : share > 0.45 ? `Noise and ${what} weigh about the same now` : share > 0.1 ? `There is more ${what} than noise by now` : 'Little noise is left to take away';
  const guess = moved === null ? '' : moved < STILL ? "; the network's guess hardly moves any more" : moved > MUCH ? "; the network's guess still moves a lot"
    : "; the network's guess moves a little with each step";
  return `${left}${guess}.`;
};

const counted = (/** @type {number} */ number) => number.toLocaleString('en-US');

/** What else is to be said of a run: its network has not made all its training steps, or its press ended another run. @param {{trained?: number[], note?: string} | null} tick */
export const noteText = (tick) => [tick?.trained ? `The network had ${counted(tick.trained[0])} of ${counted(tick.trained[1])} training steps; the button Go on makes the others.` : '', tick?.note]
  .filter(Boolean).join(' ');

/**
 * One sentence or two about the shown state, in a learner's words. Each claim follows from the numbers given.
 * Of a branch, `branch` is the state at which it leaves the run before, and `before` the network calls made until then.
 * @param {{logSnr: number | null, first: boolean, last: boolean, finished: boolean, part: string, asked: string, total: number, calls: number, points?: boolean,
 *          index?: number, branch?: number | null, before?: number | null, way: {share: number, gain: number | null} | null, moved?: number | null, early?: boolean,
 *          unknown?: string[]}} state
 * `moved`: how far the guess moved in a step, as a share of the range of its values; `early`: the network's training was stopped; `unknown`: words of the
 * prompt that the model was not trained with, which no picture shows
 */
export const sentence = ({ logSnr, first, last, finished, part, asked, total, calls, way, points = false, index = 0, branch = null, before = null, moved = null, early = false, unknown = [] }) => {
  const noise = upper(`${percentText(noiseShare(logSnr))} noise.`), what = points ? 'shape' : 'picture';
  if (part === 'into noise') return `${noise} This is the way up: noise is put back into the ${what}, step by step.`;
  if (last && finished && early) return `This is what an unfinished network makes of noise in ${stepsText(total)}.`;
  if (last && finished) return `${doneText({ asked, total, calls, branch, before })}${unknownText(unknown)}`;
  const where = branch === null || index > branch ? '' : index < branch ? ` This is still the run before the branch, which is at step ${branch}.` : ' Here it branches from the run before.';
  if (first && noiseShare(logSnr) > 0.97) return `${noise} Every run starts like this; the network's first guess is beside it.${where}`;
  if (!way) return `${noise} ${meanwhile(noiseShare(logSnr), moved, what)}${where}`;
  const wanted = branch !== null && index < branch ? `the ${what}` : asked;      // the run before may have been asked for something else
  const seen = way.share < STARTED ? `The network's guess is still far from ${wanted} as it ends`
    : way.share < SEEN ? `${upper(wanted)} begins to show in the network's guess`
    : way.share < DECIDED ? `The network already sees most of ${wanted}` : `The network has all but decided ${wanted}`;
  const change = way.gain === null ? '' : Math.abs(way.gain) < 0.01 ? '; this step changes its guess hardly at all'
    : way.gain < 0 ? '; this step leads its guess away for a moment' : way.gain > 0.12 ? '; this step changes its guess a lot'
    : '; this step changes its guess a little';
  return `${noise} ${seen}${change}.${where}`;
};

const unknownText = (/** @type {string[]} */ words) => (words.length ? ` The network never saw ${words.slice(0, 3).map((one) => `“${one}”`).join(', ')}.` : '');

const stepsText = (/** @type {number} */ total) => `${total} step${total === 1 ? '' : 's'}`;

/** @param {{asked: string, total: number, calls: number, branch: number | null, before: number | null}} run */
const doneText = ({ asked, total, calls, branch, before }) => {
  const done = `Done: ${asked} after ${stepsText(total)}.`, often = (/** @type {number} */ n) => (n === 1 ? 'once' : `${n} times`);
  if (!branch) return `${done} The network was asked ${often(calls)}.`;
  const inherited = branch === 1 ? 'The first is that' : `The first ${branch} are those`;
  return `${done} ${inherited} of the run before. The network was asked ${often(calls)}${before ? `, ${before} of them there` : ''}.`;
};

/**
 * Where on the timeline a run leaves the one before, from 0 to 1; null where it is no branch, or the state is not there yet.
 * @param {ArrayLike<{index: number} | undefined>} meta @param {number} last @param {number | null} branch
 */
export const branchShare = (meta, last, branch) => {
  const place = branch === null ? -1 : Array.from(meta).findIndex((at) => at !== undefined && at.index >= branch);
  return place < 0 || !last ? null : place / last;
};

/**
 * The network calls of the run before, up to the branch: there the branch asks once more. null where that state is not there.
 * @param {ArrayLike<{index: number, calls: number} | undefined>} meta @param {number | null} branch
 */
export const callsBefore = (meta, branch) => {
  const at = branch === null ? undefined : Array.from(meta).find((one) => one?.index === branch);
  return at ? at.calls - 1 : null;
};

/**
 * A text with the words in braces replaced, and a capital at its start.
 * @param {string} text @param {Record<string, string | number>} words
 */
export const filled = (text, words) => upper(text.replace(/\{(\w+)\}/g, (_, name) => String(words[name])));

const upper = (/** @type {string} */ text) => text.charAt(0).toUpperCase() + text.slice(1);

/** The two weights of a state. @param {{alpha?: number, sigma?: number}} state */
export const weightsText = ({ alpha, sigma }) =>
  (alpha === undefined || sigma === undefined ? '' : `alpha ${+alpha.toPrecision(3)} · sigma ${+sigma.toPrecision(3)}`);

/** With what a run was made, in few words. @param {Record<string, unknown> | undefined} about */
export const madeWith = (about) => {
  if (!about) return '';
  const asked = [about.spell ?? about.label, about.prompt].filter((one) => one !== undefined && one !== null).map((one) => `“${one}”`).join(', ');
  const seeds = `${about.seeds ?? about.seed ?? ''}`.split(', ');
  const seed = seeds.length > 2 ? `seeds ${seeds[0]} to ${seeds[seeds.length - 1]}` : `seed ${seeds.join(', ')}`;
  return [about.model, asked, `${about.steps} step${about.steps === 1 ? '' : 's'}`, about.sampler, seed].filter(Boolean).join(' · ');
};

/**
 * Whether a setting that a run was made with has another value now. @param {Record<string, unknown>} of
 * @param {Record<string, unknown>} now
 */
export const differs = (of, now) => Object.keys(of).some((name) => name in now && JSON.stringify(of[name]) !== JSON.stringify(now[name]));

// ---- what happens ------------------------------------------------------------------------------------------------
/** A length of time in words, rounded up, as `duration` in compute.py words it. @param {number} seconds */
export const aboutText = (seconds) => {
  if (seconds < 1) return 'less than a second';
  if (seconds < 90) return `${Math.ceil(seconds)} s`;
  return seconds < 5400 ? `${Math.ceil(seconds / 60)} minutes` : `${(seconds / 3600).toFixed(1)} hours`;
};

/**
 * The seconds until a run ends: from the time of its own steps, once two were seen after the first, which may have prepared things; before that as the
 * server knows it from runs of this model. null: nobody knows.
 * @param {{index: number, total: number, seconds_left?: number | null}} tick @param {{index: number, at: number} | null} pace when the first step was seen, in ms
 * @param {number} now in ms
 */
export const timeLeft = ({ index, total, seconds_left = null }, pace, now) => {
  const seen = pace === null ? 0 : index - pace.index;
  return pace !== null && seen >= 2 ? (now - pace.at) / 1000 / seen * (total - index) : seconds_left;
};

/** What a run does, and how long it still takes. @param {string} doing @param {number | null} left seconds */
export const progressText = (doing, left) => `${doing} …${left !== null && left >= 1 ? ` about ${aboutText(left)} left` : ''}`;

/**
 * The state of a run that has ended: it is finished, or stopped, once all its states are in the page.
 * @param {{loaded: number, all: number, lost: boolean, done: boolean, took?: {seconds: number, asked: number}}} run `lost`: the server no longer has
 * the others; `took`: of a run with a time budget
 */
export const endedText = ({ loaded, all, lost, done, took }) => {
  if (loaded >= all) return done ? `finished${took ? `, ${tookText(took)}` : ''}` : 'stopped';
  return lost ? 'some states are no longer on the server' : `loading states ${loaded} of ${all}`;
};

/** How long a run with a time budget took. @param {{seconds: number, asked: number}} took */
export const tookText = ({ seconds, asked }) => `took ${+seconds.toPrecision(2)} s of the ${asked} s asked (without timing and waiting)`;

/** What that leaves out. */
export const TOOK_TITLE = 'The computing of this run alone: without the timing of this machine before it and without the wait for other runs.';

/** What the stage says until the first state of a run is painted. @param {number} loaded @param {number} all */
export const arrivingText = (loaded, all) => `Loading the states … ${loaded} of ${all}`;

/**
 * What a run that has not begun waits for.
 * @param {{ahead?: number, seconds?: number | null, loading?: string, doing?: string, running?: boolean, lost?: boolean, full?: string, again?: number} | null} at
 * as the server says it; `lost` that it does not answer; `full` why it takes no run now, and `again` in how many seconds it is asked again
 */
export const waitText = (at) => {
  if (!at) return 'Sending the settings …';
  if (at.lost) return 'The server does not answer. This run begins when it is back …';
  if (at.full) return `${at.full} This page asks again in ${at.again} s …`;
  if (at.doing) return `${at.doing} …`;
  if (at.loading) return `Loading ${at.loading} …`;
  if (at.ahead) {
    const runs = at.ahead === 1 ? 'One run is before yours' : `${at.ahead} runs are before yours`;
    return `${runs}${at.seconds ? `, which is finished in about ${aboutText(at.seconds)}` : ''} …`;
  }
  if (!at.running) return 'Preparing the run …';
  return at.others ? `Drawing the first noise, in turns with ${at.others === 1 ? 'another run' : `${at.others} other runs`} …` : 'Drawing the first noise …';
};

/** SVG path of the noise's share over the run, 100 by 100; `under` closes it to an area. */
export const curvePath = (/** @type {Meta[]} */ meta, /** @type {number} */ last, under = false) => {
  const known = Array.from({ length: last + 1 }, (_, k) => k).filter((k) => meta[k]);
  if (!known.length) return '';
  const at = (/** @type {number} */ k) => `${+(last ? k / last * 100 : 0).toFixed(2)},${+(96 - 92 * noiseShare(meta[k].logSnr)).toFixed(2)}`;
  const line = known.map(at).join(' L');
  return under ? `M${at(known[0]).split(',')[0]},100 L${line} L${at(known[known.length - 1]).split(',')[0]},100 Z` : `M${line}`;
};

/**
 * A point of a box of `width` by `height` as shares of a picture that is fitted into it, centred; null beside the picture.
 * @param {{x: number, y: number, width: number, height: number, wide: number, high: number}} given
 */
export const fittedPoint = ({ x, y, width, height, wide, high }) => {
  const scale = Math.min(width / wide, height / high);
  const across = (x - (width - wide * scale) / 2) / (wide * scale), down = (y - (height - high * scale) / 2) / (high * scale);
  return across >= 0 && across < 1 && down >= 0 && down < 1 ? [across, down] : null;
};

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
