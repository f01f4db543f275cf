// The page half of the view of a race or a grid. value = what view.py's shown_value makes.
// Until the first run a recorded race that comes with the program is shown.
const $ = (name) => element.querySelector(name);
const root = $('.together'), scrub = $('.scrub'), play = $('.play'), half = $('.half'), lay = $('.lay');
const COLOURS = ['var(--ds-faint)', '#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00'];   // Okabe & Ito 2008, as curve_plot.py
const FRAME = 80;                                      // milliseconds a tick
let value = null, images = [], cells = [], timer = null;
let zoom = null;                                       // the one picture of each run that is shown, counted along the rows
let line = 50;                                         // where a lane that is laid over lane 1 begins, in per cent

const stop = () => { clearInterval(timer); timer = null; play.textContent = '▶ Play'; };

const make = (name, text, within) => {
  const one = document.createElement(name);
  if (text) one.textContent = text;
  within?.append(one);
  return one;
};

// ---- the runs
const panel = (run, label, within) => {
  const canvas = make('canvas', '', within);
  canvas.setAttribute('role', 'img'); canvas.setAttribute('aria-label', label);
  if (run.half >= 160) canvas.className = 'smooth';
  if (run.tiles[0] * run.tiles[1] > 1) {
    canvas.classList.add('many');
    canvas.addEventListener('click', (event) => pick(run, canvas, event));
  }
  return canvas;
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
    const canvas = panel(run, `Lane ${k + 1}: ${v.titles[k]}`, stack), said = make('p', '', figure);
    said.className = 'said';
    return { canvas, said, stack };
  });
};

const table = (v) => {
  const whole = make('table', '', $('.runs')), head = make('tr', '', make('thead', '', whole)), body = make('tbody', '', whole);
  const corner = make('th', v.y ? `${v.y.name} by ${v.x.name}` : v.x.name, head);
  corner.className = 'axis'; corner.scope = 'col';
  for (const text of v.x.values) make('th', text, head).scope = 'col';
  const found = [];
  (v.y?.values ?? ['']).forEach((name, row) => {
    const line = make('tr', '', body);
    const first = make(name ? 'th' : 'td', name, line);
    if (name) first.scope = 'row';
    v.x.values.forEach((text, column) => {
      const label = `${v.x.name} ${text}${v.y ? `, ${v.y.name} ${name}` : ''}`;
      found.push({ canvas: panel(v.runs[row * v.x.values.length + column], label, make('td', '', line)) });
    });
  });
  return found;
};

// ---- a lane laid over the first one, with a line to draw across
const laid = () => (lay.value === '' ? null : Number(lay.value));

const layable = (v) => {
  $('.laying').hidden = !v.titles || v.runs.length < 2;
  lay.replaceChildren(new Option('nothing', ''), ...(v.titles ?? []).slice(1).map((_, k) => new Option(`lane ${k + 2}`, k + 1)));
};

const wipe = () => {                                   // the slider over lane 1, or none
  cells[0].stack?.querySelector('.wipe')?.remove();
  if (laid() === null) return;
  const slider = make('input', '', cells[0].stack);
  Object.assign(slider, { type: 'range', className: 'wipe', min: 0, max: 100, step: 0.5, value: line });
  slider.setAttribute('aria-label', `Line between lane 1, left, and lane ${laid() + 1}, right`);
  slider.addEventListener('input', () => { line = Number(slider.value); show(); });
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
    make('i', '', $('.dots')).style.setProperty('--lane', COLOURS[k]);
  });
  $('.most').textContent = v.most.toPrecision(2);
  $('.low').textContent = v.low.toFixed(1);
  $('.high').textContent = v.high.toFixed(1);
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
  if (laid() !== null) draw(cells[0].canvas, laid(), value.runs[laid()].at[tick], Math.max(line, 0.01));
  value.markers?.[tick].forEach(([x, y], k) => { Object.assign($('.dots').children[k].style, { left: `${x}%`, top: `${y}%` }); });
  $('.tick').textContent = value.ticks[tick];
  $('.tip').textContent = value.runs[0].tiles[0] * value.runs[0].tiles[1] < 2 ? '' : zoom === null ? 'click a picture to see it alone' : `picture ${zoom + 1} alone: click for all`;
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
  }, FRAME);
};

// ---- what is shown
const open = async (v) => {
  const loaded = await Promise.all(v.runs.map(async (run) => {
    const bytes = Uint8Array.from(atob(run.sheet), (c) => c.charCodeAt(0));
    return createImageBitmap(new Blob([bytes], { type: 'image/webp' }));
  }));
  if (v.recorded ? props.value : v !== props.value) return;      // another came meanwhile
  stop();
  value = v; images = loaded; zoom = null;
  $('.runs').replaceChildren();
  layable(v);
  cells = v.titles ? lanes(v) : table(v);
  curve(v);
  scrub.max = v.ticks.length - 1; scrub.value = scrub.max;
  const some = v.of > v.ticks.length ? `${v.ticks.length} of ${v.of} ticks are shown here; a file has all. ` : '';
  $('.note').textContent = some + (v.calls ? `${v.calls} network calls for ${v.runs.length} cells.` : '');
  $('.recorded').hidden = !v.recorded; $('.recorded').textContent = v.recorded ?? '';
  $('.hint').hidden = true; $('.whole').hidden = false;
  root.dataset.kind = v.titles ? 'race' : 'grid';
  root.dataset.runs = v.runs.length;
  root.dataset.recorded = !!v.recorded;
  show();
};

const onValue = () => {
  const v = props.value;
  if (v && !v.runs) {                                  // what was shown is of no use now
    stop(); value = null;
    $('.hint').hidden = false; $('.whole').hidden = $('.recorded').hidden = true;
    root.dataset.kind = 'none';
  } else if (v && v !== value) open(v);
};

play.addEventListener('click', () => (timer ? stop() : start()));
scrub.addEventListener('input', () => { stop(); show(); });
half.addEventListener('change', show);
lay.addEventListener('change', () => { wipe(); show(); });
watch('value', onValue);
onValue();
new IntersectionObserver(async (seen, watcher) => {    // the example, when it is first seen
  if (!seen.some((one) => one.isIntersecting)) return;
  watcher.disconnect();
  if (props.value) return;
  const example = await server.example({}).catch(() => null);
  if (example && !props.value) open(example);
}, { rootMargin: '3000px' }).observe(root);                  // also below the fold of a phone
