// The player's page half. value = {run, kept, last, index, total, done, calls, stopped, count, columns, tile, film}: a tick, never pixels.
// Before this file come logic.mjs, which computes what needs no page, points.js, which draws clouds of points (tile is null,
// points says how many a cloud has), compare.js, which keeps a run below the next one, film.js, which turns over the pictures
// of a run, and noise.js.
// A place is a frame's number among the kept ones: up to `kept` now, up to `last` when the run is finished.
// Frames are pulled (newest first, then the gaps), kept as encoded blobs, and painted by one loop where the latest wins.
const $ = (name) => element.querySelector(name);
const root = $('.player'), screens = $('.screens'), kept = $('.kept'), scrub = $('.scrub'), strip = $('.strip');
const PULL_MS = 250, stripCells = () => (root.clientWidth < 500 ? 6 : 10);

let run = null, tick = null, frames = [], meta = [];   // frames[place] is a Blob, meta[place] = {index, t, logSnr, calls, part}
let want = 0, shown = -1, follow = true, zoom = null, timer = null;
let pulling = false, painting = false, batch = 2, ended = false, stripCall = 0;
const clouds = makeClouds(() => frames, () => tick);
const compare = makeCompare($, (canvas, bitmap, half, number, of) => draw(canvas, bitmap, tileBox(of, half, number)));
const film = makeFilm($('.film'), () => ({ count: tick.count, at: zoom }), () => 1000 / Number($('.speed').value),
  (number) => { setZoom(number); repaint(); });
const unhurried = () => { if ($('.speed').value === '20') $('.speed').value = '10'; };       // a film has fewer pictures than a run states
const shows = () => ({ trails: $('.trails').checked, arrows: $('.arrows').checked });

// ---- ticks -------------------------------------------------------------------------------------------------------
const onValue = () => {
  const v = props.value;
  if (!v || !v.run) return;
  if (v.run !== run) begin(v);
  tick = v;
  if (v.done && v.film && !ended && follow && zoom === null && !compare.on()) { unhurried(); film.start(); }
  if (v.done || v.stopped) ended = true;
  $('.compare').disabled = !ended && !compare.on();
  if (compare.on()) compare.explain(tick);
  scrub.max = Math.max(ended ? v.kept : v.last, 1);
  if (follow) want = v.kept;
  readout();
  pull();
};

const LEFT = $('.left').innerHTML, RIGHT = $('.right').innerHTML;

const begin = (v) => {
  run = v.run; frames = []; meta = []; want = 0; shown = -1; follow = true; ended = false; batch = 2;
  if (zoom !== null && (zoom >= v.count || film.on())) setZoom(null, v);
  pause(); film.stop();
  root.dataset.run = run;
  $('.hint').hidden = true; $('.film').hidden = v.count === 1;
  root.classList.toggle('clouds', !!v.points);
  $('.right').innerHTML = v.right ?? RIGHT; $('.left').innerHTML = v.left ?? LEFT;
  for (const control of root.querySelectorAll('.scrub, .play, .back, .next')) control.disabled = false;
  for (const canvas of strip.querySelectorAll('canvas')) {    // nothing of the run before
    canvas.dataset.place = ''; canvas.width = canvas.width; canvas.parentNode.lastChild.textContent = '';
  }
};

// ---- frames ------------------------------------------------------------------------------------------------------
const missing = (count) =>                             // what is looked at, then the newest, then the oldest gaps
  missingPlaces(frames, tick.kept, [...(tick.points ? [0] : []), want, tick.kept], count);      // points: colours come from the first

const pull = async () => {                             // never two requests in flight
  if (pulling || !tick) return;
  pulling = true;
  const mine = run;
  try {
    for (let places; mine === run && (places = missing(batch)).length;) {
      const began = performance.now();
      const got = await server.frames([mine, places]);
      if (mine !== run) break;
      if (!Array.isArray(got) || !got.length) { gone(); break; }
      for (const [place, packed, index, t, logSnr, calls, part] of got) {
        const bytes = Uint8Array.from(atob(packed), (c) => c.charCodeAt(0));
        frames[place] = tick.points ? new Int16Array(bytes.buffer) : new Blob([bytes], { type: 'image/webp' });
        meta[place] = { index, t, logSnr, calls, part };
      }
      batch = nextBatch(got.length, performance.now() - began, PULL_MS, ended);
      root.dataset.loaded = frames.filter(Boolean).length;
      paint(); thumbnails();
    }
  } catch (error) {
    console.warn('frames did not come', error);        // the next tick, or the next move, asks again
  } finally {
    pulling = false;
    if (mine !== run) pull();                          // else a new run would wait for its next tick
  }
};

const gone = () => { if (ended) { $('.state').textContent = 'some frames are no longer on the server'; } };

// ---- painting ----------------------------------------------------------------------------------------------------
const nextFrame = () => new Promise((resolve) => {     // no animation frames in a hidden page: a timer stands in
  const late = setTimeout(resolve, 100);
  requestAnimationFrame(() => { clearTimeout(late); resolve(); });
});

const draw = (canvas, bitmap, [left, top, width, height]) => {
  if (canvas.width !== width || canvas.height !== height) { canvas.width = width; canvas.height = height; }
  canvas.getContext('2d').drawImage(bitmap, left, top, width, height, 0, 0, width, height);
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
        shown = place;
        readout();
        await compare.draw(place, meta, tick, zoom, shows(), () => mine === run);
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

const thumbnails = async () => {                       // the strip: evenly spaced places, the enlarged picture or the first
  const whole = ended ? tick.kept : tick.last, cells = Math.min(stripCells(), whole + 1);
  while (strip.children.length < cells) {
    const button = document.createElement('button');
    button.type = 'button';
    button.append(document.createElement('canvas'), document.createElement('span'));
    button.addEventListener('click', () => { const at = button.firstChild.dataset.place; if (at) seek(Number(at)); });
    strip.append(button);
  }
  while (strip.children.length > cells) strip.lastChild.remove();
  const mine = run, call = ++stripCall, view = screens.dataset.view;
  for (let k = 0; k < cells && call === stripCall; k++) {        // a later call may have taken cells away while this one decoded
    const place = stripPlace(k, cells, whole), button = strip.children[k], canvas = button.firstChild;
    const looks = `${place}`, style = `${view} ${zoom} ${mine}`;
    if (!frames[place] || (canvas.dataset.place === looks && canvas.dataset.style === style)) continue;
    canvas.dataset.place = looks; canvas.dataset.style = style;
    const halves = view === 'both' ? ['x', 'x0'] : [view];
    const bitmap = await opened(place);
    if (mine !== run || canvas.dataset.place !== looks || canvas.dataset.style !== style) return bitmap.close();
    if (tick.points) thumbnail(canvas, place, halves);
    else {
      const [h, w] = tick.tile;
      canvas.width = w; canvas.height = h * halves.length;
      halves.forEach((half, row) => {
        const [left, top] = tileBox(tick, half, zoom ?? 0);
        canvas.getContext('2d').drawImage(bitmap, left, top, w, h, 0, row * h, w, h);
      });
    }
    bitmap.close();
    button.lastChild.textContent = meta[place].index;
    button.title = `step ${meta[place].index}`;
    if (tick.points) readout();
  }
};

const readout = () => {
  const place = shown >= 0 ? shown : want, at = meta[place];
  scrub.value = want;
  root.dataset.shown = shown; root.dataset.ended = ended;
  $('.step').textContent = `step ${at ? at.index : tick.index} of ${tick.total}`;
  $('.calls').textContent = callsText((at ?? tick).calls);
  if (at) $('.level').textContent = levelText(at, !!tick.points);
  $('.part').textContent = at?.part ?? '';
  $('.state').textContent = !ended ? `${tick.doing ?? 'denoising'} …` : tick.done ? 'finished' : 'stopped';
  for (const button of strip.children) {
    const next = button.nextSibling, from = Number(button.firstChild.dataset.place || -1);
    button.classList.toggle('on', from >= 0 && place >= from && (!next || place < Number(next.firstChild.dataset.place || Infinity)));
  }
};

// ---- moving through the run --------------------------------------------------------------------------------------
const seek = (place) => {
  if (!tick) return;
  want = Math.max(0, Math.min(tick.kept, place));
  follow = !ended && want === tick.kept;
  readout(); paint(); pull();
};

const pause = () => { clearInterval(timer); timer = null; $('.play').textContent = '▶ Play'; };
const play = () => {
  if (!tick) return;
  clearInterval(timer); film.stop();
  if (want >= tick.kept) seek(0);
  timer = setInterval(() => {
    if (!root.isConnected) return pause();             // the component was removed
    if (want < tick.kept) seek(want + 1);
    else if ($('.loop').checked) seek(0);
    else if (ended) pause();
  }, 1000 / Number($('.speed').value));
  $('.play').textContent = '❚❚ Pause';
};

const setZoom = (number, of = tick) => {
  zoom = number; screens.classList.toggle('zoomed', zoom !== null); root.dataset.zoom = zoom ?? '';
  $('.tip').textContent = zoom === null ? 'click a picture to enlarge it' : `picture ${zoom + 1} of ${of.count}: click for all`;
};

const toggleZoom = (number) => {
  if (!tick || tick.count === 1) return;
  film.stop(); setZoom(number);
  repaint(); thumbnails();
};

const toggleFilm = () => {
  if (!tick || tick.count === 1) return;
  if (film.on()) { film.stop(); thumbnails(); } else { pause(); film.start(); }
};

$('.play').addEventListener('click', () => (timer ? pause() : play()));
$('.film').addEventListener('click', toggleFilm);
$('.back').addEventListener('click', () => { pause(); seek(want - 1); });
$('.next').addEventListener('click', () => { pause(); seek(want + 1); });
$('.speed').addEventListener('change', () => { if (timer) play(); });
scrub.addEventListener('input', () => { pause(); seek(Number(scrub.value)); });

for (const canvas of screens.querySelectorAll('canvas')) {
  canvas.addEventListener('click', (event) => {
    if (!tick) return;
    if (zoom !== null) return toggleZoom(null);
    const box = canvas.getBoundingClientRect();
    const number = tileAt(tick, (event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height);
    if (number !== null) toggleZoom(number);
  });
}

for (const button of element.querySelectorAll('.views button')) {
  button.addEventListener('click', () => {
    screens.dataset.view = kept.dataset.view = button.dataset.view;
    for (const other of element.querySelectorAll('.views button')) other.classList.toggle('on', other === button);
    if (tick) { thumbnails(); if (tick.points) repaint(); }
  });
}

$('.compare').addEventListener('click', () => {        // keep what is shown, or put away what is kept
  server.keep([compare.on() ? compare.run() : run, !compare.on()]).catch(() => {});      // comparing here needs no server
  compare.keep(compare.on() ? null : { frames, meta, tick });
  $('.compare').ariaPressed = compare.on(); $('.compare').disabled = !ended && !compare.on();
  if (compare.on()) { compare.explain(tick); repaint(); }
});

for (const box of element.querySelectorAll('.trails, .arrows')) box.addEventListener('change', () => { if (tick) repaint(); });
new ResizeObserver(() => { if (tick && tick.points) repaint(); }).observe(screens);

root.addEventListener('keydown', (event) => {
  const inRange = event.target === scrub, inField = event.target.matches('select');
  const keys = { ArrowLeft: -1, ArrowRight: 1 };
  if (inField || !tick) return;
  if (event.key in keys && !inRange) { pause(); seek(want + keys[event.key]); }
  else if (event.key === 'Home' && !inRange) { pause(); seek(0); }
  else if (event.key === 'End' && !inRange) { pause(); seek(tick.kept); }
  else if (event.key === ' ' && !event.target.matches('button, input')) { if (timer) pause(); else play(); }
  else if (event.key === 'f' && !event.ctrlKey && !event.metaKey) toggleFilm();
  else if (event.key === 'Escape') toggleZoom(null);
  else if (/^[1-9]$/.test(event.key) && event.key <= tick.count) toggleZoom(zoom === event.key - 1 ? null : event.key - 1);
  else return;
  event.preventDefault();
});

for (const canvas of screens.querySelectorAll('canvas')) stillNoise(canvas);
watch('value', onValue);
onValue();                                             // the value may be older than the mount
