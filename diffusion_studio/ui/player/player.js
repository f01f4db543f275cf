// The player's page half. value = {run, kept, last, index, total, done, calls, stopped, count, columns, tile, film}: a tick, never pixels.
// Before this file come keys.mjs, what the keys mean, logic.mjs, which computes what needs no page, settle.js, which measures how far each guess is from the last,
// points.js, which draws clouds of points (tile is null, points says how many a cloud has), and film.js, which turns over the pictures
// of a run.
// A place is a frame's number among the kept ones: up to `kept` now, up to `last` when the run is finished.
// Frames are pulled (newest first, then the gaps), kept as encoded blobs, and painted by one loop where the latest wins.
// Until the first run a recording that comes with the program plays; it has its frames with it.
// The element hears 'pressed' ({name}), 'unpressed', and 'stale' ({on}) from the page; of Points 'points-pressed' ({name, settings}) and
// 'points-settings', from which it finds by itself whether the shown run is stale.
const $ = (name) => element.querySelector(name);
if (props.hint) $('.hint').innerHTML = props.hint;
const root = $('.player'), screens = $('.screens'), scrub = $('.scrub'), strip = $('.strip');
const PULL_MS = 250, ASK_MS = 400, LATE_MS = 150, STARVED_MS = 600, OPENS = 'Opening the picture …', OPENS_RUN = 'Opening the run …', OPENS_MS = 30_000, AGAIN_SECONDS = 8, OPENING = 'opening',
  stripCells = () => cellsOf(strip.clientWidth, strip.clientHeight, screens.dataset.view === 'both', zoom === null && tick.places ? tick : null);
const whole = element.closest('#player') !== null;     // of Generate, whose runs branch and are edited

let run = null, tick = null, frames = [], meta = [];   // frames[place] is a Blob, meta[place] = {index, t, logSnr, calls, part, ...}
let want = 0, shown = -1, follow = true, zoom = null, timer = null;
let pulling = false, painting = false, batch = 2, ended = false, stripCall = 0;
let waits = '', late = false;                          // what the press waits for, in words; whether the first state of this run is long in coming
let lost = null;                                       // the run of which frames are gone from the server
let pressed = null, turn = null;                       // the press that no tick has come of yet
let pace = null;                                       // {index, at}: when the first step was seen, from which the time left is reckoned
let starved = null;                                    // since when a state that is to be shown has not come
let model = null;                                      // of Generate: the chosen one
let madeOf = null, settings = {};                      // of Points: the settings of the shown run, and as they stand
const settingsOf = new Map();                          // of Points: the settings of its presses, by their names
const opening = { loops: false };                      // whether "loop" is ticked for the recording's sake
const left = new Set();                                // runs of Points that a later one has taken the place of
const clouds = makeClouds(() => frames, () => tick);
const film = makeFilm($('.film'), () => ({ count: tick.count, at: zoom }), () => 1000 / Number($('.speed').value),
  (number) => { setZoom(number); repaint(); });
let chosen = null, beforeFilm = null;                  // {model, count} of a picture chosen by hand; the zoom before Film
const startFilm = () => { if (!film.on()) beforeFilm = zoom; film.start(); };
const endFilm = () => {                                // back to what was shown before it
  if (!film.on()) return;
  film.stop(); setZoom(beforeFilm); repaint(); thumbnails();
};
const settle = makeSettle(() => frames, () => tick, () => readout());
const unhurried = () => { if ($('.speed').value === '20') $('.speed').value = '10'; };       // a film has fewer pictures than a run states
const shows = () => ({ trails: $('.trails').checked, arrows: $('.arrows').checked });

// ---- ticks -------------------------------------------------------------------------------------------------------
const onValue = (v = props.value) => {
  if (!v?.run || left.has(v.run)) return;              // the last word of a run that was ended may come late
  const fresh = v.run !== run;
  if (fresh) begin(v);
  tick = v;
  if (fresh) paintBefore();
  if (v.done && v.film && !ended && follow && zoom === null) { unhurried(); startFilm(); }
  const replay = v.done && v.replay && !ended && follow;   // made faster than anybody sees: from its start once it is there
  if (v.done || v.stopped) { const now = !ended; ended = true; if (pressed === null && waits !== OPENS) waiting(false); if (now) stale(root.dataset.stale === 'true'); }
  enable();
  scrub.max = Math.max(lastPlace(), 1);
  if (follow) want = v.kept;
  if (v.index > 0) pace ??= { index: v.index, at: performance.now() };
  readout(); undone();
  pull();
  if (replay) play();
};

const cut = () => ended && !tick.done && tick.kept < tick.last;      // stopped: the timeline keeps room for what was not made
const lastPlace = () => (ended && !cut() ? tick.kept : tick.last);

const undone = () => {                                 // the part of the timeline that a stopped run did not make
  const part = $('.undone'), on = run !== OPENING && cut();
  part.hidden = !on;
  if (!on) return;
  part.style.left = `${100 * tick.kept / tick.last}%`;
  part.classList.toggle('narrow', tick.kept / tick.last > 0.6);
  $('.undone .at').textContent = `stopped at ${tick.unit ?? 'step'} ${tick.index} of ${tick.total}`;
  $('.go-on').hidden = !whole || root.dataset.stale === 'true' || pressed !== null;
  $('.go-on').textContent = tick.resumes ? 'Continue' : 'Make it to the end';
  $('.go-on').title = tick.resumes ? 'Make the other steps. The result is that of a run that was not stopped.'
    : 'Make the run once more, from its noise: its steps build on those before, which are no longer there. The result is that of a run that was not stopped.';
};

const TITLES = {};                                    // of buttons, before it is added why they are disabled
const enable = () => {                                 // what can be done with the run that is shown
  const none = run === null || run === OPENING, noise = !none && ended && tick.index === 0 && tick.total > 0, blank = !none && shown < 0;
  $('.compare').disabled = run === null || run === OPENING || !ended || !!tick.doing;      // what dissolves or trains is no recipe's run
  for (const name of ['.branch', '.edit', '.save']) $(name).disabled = none || (name !== '.branch' && (!ended || noise || blank));
  for (const name of ['.compare', '.branch', '.edit', '.save']) {
    const why = none ? 'there is no run of yours yet' : !ended ? 'when the run has ended' : noise ? 'the run was stopped before its first step' : blank ? 'when its picture is here' : '';
    TITLES[name] ??= $(name).title;
    $(name).title = why && $(name).disabled ? `${TITLES[name]} (${why})` : TITLES[name];
  }
};

const LEFT = $('.left').innerHTML, RIGHT = $('.right').innerHTML;
const VIEWS = Object.fromEntries(['x', 'x0'].map((half) => [half, { name: $(`[data-view="${half}"]`).innerHTML, title: $(`[data-view="${half}"]`).title }]));

const begin = (v) => {
  if (!whole && run !== null) left.add(run);
  madeOf = settingsOf.get(v.press) ?? null;
  run = v.run; frames = []; meta = []; want = 0; shown = -1; follow = true; ended = false; batch = 2; pace = starved = null;
  if (!v.press || v.press === pressed) waiting(false);      // else it is the late word of a run that this press ended
  settle.reset(); stale(run === OPENING ? otherModel(v) : madeOf !== null && otherSettings());
  $('.undone').hidden = true;
  stripCall++;                                         // a thumbnail that is still decoded is of the run before
  root.classList.add('fresh'); $('.say').textContent = ''; late = false;
  $('.curve .area').removeAttribute('d'); $('.curve .edge').removeAttribute('d');
  if (!document.querySelector('.painter[data-mode="run"]')) before(null);
  const mine = run;
  setTimeout(() => { if (mine === run && shown < 0) { late = true; clearScreens(); cover(); } }, LATE_MS);      // nothing flashes where all is quick
  document.dispatchEvent(new CustomEvent('run-begun'));      // its settings may have been changed since the press
  if (run !== OPENING && opening.loops) { opening.loops = false; $('.loop').checked = false; }
  const alone = film.on() ? beforeFilm : zoom;
  pause(); film.stop();
  // a picture stays alone only where a person chose it, among as many pictures of the same model
  const same = chosen !== null && chosen.model === v.about?.model && chosen.count === v.count;
  if (!same) chosen = null;
  setZoom(same ? alone : null, v);
  root.dataset.doing = v.doing ?? ''; root.dataset.run = run === OPENING ? '' : run; root.dataset.opening = run === OPENING;
  $('.hint').hidden = true; $('.film').hidden = v.count === 1;
  root.classList.toggle('clouds', !!v.points); root.classList.toggle('written', !!v.places); spread(v);
  $('.right').innerHTML = v.right ?? RIGHT; $('.left').innerHTML = v.left ?? LEFT;
  for (const [k, half] of ['x', 'x0'].entries()) { const button = $(`[data-view="${half}"]`); button.innerHTML = v.views?.[k] ?? VIEWS[half].name; button.title = v.views ? `Only the ${v.views[k]}` : VIEWS[half].title; }
  for (const control of root.querySelectorAll('.scrub, .play, .back, .next')) control.disabled = false;
  for (const canvas of strip.querySelectorAll('canvas')) { canvas.dataset.place = ''; canvas.getContext('2d').clearRect(0, 0, canvas.width, canvas.height); }    // nothing of the run before
};

const clearScreens = () => {
  for (const canvas of screens.querySelectorAll('figure[data-half] > canvas')) canvas.getContext('2d').clearRect(0, 0, canvas.width, canvas.height);
};

const keep = ([place, packed, index, t, logSnr, calls, part, alpha, sigma]) => {
  const bytes = Uint8Array.from(atob(packed), (c) => c.charCodeAt(0));
  frames[place] = tick.points ? new Int16Array(bytes.buffer) : new Blob([bytes], { type: 'image/webp' });
  meta[place] = { index, t, logSnr, calls, part, alpha, sigma };
};

const open = async (what = null) => {                  // the recording to begin with; of Points the shape that dissolves
  waits = whole ? 'Loading the recording …' : '';
  $('.hint').hidden = true; cover();
  const recorded = await server.recording([what]).catch(() => null);
  if (pressed === null) waits = '';
  if (!recorded || (run !== null && run !== OPENING) || pressed !== null) { $('.hint').hidden = !!tick || pressed !== null; cover(); return; }
  tick = recorded.tick;
  begin(tick);
  recorded.frames.forEach(keep);
  ended = true; scrub.max = tick.kept; follow = false;
  const calm = matchMedia('(prefers-reduced-motion: reduce)').matches;
  enable(); seek(calm ? tick.kept : 0);
  await painted();                                     // captions and counter go on once there are pictures
  if (run !== OPENING || pressed !== null) return;
  thumbnails(); settle.start();
  if (calm) return;
  opening.loops = $('.loop').checked = true;
  if (!otherModel()) play();
};
const otherModel = (of = tick) => whole && model !== null && model !== of?.about?.model;      // the chosen model is not that of the recording
const painted = async () => { while (run === OPENING && shown < 0 && root.isConnected) { await paint(); await nextFrame(); } };

// ---- what happens ------------------------------------------------------------------------------------------------
const waiting = (at) => {                              // at: what the server says of the press; false: nothing is waited for
  waits = at === false ? '' : waitText(at);
  if (at === false) pressed = null;
  else if ($('.state').textContent !== waits) $('.state').textContent = waits;
  cover(); busy();
};

const cover = () => {                                  // the one place that says in the stage why there is nothing new to see
  const slow = ended && starved !== null && performance.now() - starved >= STARVED_MS;
  const arrives = run !== null && run !== OPENING && lost !== run && (late && shown < 0 || slow), all = tick ? (ended ? tick.kept : tick.last) + 1 : 0;
  const text = waits || (arrives ? arrivingText(frames.filter(Boolean).length, all) : '');
  $('.waiting').hidden = !text; root.classList.toggle('waits', !!text);
  if (text && $('.waiting .words').textContent !== text) $('.waiting .words').textContent = text;
};

const starve = (on) => {                               // something is to be shown that is not here yet: after a moment the stage says so
  if (on === (starved !== null)) return;
  starved = on ? performance.now() : null;
  if (on) setTimeout(cover, STARVED_MS + 20); else cover();
};

const busy = () => {
  const on = pressed !== null || (run !== null && run !== OPENING && !ended);
  root.dataset.busy = on; root.classList.toggle('busy', on);
  if (!whole) return;
  const stage = document.querySelector('#stage');      // where Generate becomes Stop, but not under a second click
  const swap = (busy, from, to) => {                   // a key press finds the button that took the place of its own
    const held = document.querySelector(`${from}:focus-visible`) !== null;
    stage.dataset.busy = busy;
    if (held) document.querySelector(to)?.focus({ preventScroll: true });
  };
  if (on) turn ??= setTimeout(() => swap(true, '#generate', '#stop'), 600);
  else { clearTimeout(turn); turn = null; swap(false, '#stop', '#generate'); }
};

const ask = async (name) => {                          // until the first tick, or until something went wrong
  while (pressed === name && root.isConnected) {
    const at = await server.waits(name).catch(() => undefined);
    if (pressed !== name) return;
    if (at?.full) return again(name, at.full);
    if (at !== undefined) waiting(at);
    await new Promise((go) => setTimeout(go, ASK_MS));
  }
};

const again = (name, full) => pressLater(AGAIN_SECONDS + Math.floor(Math.random() * AGAIN_SECONDS), {      // not all pages in the same moment
  tell: (left) => waiting({ full, again: left }),
  sleep: (ms) => new Promise((go) => setTimeout(go, ms)),
  waiting: () => pressed === name && root.isConnected,
  press: () => document.querySelector('#generate').click(),
});

document.addEventListener('server-lost', ({ detail }) => { if (pressed) waiting(detail.on ? { lost: true } : null); });

const onPressed = ({ detail }) => {
  pressed = detail.name; pause(); endFilm(); $('.progress div').style.width = 0;
  if (whole) document.querySelector('#stage').dataset.changed = false;
  setTimeout(() => { if (pressed === detail.name) { waiting('lost' in document.documentElement.dataset ? { lost: true } : null); ask(detail.name); } }, 120);      // nothing flashes where all is quick
  busy();
};
element.addEventListener('pressed', onPressed);
element.addEventListener('points-pressed', (event) => { const { name, settings: own } = event.detail; notePress(settingsOf, name, own); settings = { ...settings, ...own }; onPressed(event); });
element.addEventListener('points-settings', ({ detail }) => { settings = detail; if (run !== null && !pressed) stale(otherSettings());
  if (run === OPENING && pressed === null && tick.shape && tick.shape !== detail.shape) open(detail.shape);
});
if (whole) document.addEventListener('run-opens', () => { if (pressed === null) { pause(); endFilm(); waits = OPENS_RUN; cover(); } });
element.addEventListener('unpressed', () => {
  if (waits === OPENS_RUN && pressed === null) { waits = ''; cover(); }
  if (pressed) { waiting(false); if (tick) readout(); else { $('.state').textContent = ''; $('.hint').hidden = false; } }
  if (madeOf !== null) stale(otherSettings());         // the run before is what is shown, with settings of its own
});

const otherSettings = () => madeOf !== null && differs(madeOf, settings);
const stale = (on) => {
  const going = on && !ended;                          // a run that still goes on is not dimmed
  root.dataset.stale = on; root.classList.toggle('stale', on && !going); root.classList.toggle('others', on && run === OPENING);
  if (whole) document.querySelector('#stage').dataset.changed = on;
  if (tick) undone();
  const watches = new URLSearchParams(location.search).has('room');      // a page in a classroom has no Generate
  $('.made').textContent = !tick ? '' : run === OPENING && tick.words ? `an example: ${tick.words}. 1, 2 and 3 make your own.` : run === OPENING && on ? `This is a recording of ${tick.about?.model}. Generate makes pictures of ${model}.`
    : run === OPENING ? `a recording of ${tick.about?.model ?? 'a run'}${innerWidth > 860 && !watches ? '. Generate makes your own.' : ''}`
    : on ? `${going ? 'this run has other settings:' : 'was made with'} ${tick.words ?? madeWith(tick.about)}` : '';
  const place = on ? $('.stage') : $('.readout');      // over the pictures it has room for long prompts
  if ($('.made').parentElement !== place) place.insertBefore($('.made'), place === $('.stage') ? null : $('.numbers'));
};
element.addEventListener('stale', ({ detail }) => { if (run !== null && run !== OPENING && !pressed && (root.dataset.stale === 'true') !== detail.on) stale(detail.on); });
element.addEventListener('model', ({ detail }) => {    // the recording stands still while another model than its own is chosen
  if (model === detail.model) return;
  model = detail.model;
  if (run !== OPENING) return;
  const other = otherModel();
  stale(other);
  if (other) pause(); else if (opening.loops) play();
});

// ---- frames ------------------------------------------------------------------------------------------------------
const missing = (count) =>                             // what is looked at, then the newest, then the oldest gaps
  missingPlaces(frames, tick.kept, [...(tick.points ? [0] : []), want, ...(timer ? [want + 1] : []), tick.kept], count);      // points: colours come from the first

const pull = async () => {                             // never two requests in flight
  if (pulling || !tick || run === OPENING) return;
  pulling = true;
  const mine = run;
  try {
    for (let places; mine === run && (places = missing(batch)).length;) {
      const began = performance.now();
      const got = await server.frames([mine, places]);
      if (mine !== run) break;
      if (!Array.isArray(got) || !got.length) { gone(); break; }
      got.forEach(keep);
      batch = nextBatch(got.length, performance.now() - began, PULL_MS, ended);
      root.dataset.loaded = frames.filter(Boolean).length;
      readout(); cover();
      if (shown < 0) await paint(); else paint();      // nothing else is decoded or asked for before the first picture
      thumbnails();
    }
    if (mine === run && ended) { settle.start(); told(); }
  } catch (error) {
    console.warn('frames did not come', error);        // the next tick, or the next move, asks again
  } finally {
    pulling = false;
    if (mine !== run) pull();                          // else a new run would wait for its next tick
  }
};

const told = async () => {                             // the page keeps a thumbnail of each run of Generate
  if (!whole || run === OPENING || !frames[tick.kept] || root.dataset.told === run) return;
  if (document.documentElement.classList.contains('in-room')) return;      // a run of somebody else
  const mine = root.dataset.told = run, canvas = document.createElement('canvas'), place = tick.kept;
  if (tick.points) clouds.draw(canvas, place, 'x', null, 64, { night: clouds.dark($('.screen canvas')) });
  else {
    const bitmap = await opened(place);
    if (tick.places) drawLetters(canvas, bitmap); else draw(canvas, bitmap, tileBox(tick, 'x', 0));
    bitmap.close();
  }
  if (mine !== run) return;
  const detail = { run: mine, picture: canvas.toDataURL('image/webp', 0.85), title: madeWith(tick.about) };
  root.dispatchEvent(new CustomEvent('run-ended', { detail, bubbles: true }));
};

const gone = () => { if (ended) { lost = run; readout(); cover(); } };

// ---- painting ----------------------------------------------------------------------------------------------------
const nextFrame = () => new Promise((resolve) => {     // no animation frames in a hidden page: a timer stands in
  const late = setTimeout(resolve, 100);
  requestAnimationFrame(() => { clearTimeout(late); resolve(); });
});

const draw = (canvas, bitmap, [left, top, width, height]) => {
  if (canvas.width !== width || canvas.height !== height) { canvas.width = width; canvas.height = height; }
  canvas.getContext('2d').drawImage(bitmap, left, top, width, height, 0, 0, width, height);
};

const drawLetters = (canvas, bitmap) => {
  const boxes = letterRow(tick), [, , w, h] = boxes[0];
  canvas.width = boxes.length * w; canvas.height = h;
  boxes.forEach(([left, top], k) => { canvas.getContext('2d').drawImage(bitmap, left, top, w, h, k * w, 0, w, h); });
};

const opened = async (place) => (tick.points ? { close() {} } : createImageBitmap(frames[place]));

const wide = (canvas) => Math.round((canvas.clientWidth || 480) * Math.min(devicePixelRatio || 1, 3));

const paint = async () => {                            // at most one decode in flight, the latest wish wins
  if (painting || !tick) return;
  painting = true;
  const wish = () => nearestLoaded(frames, want, tick.kept);      // stands in while a scrubbed one travels
  try {
    while (wish() >= 0 && wish() !== shown) {
      const mine = run, place = wish();
      const bitmap = await opened(place);
      if (mine === run) {
        for (const half of ['x', 'x0']) {
          const canvas = $(`[data-half="${half}"] canvas`);
          if (!tick.points) draw(canvas, bitmap, tileBox(tick, half, zoom));
          else clouds.draw(canvas, place, half, zoom, wide(canvas), shows());
        }
        if (!ended) settle.see(place, $('[data-half="x0"] canvas'));
        if (shown < 0) { shown = place; late = false; root.classList.remove('fresh'); cover(); enable(); }
        shown = place;
        readout();
      }
      bitmap.close();
      await nextFrame();
    }
  } finally { painting = false; }
};

const repaint = () => { shown = -1; paint(); };

const thumbnail = (canvas, place, halves) => {         // of points: each half drawn, then put below the other
  const part = document.createElement('canvas'), side = 116;
  canvas.width = side; canvas.height = side * halves.length;
  const night = clouds.dark($('.screen canvas'));
  halves.forEach((half, row) => {
    clouds.draw(part, place, half, zoom ?? 0, side, { night });
    canvas.getContext('2d').drawImage(part, 0, row * side);
  });
};

const thumbnails = async () => {                       // the strip: evenly spaced places, the enlarged picture, the first, or a whole text
  const last = lastPlace(), cells = Math.min(stripCells(), last + 1);
  while (strip.children.length < cells) {
    const cell = document.createElement('div');
    cell.className = 'cell';
    cell.append(document.createElement('canvas'));
    strip.append(cell);
  }
  while (strip.children.length > cells) strip.lastChild.remove();
  const mine = ++stripCall, view = screens.dataset.view;
  for (let k = 0; k < cells; k++) {
    const place = stripPlace(k, cells, last), cell = strip.children[k];
    if (!cell) return;                                 // a later call made the strip shorter
    const canvas = cell.firstChild, looks = `${place}`, style = `${view} ${zoom} ${run} ${cells}`;
    if (!frames[place] || (canvas.dataset.place === looks && canvas.dataset.style === style)) continue;
    const halves = view === 'both' ? ['x', 'x0'] : [view];
    const bitmap = await opened(place);
    if (mine !== stripCall) return bitmap.close();
    canvas.dataset.place = looks; canvas.dataset.style = style;
    if (tick.points) thumbnail(canvas, place, halves);
    else {
      const alone = zoom ?? (tick.places ? null : 0);  // letters of a text say something together
      const [, , w, h] = tileBox(tick, 'x', alone);
      canvas.width = w; canvas.height = h * halves.length;
      halves.forEach((half, row) => {
        const [left, top] = tileBox(tick, half, alone);
        canvas.getContext('2d').drawImage(bitmap, left, top, w, h, 0, row * h, w, h);
      });
    }
    bitmap.close();
  }
};

const branchAt = () => tick.about?.['branch at'] ?? null;      // the state at which this run leaves the one before
const readout = () => {
  const place = shown >= 0 ? shown : want, at = meta[place], last = lastPlace();
  const hand = !follow && !timer;                      // the mark stands at the state that is shown, but where a hand put it
  scrub.value = hand ? want : shown >= 0 ? shown : root.classList.contains('fresh') ? 0 : want;
  root.dataset.index = at ? at.index : ''; root.dataset.place = shown; root.dataset.shown = run === OPENING ? -1 : shown; root.dataset.ended = ended && run !== OPENING;
  const seen = !root.classList.contains('fresh');       // else the numbers of a state would stand beside pictures of another run
  const step = `${tick.unit ?? 'step'} ${seen ? (at ? at.index : tick.index) : '…'} of ${tick.total}`;
  $('.step').textContent = step;
  $('.calls').textContent = callsText((at ?? tick).calls);
  if (at) { $('.level').textContent = levelText(at, !!tick.points); $('.weights').textContent = weightsText(at); }
  $('.part').textContent = at?.part ?? '';
  const noise = at ? `${percentText(noiseShare(at.logSnr))} noise` : '';
  scrub.setAttribute('aria-valuetext', noise ? `${step}, ${noise}` : step);
  if (pressed === null) {
    const state = run === OPENING ? '' : !ended ? progressText(tick.doing ?? (tick.pace ? `denoising, ${tick.pace}` : 'denoising'), timeLeft(tick, pace, performance.now()))
      : endedText({ loaded: frames.filter(Boolean).length, all: tick.kept + 1, lost: lost === run, done: !!tick.done, took: tick.took });
    if ($('.state').textContent !== state) $('.state').textContent = state;
    $('.state').title = state.includes('took') ? TOOK_TITLE : '';
  }
  if (at && seen) $('.say').textContent = tick.doing ? filled(tick.say ?? '', { noise, index: at.index }) : sentence({ ...at, first: place === 0,
    last: place === tick.kept, finished: ended && !!tick.done, asked: askedFor(tick.about, !!tick.points, tick.unknown), unknown: tick.unknown ?? [], points: !!tick.points, total: tick.total,
    branch: branchAt(), before: callsBefore(meta, branchAt()), way: cut() ? null : settled(settle.offs(), place), moved: ended ? null : settle.moved(), early: !!tick.trained });
  const note = run === OPENING ? '' : noteText(tick);
  if (at && seen && note) $('.say').textContent += ` ${note}`;
  $('.curve .area').setAttribute('d', curvePath(meta, last, true));
  $('.curve .edge').setAttribute('d', curvePath(meta, last));
  const branched = branchShare(meta, last, branchAt());
  $('.branched').hidden = branched === null; $('.branched').style.left = `${100 * (branched ?? 0)}%`; $('.branched').dataset.side = branched > 0.5 ? 'left' : 'right';
  $('.progress div').style.width = `${100 * tick.index / Math.max(tick.total, 1)}%`;
  starve(!frames[want] && shown >= 0 && shown !== want);
  busy();
};

// ---- moving through the run --------------------------------------------------------------------------------------
const seek = (place) => {
  if (!tick) return;
  want = Math.max(0, Math.min(tick.kept, place));
  follow = !ended && want === tick.kept;
  readout(); paint(); pull();
};

const pause = () => { clearInterval(timer); timer = null; root.dataset.playing = false; $('.play').textContent = '▶ Play'; };
const play = () => {
  if (!tick) return;
  let rest = 0;
  clearInterval(timer); endFilm();
  if (want >= tick.kept) seek(0);
  timer = setInterval(() => {
    if (!root.isConnected) return pause();             // the component was removed
    if (want < tick.kept) {
      const next = nextToPlay(frames, want, tick.kept, lost === run);
      if (next === null) { pull(); starve(true); } else seek(next);
    } else if ($('.loop').checked) { if (run !== OPENING || ++rest > 2 * Number($('.speed').value)) { rest = 0; seek(0); } }      // the recording rests at its end
    else if (ended) pause();
  }, 1000 / Number($('.speed').value));
  root.dataset.playing = true; $('.play').textContent = '❚❚ Pause';
};

const spread = (of) => {                               // a line of letters is wide: the two views stand one above the other
  const wide = of?.places ? of.columns * of.tile[1] / (of.rows * of.tile[0]) : 1;
  root.classList.toggle('spread', zoom === null && wide > 2);
  screens.style.setProperty('--wide', wide);
};

const setZoom = (number, of = tick) => {
  zoom = number; screens.classList.toggle('zoomed', zoom !== null); root.dataset.zoom = zoom ?? '';
  spread(of); paintBefore();
  $('.tip').textContent = zoom === null ? '' : `picture ${zoom + 1} of ${of.count}, click it for all`;
};

const toggleZoom = (number) => {
  if (!tick || tick.count === 1) return;
  film.stop(); setZoom(number);
  chosen = number === null ? null : { model: tick.about?.model, count: tick.count };
  repaint(); thumbnails();
};

const toggleFilm = () => {
  if (!tick || tick.count === 1) return;
  if (film.on()) endFilm(); else { pause(); startFilm(); }
};

$('.play').addEventListener('click', () => (timer ? pause() : play()));
$('.go-on').addEventListener('click', () => { document.documentElement.dataset.resume = 'true'; document.querySelector('#generate')?.click(); });
$('.film').addEventListener('click', toggleFilm);
$('.back').addEventListener('click', () => { pause(); seek(want - 1); });
$('.next').addEventListener('click', () => { pause(); seek(want + 1); });
$('.speed').addEventListener('change', () => { if (timer) play(); });
scrub.addEventListener('input', () => { pause(); seek(Number(scrub.value)); });

for (const canvas of screens.querySelectorAll('figure > canvas')) {
  canvas.addEventListener('click', (event) => {
    if (!tick) return;
    if (zoom !== null) return toggleZoom(null);
    const box = canvas.getBoundingClientRect();
    const at = fittedPoint({ x: event.clientX - box.left, y: event.clientY - box.top, width: box.width, height: box.height, wide: canvas.width, high: canvas.height });
    const number = at && tileAt(tick, at[0], at[1]);
    if (number !== null) toggleZoom(number);
  });
}

for (const button of element.querySelectorAll('.views button')) {
  button.addEventListener('click', () => {
    screens.dataset.view = button.dataset.view;
    for (const other of element.querySelectorAll('.views button')) other.ariaPressed = other === button;
    if (tick) { thumbnails(); if (tick.points) repaint(); }
  });
}

for (const box of element.querySelectorAll('.trails, .arrows')) box.addEventListener('change', () => { if (tick) repaint(); });
new ResizeObserver(() => { if (tick) { if (tick.points) repaint(); thumbnails(); } }).observe(screens);

$('.show-numbers').addEventListener('click', () => {
  const on = $('.numbers').hidden;
  $('.numbers').hidden = !on; $('.show-numbers').ariaPressed = on; $('.show-numbers').textContent = on ? 'Hide numbers' : 'Show numbers';
});
$('.full').addEventListener('click', () => (document.fullscreenElement ? document.exitFullscreen() : root.requestFullscreen?.()));
root.addEventListener('fullscreenchange', () => { if (document.fullscreenElement === root) root.focus({ preventScroll: true }); });      // else Space would leave it again
$('.class').addEventListener('click', () => document.dispatchEvent(new CustomEvent('classroom')));
root.addEventListener('follow', ({ detail }) => {      // of a room: what its teacher shows; place is null where this page is right as it is
  if (detail.tick.run !== run || detail.tick.kept !== tick.kept || !ended) onValue(detail.tick);
  if (detail.place !== null) { pause(); seek(Math.min(detail.place, tick.kept)); }
  if (detail.playing === undefined || !ended) return;
  if (detail.playing && !timer && want < tick.kept) { $('.speed').value = detail.fps; play(); }
  else if (!detail.playing && timer) pause();
});
$('.help').addEventListener('click', () => $('.keys').showModal());
const presses = (name, where) => $(name).addEventListener('click', () => document.querySelector(`${where} button, button${where}`)?.click());
if (!whole) {                                          // clouds are not called pictures
  $('.step').textContent = 'nothing to play yet';
  root.ariaLabel = 'Player of the clouds';
  $('[data-half="x"] canvas').ariaLabel = 'The cloud'; $('[data-half="x0"] canvas').ariaLabel = 'What the cloud is compared with';
  for (const one of element.querySelectorAll('.keys .of-pictures')) one.remove();
  $('.keys .ends').textContent = 'the first, or the last cloud';
}
if (whole) { for (const one of element.querySelectorAll('.keys .of-clouds')) one.remove(); }
const opensEdit = () => {                              // the answer takes a moment; the painter takes the player's place
  let opens = null;
  const end = () => { clearTimeout(opens); opens = null; if (pressed === null && waits === OPENS) { waits = ''; cover(); } };
  const endSoon = (ms) => { if (opens !== null) { clearTimeout(opens); opens = setTimeout(end, ms); } };
  $('.edit').addEventListener('click', async () => {   // first the words, then what keeps the page busy
    pause(); waits = OPENS; cover(); clearTimeout(opens); opens = setTimeout(end, OPENS_MS);
    await nextFrame(); await nextFrame();
    document.querySelector('#use-picture button, button#use-picture')?.click();
  });
  document.addEventListener('edit-shown', end);
  for (const name of ['edit-on-stage', 'open-settings']) document.addEventListener(name, () => endSoon(2000));      // nothing to edit where it failed
};
let edited = null;                                     // {canvas, title, outlined}: the picture that is edited
const paintBefore = () => {                            // at the scale of what is drawn of it: in each place of the grid, or alone
  const canvas = screens.querySelector('.before canvas');
  if (!canvas || !edited) return;
  const many = zoom === null && tick && tick.count > 1 && !tick.places ? tick.count : 1, columns = many > 1 ? tick.columns : 1;
  const { width, height } = edited.canvas, scale = Math.min(1, 768 / (columns * width));
  const w = Math.round(width * scale), h = Math.round(height * scale), context = canvas.getContext('2d');
  canvas.width = columns * w; canvas.height = Math.ceil(many / columns) * h;
  for (let k = 0; k < many; k++) context.drawImage(edited.canvas, k % columns * w, Math.floor(k / columns) * h, w, h);
};
const before = (given) => {                            // the picture that is edited, beside what is drawn of it
  screens.querySelector('.before')?.remove();
  edited = given;
  if (!given) return;
  const figure = document.createElement('figure'), title = document.createElement('figcaption');
  figure.className = 'screen before'; title.innerHTML = '<b>before</b> <span></span>';
  title.lastChild.textContent = given.outlined ? 'the outlined part is drawn anew' : '';
  title.title = given.title;
  const canvas = document.createElement('canvas');
  canvas.role = 'img'; canvas.ariaLabel = `The picture before the edit: ${given.title}`;
  figure.append(title, canvas); screens.prepend(figure);
  paintBefore();
};
root.addEventListener('before', ({ detail }) => before(detail));
if (whole) { root.classList.add('whole'); presses('.branch', '#branch-here'); opensEdit(); }
presses('.compare', whole ? '#compare-with' : '#points-compare-with');
presses('.save', whole ? '#save-gif' : '#points-save-gif');

root.addEventListener('keydown', (event) => {
  if (!tick || event.ctrlKey || event.metaKey || event.altKey || event.target.matches('select') || $('.keys').open) return;
  const asked = playerKey(event.key, event.target);
  if (asked?.play) { if (timer) pause(); else play(); }
  else if (asked) { pause(); seek(asked.by ? want + asked.by : asked.to * tick.kept); }
  else if (event.key === 'f') toggleFilm();
  else if (event.key === '?') $('.help').click();
  else if (event.key === 'Escape' && zoom !== null) toggleZoom(null);
  else if (/^[1-9]$/.test(event.key) && event.key <= tick.count) toggleZoom(zoom === event.key - 1 ? null : event.key - 1);
  else return;
  event.preventDefault();
});

watch('value', () => onValue());
onValue();                                             // the value may be older than the mount
// a reload plays the run of its address: nothing else shows until the page says that there is none
const addressed = new URLSearchParams(location.search).has('recipe') && document.documentElement.dataset.arrived !== 'none';
if (whole && !tick && addressed) {
  waits = 'Loading the run of this address …'; $('.hint').hidden = true; cover();
  document.addEventListener('none-arrived', () => { if (waits && pressed === null && !tick) { waits = ''; open(); } }, { once: true });
} else if (whole && !tick) open();
else if (!tick) new IntersectionObserver((all, watcher) => { if (all.some((one) => one.isIntersecting)) { watcher.disconnect(); if (!tick && pressed === null) open(); } }).observe(root);
