// The exported player: everything is in this file. keys.mjs and logic.mjs of the app's player come before it.
// data = {fps, view, smooth, figure, runs: [{about, count, columns, rows, places, tile, total, perSheet, sheets, meta, offs}]}; the second run, where
// there is one, stands below the first, state beside state. A sheet holds `perSheet` frames one below the other, each x
// over x0 as in the app. Of a `figure` both are the same drawing.
const data = JSON.parse(document.getElementById('frames').textContent);
const recipe = JSON.parse(document.getElementById('diffusion-studio').textContent);
const $ = (name) => document.querySelector(name);
const main = $('main'), scrub = $('.scrub'), speed = $('.speed');
const last = data.runs[0].meta.length - 1, KEPT_SHEETS = 8;
let want = 0, shown = -1, zoom = null, timer = null, painting = false;

const figures = data.runs.map((run) => {
  const about = document.createElement('p'), screens = document.createElement('div');
  about.className = 'about'; about.textContent = run.about;
  screens.className = 'screens';
  for (const half of ['x', 'x0']) {
    const figure = document.createElement('figure'), canvas = document.createElement('canvas');
    const caption = document.createElement('figcaption');
    figure.dataset.half = half;
    caption.textContent = data.figure ? '' : half === 'x' ? 'the state x_t' : `the predicted clean ${data.smooth ? 'points' : 'picture'} x0`;
    canvas.setAttribute('role', 'img'); canvas.setAttribute('aria-label', caption.textContent || document.title);
    canvas.addEventListener('click', (event) => enlarge(run, canvas, event));
    figure.append(canvas, caption); screens.append(figure);
  }
  if (run.about) $('.runs').append(about);
  $('.runs').append(screens);
  return screens;
});
main.classList.toggle('smooth', data.smooth);
main.classList.toggle('figure', data.figure);
main.classList.toggle('many', data.runs[0].count > 1);
$('.views').hidden = $('.keys').hidden = data.figure;

// ---- the pictures are as large as the window lets them be, with the controls in sight; each pixel is a whole number of the screen's -----
const CAPTION = 28, GAP = 16;                          // pixels of a line of text, and around a picture
const fit = () => {
  const wide = $('.runs').clientWidth, density = devicePixelRatio || 1, halves = main.dataset.view === 'both' ? 2 : 1;
  const high = innerHeight - $('h1').offsetHeight - $('.controls').offsetHeight - 2 * GAP;
  for (const [k, run] of data.runs.entries()) {
    const [, , width, height] = tileBox(run, 'x', zoom !== null && zoom < run.count ? zoom : null);
    const each = high / data.runs.length - (run.about ? CAPTION : 0);
    const scales = (halves === 2 ? [[2, 1], [1, 2]] : [[1, 1]]).map(([columns, rows]) => (
      Math.min((wide - GAP * (columns - 1)) / columns / width, (each / rows - (data.figure ? 0 : CAPTION)) / height)));
    const stacked = scales.length === 2 && scales[1] > scales[0], found = Math.max(...scales, Math.min(1, wide / width));
    const scale = data.smooth || data.figure || found < 1 ? found : Math.floor(found * density) / density;
    figures[k].classList.toggle('stacked', stacked);
    for (const canvas of figures[k].querySelectorAll('canvas')) { canvas.style.width = `${width * scale}px`; canvas.style.height = `${height * scale}px`; }
  }
  const spare = high - $('.runs').offsetHeight;        // under a line of letters much is left: it stands nearer to the middle
  main.style.paddingTop = spare > 160 ? `${0.3 * spare}px` : '';
};
addEventListener('resize', fit);

// ---- frames: a sheet is decoded when one of its frames is looked at; the last few stay -----------------------------
const opened = new Map();
const sheet = (run, number) => {
  const key = `${data.runs.indexOf(run)} ${number}`;
  if (!opened.has(key)) {
    const bytes = Uint8Array.from(atob(run.sheets[number]), (c) => c.charCodeAt(0));
    opened.set(key, createImageBitmap(new Blob([bytes], { type: 'image/webp' })));
    for (const [old, bitmap] of opened) {
      if (opened.size <= KEPT_SHEETS) break;
      opened.delete(old); bitmap.then((one) => one.close());
    }
  }
  return opened.get(key);
};

const draw = async (run, screens, place) => {
  const bitmap = await sheet(run, Math.floor(place / run.perSheet));
  const [h] = run.tile, rows = run.rows, above = (place % run.perSheet) * 2 * rows * h;
  const number = zoom !== null && zoom < run.count ? zoom : null;
  for (const half of ['x', 'x0']) {
    const [left, top, width, height] = tileBox(run, half, number), canvas = screens.querySelector(`[data-half=${half}] canvas`);
    if (canvas.width !== width || canvas.height !== height) { canvas.width = width; canvas.height = height; fit(); }
    canvas.getContext('2d').drawImage(bitmap, left, above + top, width, height, 0, 0, width, height);
  }
};

const paint = async () => {                            // one at a time, the latest wish wins
  if (painting) return;
  painting = true;
  try {
    while (shown !== want) {
      const place = want;
      for (const [k, run] of data.runs.entries()) await draw(run, figures[k], place);
      shown = place;
      main.dataset.shown = shown;
    }
  } finally { painting = false; }
};
const repaint = () => { shown = -1; paint(); };

const said = (run, place) => {
  const [index, t, logSnr, calls, part] = run.meta[place];
  const level = levelText({ index, t, logSnr, calls, part }, data.smooth);
  const step = part === 'picture' ? `picture ${index + 1} of ${run.total + 1}` : `step ${index} of ${run.total}`;
  return [step, ...(part === 'picture' ? [] : data.figure ? [level] : [level, callsText(calls), part])].filter(Boolean).join(' · ');
};

// Where a branch begins, as on the app's timeline.
const branch = recipe.branch?.at ?? null;
const markBranch = () => {
  const share = branchShare(data.runs[0].meta.map(([index]) => ({ index })), last, branch), mark = $('.branched');
  mark.hidden = share === null;
  mark.style.setProperty('--at', share ?? 0);
  mark.dataset.side = share > 0.5 ? 'left' : 'right';
};

// One sentence about the state, as in the app; none for pictures one after another, or for two runs.
const asked = () => {
  const names = [...new Set((recipe.labels ?? []).map((one) => one ?? 'any'))].join(', ');
  return askedFor({ ...recipe, label: recipe.label ?? (names || null) }, data.smooth);
};
const told = (run, place) => {
  const [index, , logSnr, calls, part] = run.meta[place];
  if (data.runs.length > 1 || data.figure || part === 'picture') return '';
  const found = run.meta[last][0] === run.total ? settled(run.offs, place) : null;      // of a stopped run nothing is decided
  const next = place > 0 && index === run.meta[place - 1][0] + 1;
  const before = callsBefore(run.meta.map(([at, , , made]) => ({ index: at, calls: made })), branch);
  return sentence({ points: data.smooth, logSnr, calls, part, first: place === 0, last: place === last, finished: index === run.total, asked: asked(),
    index, branch, before, total: run.total, way: found && { ...found, gain: next ? found.gain : null } });
};

const seek = (place) => {
  want = Math.max(0, Math.min(last, place));
  scrub.value = want;
  $('.say').textContent = told(data.runs[0], want);
  $('.readout').textContent = data.runs.map((run) => said(run, want)).join(' | below: ');
  scrub.setAttribute('aria-valuetext', said(data.runs[0], want));
  paint();
};

// ---- controls ------------------------------------------------------------------------------------------------------
const pause = () => { clearInterval(timer); timer = null; $('.play').textContent = 'Play'; };
const play = () => {
  clearInterval(timer);
  if (want === last) seek(0);
  timer = setInterval(() => {
    if (want < last) seek(want + 1);
    else if ($('.loop').checked) seek(0);
    else pause();
  }, 1000 / Number(speed.value));
  $('.play').textContent = 'Pause';
};
const toggle = () => (timer ? pause() : play());
const step = (by) => { pause(); seek(want + by); };

const VIEWS = ['x', 'both', 'x0'];
const look = (view) => {
  for (const screens of figures) screens.dataset.view = view;
  for (const button of document.querySelectorAll('.views button')) button.ariaPressed = button.dataset.view === view;
  main.dataset.view = view;
  fit();
};
const setZoom = (number) => { zoom = number; main.dataset.zoom = zoom ?? ''; repaint(); };
const enlarge = (run, canvas, event) => {
  if (run.count === 1) return;
  const box = canvas.getBoundingClientRect();
  setZoom(zoom !== null ? null : tileAt(run, (event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height));
};

$('.play').addEventListener('click', toggle);
$('.back').addEventListener('click', () => step(-1));
$('.next').addEventListener('click', () => step(1));
speed.addEventListener('change', () => { if (timer) play(); });
scrub.addEventListener('input', () => { pause(); seek(Number(scrub.value)); });
for (const button of document.querySelectorAll('.views button')) button.addEventListener('click', () => look(button.dataset.view));

addEventListener('keydown', (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches('select')) return;
  const { key } = event, asked = playerKey(key, event.target);
  if (asked?.play) toggle();
  else if (asked) step(asked.by ?? (asked.to ? last : -last));
  else if (key === 'v' && !data.figure) look(VIEWS[(VIEWS.indexOf(main.dataset.view) + 1) % 3]);
  else if (key === 'Escape') setZoom(null);
  else if (/^[1-9]$/.test(key) && key <= data.runs[0].count && data.runs[0].count > 1) setZoom(zoom === key - 1 ? null : key - 1);
  else return;
  event.preventDefault();
});

// ---- the recipe, as text -------------------------------------------------------------------------------------------
for (const [name, value] of Object.entries(recipe)) {
  if (value === null || value === '') continue;
  const row = $('.settings').insertRow(), text = typeof value === 'object' ? JSON.stringify(value) : `${value}`;
  row.insertCell().textContent = name.replaceAll('_', ' ');
  row.insertCell().textContent = text.length > 300 ? `${text.slice(0, 300)} …` : text;
}

if (!recipe.model) $('details p').hidden = true;       // no run of a model: the app's tab Forward makes it anew

if (![...speed.options].some((one) => Number(one.value) === data.fps)) speed.add(new Option(data.fps, data.fps));
speed.value = data.fps;
scrub.max = last;
markBranch();
look(data.view);
leaveFocus(document, 'main');
if (matchMedia('(prefers-reduced-motion: reduce)').matches) seek(last);
else { seek(0); play(); }                              // once
