// The page half of the view of a race or a grid. value = what view.py's shown_value makes.
const $ = (name) => element.querySelector(name);
const root = $('.together'), scrub = $('.scrub'), play = $('.play'), half = $('select');
const COLOURS = ['var(--ds-faint)', '#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00'];   // Okabe & Ito 2008, as curve_plot.py
const FRAME = 80;                                      // milliseconds a tick
let value = null, images = [], cells = [], timer = null;

const stop = () => { clearInterval(timer); timer = null; play.textContent = '▶ Play'; };

const make = (name, text, within) => {
  const one = document.createElement(name);
  if (text) one.textContent = text;
  within?.append(one);
  return one;
};

const panel = (run, label, within) => {
  const canvas = make('canvas', '', within);
  canvas.width = run.half; canvas.height = run.size[1];
  canvas.setAttribute('role', 'img'); canvas.setAttribute('aria-label', label);
  if (run.half >= 160) canvas.className = 'smooth';
  return canvas;
};

const lanes = (v) => {
  const grid = make('div', '', $('.runs'));
  grid.className = 'lanes';
  return v.runs.map((run, k) => {
    const figure = make('figure', '', grid);
    figure.className = 'lane';
    figure.style.setProperty('--lane', COLOURS[k]);
    const caption = make('figcaption', '', figure);
    make('i', '', caption);
    caption.append(v.titles[k]);
    const canvas = panel(run, `Lane ${k + 1}: ${v.titles[k]}`, figure), said = make('p', '', figure);
    said.className = 'said';
    return { canvas, said };
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

const show = () => {
  const tick = Number(scrub.value);
  value.runs.forEach((run, k) => {
    const at = run.at[tick], [width, height] = run.size;
    const left = (at % run.columns) * width + (half.value === 'x0' ? width - run.half : 0), top = Math.floor(at / run.columns) * height;
    cells[k].canvas.getContext('2d').drawImage(images[k], left, top, run.half, height, 0, 0, run.half, height);
    if (cells[k].said) {
      const ended = at === run.said.length - 1 && run.distance !== null;
      cells[k].said.textContent = run.said[at] + (ended ? `, ${run.distance.toFixed(3)} from the reference` : '');
    }
  });
  value.markers?.[tick].forEach(([x, y], k) => { Object.assign($('.dots').children[k].style, { left: `${x}%`, top: `${y}%` }); });
  $('.tick').textContent = value.ticks[tick];
  scrub.setAttribute('aria-valuetext', value.ticks[tick]);
  root.dataset.tick = tick;
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

const onValue = async () => {
  const v = props.value;
  if (v && !v.runs) {                                  // what was shown is of no use now
    stop(); value = null;
    $('.hint').hidden = false; $('.whole').hidden = true;
    root.dataset.kind = 'none';
  }
  if (!v?.runs || v === value) return;
  stop();
  const loaded = await Promise.all(v.runs.map(async (run) => {
    const bytes = Uint8Array.from(atob(run.sheet), (c) => c.charCodeAt(0));
    return createImageBitmap(new Blob([bytes], { type: 'image/webp' }));
  }));
  if (v !== props.value) return;                       // another came meanwhile
  value = v; images = loaded;
  $('.runs').replaceChildren();
  cells = v.titles ? lanes(v) : table(v);
  curve(v);
  scrub.max = v.ticks.length - 1; scrub.value = scrub.max;
  const some = v.of > v.ticks.length ? `${v.ticks.length} of ${v.of} ticks are shown here; a file has all. ` : '';
  $('.note').textContent = some + (v.calls ? `${v.calls} network calls for ${v.runs.length} cells.` : '');
  $('.hint').hidden = true; $('.whole').hidden = false;
  root.dataset.kind = v.titles ? 'race' : 'grid';
  root.dataset.runs = v.runs.length;
  show();
};

play.addEventListener('click', () => (timer ? stop() : start()));
scrub.addEventListener('input', () => { stop(); show(); });
half.addEventListener('change', show);
watch('value', onValue);
onValue();
