// The page half of the view of a race or a grid. value = what compare/player_data.py's shown_value makes; an exported
// page has this script too (compare/html_page.py), with `show`, what is shown first, and `fps`.
// Until the first run a recorded race that comes with the program is shown.
const $ = (name) => element.querySelector(name);
const root = $('.together'), scrub = $('.scrub'), play = $('.play'), half = $('.half'), lay = $('.lay');
const COLOURS = ['var(--ds-faint)', '#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00'];   // Okabe & Ito 2008, as curve_plot.py
const LEFT = 4.6, RIGHT = 94.8;                        // of the curve's scale in its box, in per cent, as curve_plot.py
const FPS = 12.5;                                      // ticks a second
const FOLLOWED = 500;                                  // milliseconds between two questions how far runs are
let value = null, images = [], cells = [], timer = null;
let alone = null;                                      // the run that is shown alone, large
let zoom = null;                                       // the one picture of each run that is shown, counted along the rows
let kind = 'race', turned = false;                      // whether a race or a grid is shown, and whether the page has said so
const addressed = ['race', 'grid'].some((name) => new URLSearchParams(location.search).has(name));
let exampled = false;                                  // whether something was shown: the example plays where it comes first
let bare = addressed;                                   // whether the recorded example has given way to runs that were sent here
let places = [];                                         // of runs that are being made, for their states
let newest = { of: '', states: new Map() };              // the newest state of each run, and of which kind they are
let opening = 0;                                       // counts what is opened: only the last one is shown
const kept = {}, stale = {}, coming = {};              // the last race and the last grid, what marks them as earlier ones, the names of those that are being made
let line = 50;                                         // where a lane that is laid over lane 1 begins, in per cent

const stop = () => { clearInterval(timer); timer = null; play.textContent = '▶ Play'; };

const make = (name, text, within) => {
  const one = document.createElement(name);
  if (text) one.textContent = text;
  within?.append(one);
  return one;
};

// ---- the runs
const panel = (run, k, label, within, single = false) => {
  const canvas = make('canvas', '', within);
  canvas.setAttribute('role', 'img'); canvas.setAttribute('aria-label', label);
  if (run.half >= 160) canvas.className = 'smooth';
  if (run.tiles[0] * run.tiles[1] > 1) {
    canvas.classList.add('many');
    canvas.addEventListener('click', (event) => pick(run, canvas, event));
  } else if (single) {
    Object.assign(canvas, { className: `${canvas.className} many`, tabIndex: 0, title: label });
    canvas.setAttribute('role', 'button');
    canvas.addEventListener('click', () => only(k, label));
    canvas.addEventListener('keydown', (event) => { if (event.key === 'Enter' || event.key === ' ') { event.preventDefault(); only(k, label); } });
  }
  return canvas;
};

const only = (k, label) => {                           // one cell of a grid alone, or all again
  alone = alone === null ? { k, label } : null;
  root.classList.toggle('single', alone !== null);
  cells.forEach((one, place) => { one.canvas.parentElement.classList.toggle('lone', place === alone?.k); });
  show();
};

const zoomTo = (event) => {                              // the digits, and Escape for all, as in the player
  const [columns, rows] = value.runs[0].tiles, picked = Number(event.key) - 1;
  if (event.target.matches?.('input, select, textarea')) return;
  if (event.key === 'Escape' && zoom !== null) zoom = null;
  else if (/^[1-9]$/.test(event.key) && columns * rows > 1 && picked < columns * rows) zoom = zoom === picked ? null : picked;
  else return;
  event.preventDefault();
  show();
};

const pick = (run, canvas, event) => {                 // one picture of each run alone, or all again
  if (zoom === null) {
    const box = canvas.getBoundingClientRect(), [columns, rows] = run.tiles;
    const halves = half.value === 'both' ? 2 : 1;
    const across = ((event.clientX - box.left) / box.width * halves) % 1, down = (event.clientY - box.top) / box.height;
    zoom = Math.min(rows - 1, Math.floor(down * rows)) * columns + Math.min(columns - 1, Math.floor(across * columns));
  } else zoom = null;
  show();
};

const lanes = (v) => {
  const grid = make('div', '', $('.runs'));
  grid.className = 'lanes';
  grid.style.setProperty('--lanes', v.runs.length);
  return v.runs.map((run, k) => {
    const figure = make('figure', '', grid);
    figure.className = 'lane';
    figure.style.setProperty('--lane', COLOURS[k]);
    const caption = make('figcaption', '', figure);
    make('i', '', caption);
    caption.append(v.titles[k]);
    const stack = make('div', '', figure);
    stack.className = 'stack';
    const canvas = panel(run, k, `Lane ${k + 1}: ${v.titles[k]}`, stack), said = make('p', '', figure);
    said.className = 'said';
    return { canvas, said, stack };
  });
};

// The names of runs that are being made, with a place for each, which its newest state fills.
const expect = (v) => {
  const box = $('.coming');
  box.replaceChildren();
  box.hidden = false; $('.hint').hidden = $('.whole').hidden = $('.recorded').hidden = true;
  if (v.titles) {
    const grid = make('div', '', box);
    grid.className = 'lanes';
    v.titles.forEach((title, k) => {
      const figure = make('figure', '', grid);
      figure.className = 'lane'; figure.style.setProperty('--lane', COLOURS[k]);
      const caption = make('figcaption', '', figure);
      make('i', '', caption); caption.append(title);
      make('div', 'being made …', figure).className = 'place';
    });
  } else {
    sized(v, box);
    rowsOf(v, box, (line, label) => { Object.assign(make('div', '', make('td', '', line)), { className: 'place', title: `${label}: being made` }); });
  }
  places = [...box.querySelectorAll('.place')];
  fill();
};

const fill = () => {                                   // the places of the shown kind with the states that have come
  if (newest.of !== kind || $('.coming').hidden) return;
  newest.states.forEach((picture, k) => {
    if (!places[k]) return;
    let canvas = places[k].querySelector('canvas');
    if (!canvas) {
      places[k].replaceChildren();
      canvas = make('canvas', '', places[k]);
      canvas.setAttribute('role', 'img'); canvas.setAttribute('aria-label', places[k].title || 'Being made');
      places[k].classList.add('filled');
    }
    canvas.width = picture.width; canvas.height = picture.height;
    canvas.classList.toggle('smooth', picture.width >= 160);
    canvas.getContext('2d').drawImage(picture, 0, 0);
    $('.coming').style.setProperty('--aspect', picture.width / picture.height);
  });
};

const expectNothing = () => { $('.coming').hidden = true; $('.coming').replaceChildren(); places = []; };

const sized = (v, box) => { box.style.setProperty('--columns', v.x.values.length); box.style.setProperty('--rows', v.y?.values.length ?? 1); };

const table = (v) => {
  sized(v, $('.runs'));
  const found = [];
  rowsOf(v, $('.runs'), (line, label, k) => { found.push({ canvas: panel(v.runs[k], k, label, make('td', '', line), true) }); });
  return found;
};

const rowsOf = (v, within, put) => {                    // the table of a grid; `put` fills a cell
  const whole = make('table', '', within), head = make('tr', '', make('thead', '', whole)), body = make('tbody', '', whole);
  const corner = make('th', v.y ? `${v.y.name} by ${v.x.name}` : v.x.name, head);
  corner.className = 'axis'; corner.scope = 'col';
  for (const text of v.x.values) make('th', text, head).scope = 'col';
  (v.y?.values ?? ['']).forEach((name, row) => {
    const line = make('tr', '', body);
    const first = make(name ? 'th' : 'td', name, line);
    first.className = 'name';
    if (name) first.scope = 'row';
    v.x.values.forEach((text, column) => {
      const label = `${v.x.name} ${text}${v.y ? `, ${v.y.name} ${name}` : ''}`;
      put(line, label, row * v.x.values.length + column);
    });
  });
};

// ---- a lane laid over the first one, with a line to draw across
const laid = () => (lay.value === '' ? null : Number(lay.value));

const layable = (v) => {
  $('.laying').hidden = !v.titles || v.runs.length < 2;
  lay.replaceChildren(new Option('nothing', ''), ...(v.titles ?? []).slice(1).map((_, k) => new Option(`lane ${k + 2}`, k + 1)));
};

const wipe = () => {                                   // the slider over lane 1, or none
  cells[0].stack?.querySelectorAll('.wipe, .side').forEach((one) => { one.remove(); });
  root.classList.toggle('wiping', laid() !== null);
  if (laid() === null) return;
  for (const [side, number] of [['left', 1], ['right', laid() + 1]]) make('span', `lane ${number}`, cells[0].stack).className = `side ${side}`;
  const slider = make('input', '', cells[0].stack);
  Object.assign(slider, { type: 'range', className: 'wipe', min: 0, max: 100, step: 0.5, value: line });
  slider.setAttribute('aria-label', `Line between lane 1, left, and lane ${laid() + 1}, right`);
  slider.addEventListener('input', () => { if (scrolls) slider.value = line; else { line = Number(slider.value); show(); } });
  let began = null, scrolls = false;                   // a finger that moves up or down scrolls the page, the line stays
  const before = () => { line = began.line; slider.value = line; show(); };
  slider.addEventListener('touchstart', ({ touches: [{ clientX: x, clientY: y }] }) => { began = { x, y, line }; scrolls = false; }, { passive: true });
  slider.addEventListener('touchmove', ({ touches: [{ clientX: x, clientY: y }] }) => {
    if (began?.decided || Math.hypot(x - began.x, y - began.y) < 6) return;
    began.decided = true; scrolls = Math.abs(y - began.y) > Math.abs(x - began.x);
    if (scrolls) before();
  }, { passive: true });
  slider.addEventListener('touchend', () => { scrolls = false; });
  slider.addEventListener('touchcancel', () => { if (began && (scrolls || !began.decided)) before(); scrolls = false; });
};

// ---- the curve
const curve = (v) => {
  $('.curve').hidden = !v.paths;
  $('svg').replaceChildren(); $('.dots').replaceChildren();
  if (!v.paths) return;
  v.paths.forEach((path, k) => {
    const line = document.createElementNS('http://www.w3.org/2000/svg', 'path');
    line.setAttribute('d', path); line.style.setProperty('--lane', COLOURS[k]);
    $('svg').append(line);
    if (k) {                                            // a dot for each state: lines of no length, so that they stay round
      const states = document.createElementNS('http://www.w3.org/2000/svg', 'path');
      states.setAttribute('d', path.slice(1).split('L').map((point) => `M${point}h0`).join(''));
      states.classList.add('states'); states.style.setProperty('--lane', COLOURS[k]);
      $('svg').append(states);
    }
    make('i', '', $('.dots')).style.setProperty('--lane', COLOURS[k]);
  });
  $('.most').textContent = v.most.toPrecision(2);
  const step = [1, 2, 5, 10, 20, 50, 100, 1000].find((one) => (v.high - v.low) / one <= 8);
  $('.plot').querySelectorAll('.round').forEach((one) => { one.remove(); });
  for (let mark = Math.ceil(v.low / step) * step; mark <= v.high; mark += step) {
    const at = LEFT + (mark - v.low) / (v.high - v.low) * (RIGHT - LEFT);
    if (at > RIGHT - 3) break;                          // there stands "clean"
    Object.assign(make('span', String(mark), $('.plot')), { className: 'round' }).style.left = `${at}%`;
  }
};

// ---- a tick
const parts = (run, at) => {                           // where the shown parts of a state lie in the sheet: [left, top, width, height]
  const [width, height] = run.size, [columns, rows] = run.tiles;
  const left = (at % run.columns) * width, top = Math.floor(at / run.columns) * height;
  const halves = half.value === 'both' ? [0, width - run.half] : [half.value === 'x0' ? width - run.half : 0];
  if (zoom === null || zoom >= columns * rows) return halves.map((from) => [left + from, top, run.half, height]);
  const wide = run.half / columns, high = height / rows;
  return halves.map((from) => [left + from + (zoom % columns) * wide, top + Math.floor(zoom / columns) * high, wide, high]);
};

const draw = (canvas, k, at, from = 0) => {            // `from`: the part of the width at which it begins, in per cent
  const found = parts(value.runs[k], at), [, , wide, high] = found[0];
  const gap = found.length > 1 ? Math.max(1, Math.round(wide / 32)) : 0, width = found.length * wide + gap;
  if (!from && (canvas.width !== width || canvas.height !== high)) { canvas.width = width; canvas.height = high; }
  const context = canvas.getContext('2d');
  found.forEach(([left, top], place) => {
    const cut = Math.round(wide * from / 100);
    context.drawImage(images[k], left + cut, top, wide - cut, high, place * (wide + gap) + cut, 0, wide - cut, high);
  });
};

const show = () => {
  const tick = Number(scrub.value);
  value.runs.forEach((run, k) => {
    const at = run.at[tick];
    draw(cells[k].canvas, k, at);
    if (cells[k].said) {
      const ended = at === run.said.length - 1 && run.distance !== null;
      cells[k].said.textContent = run.said[at] + (ended ? `, ${run.distance.toFixed(3)} from the reference` : '');
    }
  });
  $('.runs').style.setProperty('--aspect', cells[0].canvas.width / cells[0].canvas.height);
  if (laid() !== null) draw(cells[0].canvas, laid(), value.runs[laid()].at[tick], Math.max(line, 0.01));
  value.markers?.[tick].forEach(([x, y], k) => { Object.assign($('.dots').children[k].style, { left: `${x}%`, top: `${y}%` }); });
  $('.tick').textContent = value.ticks[tick];
  $('.tip').textContent = alone !== null ? `${alone.label}: click for all` : value.runs[0].tiles[0] * value.runs[0].tiles[1] < 2 ? (value.titles ? '' : 'click a cell to see it alone') : zoom === null ? 'click a picture to see it alone' : `picture ${zoom + 1} alone: click for all`;
  scrub.setAttribute('aria-valuetext', value.ticks[tick]);
  root.dataset.tick = tick; root.dataset.zoom = zoom ?? '';
};

const start = () => {
  if (Number(scrub.value) === Number(scrub.max)) scrub.value = 0;
  play.textContent = '❚❚ Pause';
  timer = setInterval(() => {
    if (!element.isConnected) return stop();
    scrub.value = Number(scrub.value) + 1;
    show();
    if (Number(scrub.value) === Number(scrub.max)) stop();
  }, 1000 / (value.fps ?? FPS));
};

// ---- what is shown
const picture = (webp) => createImageBitmap(new Blob([Uint8Array.from(atob(webp), (c) => c.charCodeAt(0))], { type: 'image/webp' }));

const open = async (v) => {
  const mine = ++opening;
  if (!v.recorded) $('.recorded').hidden = true;       // at once: pictures take a moment on a slow machine
  const loaded = await Promise.all(v.runs.map((run) => picture(run.sheet)));
  if (mine !== opening) return;                        // another came meanwhile
  stop();
  value = v; images = loaded; zoom = alone = null;
  root.classList.remove('single', 'wiping');
  $('.runs').replaceChildren();
  layable(v);
  cells = v.titles ? lanes(v) : table(v);
  curve(v);
  scrub.max = v.ticks.length - 1; scrub.value = scrub.max;
  if (v.show) half.value = v.show;
  $('.note').textContent = v.note ?? '';
  $('.recorded').hidden = !v.recorded; $('.recorded').textContent = v.recorded ?? '';
  $('.hint').hidden = true; $('.whole').hidden = false; expectNothing();
  root.dataset.kind = kindOf(v);
  root.dataset.runs = v.runs.length;
  root.dataset.recorded = !!v.recorded;
  show();
  if (v.recorded && !exampled && !matchMedia('(prefers-reduced-motion: reduce)').matches) start();
  exampled = true;
};

const kindOf = (v) => (v.titles ? 'race' : 'grid');

const mark = () => {                                   // that what is shown is of the runs before
  const text = stale[kind] || (otherForm() ? OTHER_FORM : '');
  root.dataset.stale = !!text && !!kept[kind] && !(bare && kept[kind].recorded) && !arriving();
  $('.stale').hidden = root.dataset.stale === 'false'; $('.stale').textContent = kept[kind]?.recorded ? OTHER_EXAMPLE : text;
};

// ---- the form beside it: whether it says what the shown runs were made of
const OTHER_EXAMPLE = 'This is the recorded example. Run makes the runs of the form.';
const OTHER_FORM = 'These are the runs from before. Run makes those of the form.';      // OLD_FORM in compare_tab.py
const madeOf = {};                                     // the form of the shown race and grid
const formText = () => {                               // the lanes or the axes as they stand, none where they are not on the page
  const fields = [...document.querySelectorAll(kind === 'race' ? '#compare-lanes textarea' : '#compare-axes :is(select, input)')];
  return fields.length ? fields.map((one) => one.value).join('\n') : null;
};
const otherForm = () => { const now = formText(); return !!madeOf[kind] && now !== null && now !== madeOf[kind]; };
const formChanged = () => setTimeout(() => { if (root.isConnected && value) mark(); }, 60);      // once the text of the menus is written
for (const name of ['input', 'change', 'click']) document.querySelector('#compare-quick')?.addEventListener(name, formChanged);
document.addEventListener('comparison-form', formChanged);

const HINT = $('.hint').innerHTML;
const hintAgain = () => { $('.hint').innerHTML = HINT; offer(); };
if (addressed) $('.hint').textContent = 'The runs of this address are being made …';
document.addEventListener('no-runs-arrived', () => { hintAgain(); });

const arriving = () => coming[kind] && newest.of === kind && newest.states.size > 0;
const turn = () => {                                   // to what there is of the kind, or to the hint
  if (kept[kind] && !(bare && kept[kind].recorded) && !arriving()) { open(kept[kind]); return; }
  opening += 1;
  stop(); value = null;
  $('.hint').hidden = false; $('.whole').hidden = $('.recorded').hidden = true; expectNothing();
  root.dataset.kind = 'none';
  offer();
  if (coming[kind]) expect(coming[kind]);
};

const FIRST_TRY = '#compare-tries .chips button';        // the example is the first suggestion of the form

const offer = () => {
  const name = document.querySelector(FIRST_TRY)?.textContent;
  if (!$('.try')) return;                              // the hint says something else
  $('.try').hidden = !name;
  if ($('.try').textContent !== (name ?? '')) $('.try').textContent = name ?? '';
};
// the suggestions of the other kind come after the turn
if (document.querySelector('#compare-quick')) new MutationObserver(offer).observe(document.querySelector('#compare-quick'), { childList: true, subtree: true });

// ---- runs that are being made
let followed = '';                                     // the key of the run whose progress is shown, or none

const follow = async (key, of) => {                    // asked again only after an answer, so a slow page asks less
  followed = key;
  newest = { of, states: new Map() };
  let after = 0;
  while (followed === key && element.isConnected) {
    const told = await server.made({ key, after }).catch(() => undefined);
    const came = told?.states ? await Promise.all(told.states.map(async ([run, webp]) => [run, await picture(webp)])) : [];
    if (followed !== key) return;
    if (told === null) break;                          // ended
    if (told) {
      $('.making').hidden = false;
      $('.making progress').hidden = told.share === null; $('.making progress').value = told.share ?? 0;
      $('.making span').textContent = told.text;
      after = told.upto;
      for (const [run, state] of came) newest.states.set(run, state);
      if (came.length) comes(of);
    }
    await new Promise((go) => setTimeout(go, FOLLOWED));
  }
  if (followed === key) unfollow();
};

const comes = (of) => {                                // the states take the place of the runs before
  if (of !== kind || !coming[of]) return;
  if ($('.coming').hidden) { turn(); mark(); } else fill();
};

const unfollow = () => { followed = ''; newest = { of: '', states: new Map() }; $('.making').hidden = true; };

// value = {turn: kind, stale?}, {stale, kind, follow: key} or a race or grid, `moved` if it is the same on another clock
const onValue = () => {
  const v = props.value;
  if (!v) return;
  if (v.stale && !v.turn && !v.follow && !v.begins) hintAgain();      // of runs that failed
  if (v.follow && v.follow !== followed) { madeOf.next = formText(); follow(v.follow, v.kind); }
  if (v.turn) { kind = v.turn; turned = true; bare = bare || !!v.bare; }
  if (v.runs) {
    const own = kindOf(v);
    if (!turned) kind = own;
    if (kept[own] === v) return;
    if (!v.moved) { stale[own] = ''; coming[own] = null; madeOf[own] = madeOf.next ?? null; unfollow(); }
    kept[own] = v;
    if (own === kind && !arriving()) open(v);
  } else {
    if (v.stale) stale[v.turn ?? v.kind] = v.stale;
    const of = v.turn ?? v.kind, failed = v.stale && !v.turn && !v.follow && !v.begins;
    if (v.coming || failed) coming[of] = v.coming;
    if (v.coming) bare = true;
    if (failed) newest = { of: '', states: new Map() };
    if (v.turn || ((v.coming || failed) && of === kind && (!kept[kind] || kept[kind].recorded && bare || !$('.coming').hidden))) turn();
  }
  mark();
};

root.addEventListener('click', ({ target }) => { if (target.closest('.try')) document.querySelector(FIRST_TRY)?.click(); });      // the hint is written anew
const toggle = () => (timer ? stop() : start());
const press = (event) => {                             // what a key asks for
  if (!value || event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
  const asked = playerKey(event.key, event.target);
  const scrolls = event.target.matches?.('.runs') && event.target.scrollWidth > event.target.clientWidth;      // its own arrows, Home and End
  if (!asked) { zoomTo(event); return; }
  if (scrolls && !asked.play) return;
  event.preventDefault();
  if (asked.play) { toggle(); return; }
  stop();
  scrub.value = asked.by ? Number(scrub.value) + asked.by : asked.to * scrub.max;
  show();
};
// a page of its own hears them wherever the focus is; in the app page.js hands on those that nothing else reads
(element.matches('main') ? document : root).addEventListener('keydown', press);
play.addEventListener('click', toggle);
scrub.addEventListener('input', () => { stop(); show(); });
half.addEventListener('change', show);
lay.addEventListener('change', () => { wipe(); show(); });
watch('value', onValue);
onValue();
new IntersectionObserver(async (seen, watcher) => {    // the example, when it is first seen
  if (!seen.some((one) => one.isIntersecting)) return;
  watcher.disconnect();
  if (kept.race) return;
  const example = await server.example({}).catch(() => null);
  if (!example || kept.race || bare) return;
  kept.race = example; madeOf.race = kind === 'race' ? formText() : null;
  if (kind === 'race') turn();
}, { rootMargin: '3000px' }).observe(root);                  // also below the fold of a phone
