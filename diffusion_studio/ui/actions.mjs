// @ts-check
// What events of the page do in the browser, each called by its name: call_action in page_script.py. A module for node's tests
// (tests/js); page_script.py prepares it for the page.

/** @typedef {{run?: string, [name: string]: any}} PlayerValue a player's tick */

/** @param {string} what */
const find = (what) => /** @type {any} */ (document.querySelector(what));
const COMPARE_TAB = 'button[role=tab][data-tab-id="compare"]';
/** @param {string} prefix before the ids of a tab's elements */
const playerOf = (prefix) => find(`#${prefix}player .player`);
/** @param {string} where */
const bring = (where) => { if (innerWidth <= 860) find(where).scrollIntoView({ behavior: 'smooth' }); };      // on a phone it lies below

// ---- a run

/** The player comes no further with the run that it shows. @param {PlayerValue | null} v */
export const stopRun = (v) => (v?.run ? { ...v, stopped: true } : v);

/**
 * The name of a press of Generate, and no file: that of the run before is not this one's. The player shows what the press waits for.
 * Continue of a stopped run says so before the name.
 */
export const pressGenerate = () => {
  bring('#view');
  const page = document.documentElement.dataset, how = page.resume ? 'resume ' : '';      // RESUME in generate_tab.py
  delete page.resume;
  const name = `${how}${Date.now()} ${Math.random()}`;
  playerOf('').dispatchEvent(new CustomEvent('pressed', { detail: { name }, bubbles: true }));
  return [name, null];
};

/** A run has ended early. A press without a name was refused, and the run before goes on. @param {PlayerValue | null} v @param {string} press */
export const endRun = (v, press) => {
  const refused = press === '' && !!v;                 // REFUSED in generate_tab.py
  playerOf('').dispatchEvent(new CustomEvent('unpressed', { detail: { refused }, bubbles: true }));
  return refused ? v : stopRun(v);
};

/** A run of the history could not be opened. */
export const leaveRun = () => { playerOf('').dispatchEvent(new CustomEvent('unpressed', { bubbles: true })); };

/**
 * What the player shows is of the settings now. A run that the server no longer keeps is made again from them.
 * @param {PlayerValue | null} v @param {PlayerValue | null} wanted
 */
export const returnToRun = (v, wanted) => {
  playerOf('').dispatchEvent(new CustomEvent('unpressed', { bubbles: true }));
  if (v?.run && v.run === wanted?.run) document.dispatchEvent(new CustomEvent('returned'));
  else setTimeout(() => find('#generate')?.click(), 200);      // once the controls have the settings
};

/** The run that an address names plays; the player hears it where there is none. @param {string} arrived */
export const playArrived = (arrived) => {
  if (arrived) return void setTimeout(() => find('#generate')?.click(), 200);
  document.documentElement.dataset.arrived = 'none';
  document.dispatchEvent(new CustomEvent('none-arrived'));
};

/** The run and the shown state, in place of a whole tick. @param {PlayerValue | null} v @param {...any} others */
export const withShownState = (v, ...others) => {
  const { shown, zoom } = playerOf('').dataset;
  const state = v?.run ? { run: v.run, shown: Number(shown), zoom: zoom ? Number(zoom) : null } : v;
  return others.length ? [state, ...others] : state;
};

/** As `withShownState`, with the picture that the painter asks for instead, once. @param {PlayerValue | null} v @param {...any} others */
export const withPictureToEdit = (v, ...others) => {
  const page = document.documentElement.dataset, take = page.take, [state, ...rest] = withShownState(v, ...others);
  delete page.take;
  return [take === undefined || !state?.run ? state : { ...state, zoom: Number(take) }, ...rest];
};

/** How a player shows its run: the view, the number of a single picture, the speed, and whether pictures follow each other. @param {any} root */
const lookOf = (root) => ({
  view: root.querySelector('.screens').dataset.view,
  zoom: root.dataset.zoom ? Number(root.dataset.zoom) : null,
  fps: Number(root.querySelector('.speed').value),
  film: root.querySelector('.film').ariaPressed === 'true',
});

/** The player's value, the last one, with how the page shows it. @param {string} prefix @param {...any} given */
export const withLook = (prefix, ...given) => {
  const v = given.pop();
  return [...given, v?.run ? { ...v, look: lookOf(playerOf(prefix)) } : v];
};

/** The inputs of a panel of exports that opens, as `withLook`; after "More" of a file with the options of that file. @param {string} prefix @param {...any} given */
export const openExport = (prefix, ...given) => {
  const page = document.documentElement.dataset, used = page.used, found = withLook(prefix, ...given), v = found.pop();
  delete page.used;
  return [...found, v && used ? { ...v, used: JSON.parse(used) } : v];
};

/** The preset that was pressed, and the player's value as `withLook`. @param {string} prefix @param {string} _ @param {PlayerValue | null} v */
export const beginSaving = (prefix, _, v) => {
  const page = document.documentElement.dataset, preset = page.preset || 'chat';
  delete page.preset;
  if (v?.run) playerOf(prefix).dataset.saving = 'true';
  return withLook(prefix, preset, v);
};

/** @param {string} prefix */
export const endSaving = (prefix) => { playerOf(prefix).dataset.saving = 'false'; };

/** The stage shows a picture to edit once it is there; what is edited elsewhere has its place in the drawer. @param {string[]} onStage @param {string} kind */
export const showEdit = (onStage, kind) => {
  const here = onStage.includes(kind);
  if (here) document.documentElement.dataset.edit = 'true';
  document.dispatchEvent(new CustomEvent(here ? 'edit-on-stage' : 'open-settings'));
  if (!here) setTimeout(() => find('#edit').scrollIntoView({ behavior: 'smooth', block: 'start' }), 60);
};

// ---- the settings

/** A text to spell says the labels, and how many pictures there are. @param {string | null} text */
export const spellOnly = (text) => {
  const off = !!text?.trim(), update = { __type__: 'update', interactive: !off };
  return [update, update, { __type__: 'update', off }];
};

/**
 * Label, prompt and spelling with what an example names; of several examples one that is not there now.
 * @param {any} one @param {string} label @param {string} prompt
 */
export const tryExample = (one, label, prompt) => {
  let chosen = one;
  if (one?.any_of) {
    const others = one.any_of.filter((/** @type {any} */ given) => (given.prompt ?? prompt) !== prompt || (given.label ?? label) !== label);
    chosen = others[Math.floor(Math.random() * others.length)];
  }
  return [chosen?.label ?? label, chosen?.prompt ?? prompt, chosen?.spell ?? ''];
};

/** @param {number} strength @param {any} v */
export const withStrength = (strength, v) => (v?.picture ? { ...v, strength } : v);

/** @param {string} what */
export const clickOn = (what) => { find(what)?.click(); };

// ---- the panel Inside

/** Says that the server is asked, until `endInside`. No count: of looks that overlap Gradio may tell one end. @param {...any} given */
export const beginInside = (...given) => { find('#stage').dataset.insideAsked = 1; return given; };

/** The same with the run and the shown state in place of a whole tick. @param {PlayerValue | null} v @param {...any} others */
export const beginInsideState = (v, ...others) => {
  const { shown } = playerOf('').dataset;
  return beginInside(v?.run ? { run: v.run, shown: Number(shown) } : v, ...others);
};

export const endInside = () => { find('#stage').dataset.insideAsked = 0; };

/** The file that comes is downloaded, once. */
export const downloadInside = () => {
  const end = Date.now() + 3000, data = find('#stage').dataset;
  const go = () => {
    const link = find('#inside-file a[download]');
    if (link && link.href !== data.insideFile) { data.insideFile = link.href; link.click(); }
    else if (Date.now() < end) setTimeout(go, 100);
  };
  go();
};

// ---- Compare

/** @param {Record<string, string>} texts @param {string} name */
export const lookUp = (texts, name) => texts[name];

/** @param {any} one @param {string} lanes @param {any} axes the value of their menus */
export const tryComparison = (one, lanes, axes) => {
  setTimeout(() => globalThis.document?.dispatchEvent(new CustomEvent('comparison-form')), 60);      // once the menus have it
  return [one?.lanes ?? lanes, { ...axes, x: one?.x ?? axes.x, y: one?.y ?? axes.y }];
};

/** The menus of the lanes with another text. @param {string} text @param {any} value */
export const withLanes = (text, value) => {
  globalThis.document?.dispatchEvent(new CustomEvent('comparison-form'));
  return value ? { ...value, text } : value;
};

/** The lanes as their menus have them, as text. @param {any} value */
export const lanesAsText = (value) => value?.text ?? '';

/** The tab may only now be drawn. */
export const showComparison = () => {
  const view = find('#compare-view'), { top } = view.getBoundingClientRect();
  if (top < 0 || top > innerHeight / 3) view.scrollIntoView({ block: 'start' });      // on a phone it lies below the form
};

/** Presses Run once the tab shows it. */
export const runComparison = async () => {
  for (const end = Date.now() + 10000; Date.now() < end;) {
    await new Promise((go) => setTimeout(go, 120));
    const button = find('#compare-run');
    if (button?.checkVisibility()) { button.click(); return; }
  }
};

/** What the page asks to compare, as JSON, once. */
export const takeComparison = () => {
  const page = document.documentElement.dataset, asked = page.compare ?? '';
  delete page.compare;
  return asked;
};

/**
 * The tab of a race or a grid that arrives, unless it came with the address: page.js has shown that one by then, and the visitor may be elsewhere.
 * @param {string} arrived the kind, a space and the recipe
 */
export const showArrivedComparison = (arrived) => {
  const page = document.documentElement.dataset, own = page.arrives === 'compare';
  delete page.arrives;
  if (!own) find(COMPARE_TAB)?.click();
  return [arrived];
};

/** A race or a grid that came by a link cannot be used. */
export const endArrival = () => { document.dispatchEvent(new CustomEvent('no-runs-arrived')); };

// ---- Points

/** The settings of Points as its player compares them with those of a run. @param {string} drawn the shape that is drawn by hand */
const pointsSettings = (drawn, /** @type {string} */ shape, /** @type {any} */ sketch) => ({ shape, sketch: shape === drawn ? sketch : null });

/** @param {string} name @param {any} detail */
const tellPoints = (name, detail) => { playerOf('points-').dispatchEvent(new CustomEvent(name, { detail, bubbles: true })); };

/**
 * A press of 1, 2 or 3: names it, tells the player with which settings it comes (the shape, and the controls `names`), and shows the player.
 * Stop stands beside the button `which`.
 * @param {string} drawn @param {string} which @param {string[]} names @param {string} _ @param {string} shape @param {any} sketch @param {...any} rest
 */
export const pressPoints = (drawn, which, names, _, shape, sketch, ...rest) => {
  find('#points-stage').dataset.pressed = which;
  const name = `${performance.timeOrigin + performance.now()} ${Math.random()}`, settings = pointsSettings(drawn, shape, sketch);
  tellPoints('points-pressed', { name, settings: { ...settings, ...Object.fromEntries(names.map((one, k) => [one, rest[k]])) } });
  bring('#points-view');
  return [name, shape, sketch, ...rest];
};

/** The settings as they stand now. @param {string} drawn @param {string} shape @param {any} sketch @param {number} steps @param {string} sampler */
export const showPointsSettings = (drawn, shape, sketch, steps, sampler) => {
  tellPoints('points-settings', { ...pointsSettings(drawn, shape, sketch), steps, sampler });
};

/** What is said until the steps have been timed; for another quality nothing. @param {string} timed @param {string} quality */
export const sayTiming = (timed, quality) => (quality === timed ? '<p>Timing a few steps on this machine ...</p>' : '');

/** A run of Points has ended early. @param {PlayerValue | null} v */
export const endPoints = (v) => { tellPoints('unpressed', {}); return stopRun(v); };
