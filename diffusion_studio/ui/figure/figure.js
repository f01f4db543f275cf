// A figure that plays: makes the elements of `data` (inside/figure.py) in `host`. Returns what the page may do with it.
// With `loops` it plays on: "round" or forth and "back". Without `timeline` something else moves it by `show`; `chosen` is told the state at which a marker is dragged; `say` are its own words; `tall` curves stand beside many pictures.
// `controls` {fps, loops} give it a choice of speed and a box to loop, as the player has them; rows that are `told` say a sentence and symbols of each state.
const FIGURE_WORDS = { lines: {}, play: 'Play', pause: 'Pause', line: 'line: {name} curve', slider: 'State', log: 'logarithmic scale', decimal: '.' };
const drawFigure = (host, data, { fps = 12, plays = false, loops = '', timeline = true, chosen = null, say: given = {}, tall = false, controls = null } = {}) => {
  const say = { ...FIGURE_WORDS, ...given }, local = (text) => (say.decimal === '.' ? text : text.replace('.', say.decimal));
  const NS = 'http://www.w3.org/2000/svg';
  const make = (tag, attributes = {}, ...inner) => {
    const one = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) one.setAttribute(name, value);
    one.append(...inner);
    return one;
  };
  const svg = (tag, attributes = {}, text = '') => {
    const one = document.createElementNS(NS, tag);
    for (const [name, value] of Object.entries(attributes)) one.setAttribute(name, value);
    if (text) one.textContent = text;
    return one;
  };
  const last = data.states - 1, updates = [];
  let state = -1, timer = null, way = 1;

  const title = (text) => {                              // x_t with its index below the line
    const parts = text.split('x_t'), one = make('figcaption', {}, parts[0]);
    for (const part of parts.slice(1)) one.append('x', make('sub', {}, 't'), part);
    return one;
  };

  // ---- what is drawn
  const film = (cell) => {
    const canvas = make('canvas', { width: cell.width, height: cell.height, role: 'img', 'aria-label': cell.title, class: cell.paper ? 'paper' : '' });
    const caption = make('span', { class: 'caption' });
    const sheet = new Image();
    const paint = (k) => {
      caption.textContent = cell.captions[k] ?? '';
      if (!sheet.complete || !sheet.naturalWidth) return;
      const [left, top] = corner(k, cell.columns, cell.width, cell.height);
      canvas.getContext('2d').drawImage(sheet, left, top, cell.width, cell.height, 0, 0, cell.width, cell.height);
    };
    sheet.onload = () => { paint(Math.max(state, 0)); canvas.dataset.ready = 'true'; };
    sheet.src = cell.sheet;
    updates.push(paint);
    return make('figure', { class: cell.width > 1.6 * cell.height ? 'cell film wide' : 'cell film' }, title(cell.title), canvas, caption);
  };

  // Places of a picture: the chosen one, its neighbours, and how much of its attention each place has.
  const places = (cell) => {
    const [h, w] = cell.size, zoom = Math.max(1, Math.ceil(320 / cell.width)), [wide, high] = [cell.width * zoom, cell.height * zoom];
    const canvas = make('canvas', { width: wide, height: high, role: 'application', tabindex: 0, 'aria-label': cell.title, class: 'places' });
    const caption = make('span', { class: 'caption', 'aria-live': 'polite' });
    const [sheet, weights, reader] = [new Image(), new Image(), make('canvas', { width: h * w, height: h * w })];
    let [row, column] = cell.place;
    const looks = (k) => {                               // the weights of the chosen place, from 0 to 255
      const [left, top] = corner(k, cell.weights.columns, h * w, h * w), to = reader.getContext('2d', { willReadFrequently: true });
      to.drawImage(weights, left, top, h * w, h * w, 0, 0, h * w, h * w);
      return [...to.getImageData(0, row * w + column, h * w, 1).data].filter((_, n) => n % 4 === 0);
    };
    const paint = (k) => {
      if (![sheet, weights].every((one) => one.complete && one.naturalWidth)) return;
      const to = canvas.getContext('2d'), found = looks(k), [left, top] = corner(k, cell.columns, cell.width, cell.height), [tall, broad] = [high / h, wide / w];
      to.imageSmoothingEnabled = false;
      to.drawImage(sheet, left, top, cell.width, cell.height, 0, 0, wide, high);
      found.forEach((value, n) => {
        to.fillStyle = `rgba(255, 138, 20, ${(0.85 * value / 255).toFixed(3)})`;
        to.fillRect(n % w * broad, Math.floor(n / w) * tall, broad, tall);
      });
      const frame = (r, c, size, dashes) => {
        for (const [colour, line] of [['#000', 4], ['#fff', 2]]) {
          to.strokeStyle = colour; to.lineWidth = line; to.setLineDash(line === 2 ? dashes : []);
          to.strokeRect(c * broad, r * tall, size * broad, size * tall);
        }
      };
      frame(row - 1, column - 1, 3, [6, 6]);
      frame(row, column, 1, []);
      caption.textContent = cell.caption.replace('#', Math.round(100 * shareBeyond(found, w, row, column)));
      canvas.dataset.place = `${row},${column}`; canvas.dataset.ready = 'true';
    };
    const choose = (r, c) => { row = Math.max(0, Math.min(h - 1, r)); column = Math.max(0, Math.min(w - 1, c)); cell.place = [row, column]; paint(Math.max(state, 0)); };
    canvas.addEventListener('click', (event) => {
      const box = canvas.getBoundingClientRect();
      choose(Math.floor((event.clientY - box.top) / box.height * h), Math.floor((event.clientX - box.left) / box.width * w));
    });
    canvas.addEventListener('keydown', (event) => {
      const by = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
      if (!by) return;
      event.preventDefault(); event.stopPropagation();   // these are not the slider's here
      choose(row + by[0], column + by[1]);
    });
    sheet.onload = weights.onload = () => paint(Math.max(state, 0));
    sheet.src = cell.sheet; weights.src = cell.weights.sheet;
    updates.push(paint);
    return make('figure', { class: 'cell place-cell' }, title(cell.title), canvas, caption);
  };

  const histogram = (cell) => {
    const [w, h] = [200, 200];
    const fx = scale(cell.xs[0], cell.xs.at(-1), 6, w - 6);
    const image = svg('svg', { viewBox: `0 0 ${w} ${h}`, role: 'img', 'aria-label': `${cell.title}, against the ${cell.curve_name} curve` });
    const bars = svg('path', { class: 'bars' }), against = svg('path', { class: 'against' });
    image.append(bars, against, svg('path', { class: 'axis', d: `M6 ${h - 22}H${w - 6}` }));
    for (const value of [-4, -2, 0, 2, 4]) image.append(svg('text', { x: fx(value * 0.98), y: h - 6, 'text-anchor': 'middle' }, String(value)));
    const step = (fx(cell.xs[1]) - fx(cell.xs[0])) * 0.9;
    updates.push((k) => {                               // the scale follows the bars, and so does the curve
      const fy = scale(0, peak(cell.states[k], cell.curve), h - 22, 4);
      against.setAttribute('d', path(cell.xs, cell.curve, fx, fy));
      bars.setAttribute('d', cell.xs.map((x, n) => (
        `M${(fx(x) - step / 2).toFixed(1)} ${h - 22}V${fy(cell.states[k][n]).toFixed(1)}h${step.toFixed(1)}V${h - 22}z`
      )).join(''));
    });
    return make('figure', { class: 'cell bars' }, make('figcaption', {}, cell.title), image, make('span', { class: 'caption' }, say.line.replace('{name}', cell.curve_name)));
  };

  // Each series a row below its name: of dots, or of bars where there are many.
  const levels = (one) => {
    const all = extent(one.series.map((line) => line.xs)), [w, h, most, parts] = [330, 24 + 50 * one.series.length, 40, 10];
    const fx = scale(...all, 10, w - 10), bins = one.series.map((line) => (line.xs.length > most ? shares(line.xs, all, parts) : []));
    const tall = scale(0, Math.max(...bins.flat()), 0, 28), broad = (w - 20) / parts;
    const image = svg('svg', { viewBox: `0 0 ${w} ${h + 10}`, role: 'img', 'aria-label': `${one.title}: ${one.series.map((line) => line.name).join(', ')}` });
    one.series.forEach((line, n) => {
      const base = 48 + 50 * n, look = `dot-${line.look[0] % 6}`;
      image.append(svg('path', { class: 'grid', d: `M10 ${base}H${w - 10}` }));
      if (bins[n].length) image.append(...bins[n].map((share, k) => svg('rect', { class: look, x: (10.5 + k * broad).toFixed(1), width: (broad - 1).toFixed(1), y: (base - tall(share)).toFixed(1), height: tall(share).toFixed(1) })));
      else image.append(...line.xs.map((x) => svg('circle', { class: look, r: 4, cx: fx(x).toFixed(1), cy: base, opacity: 0.7 })));
      image.append(svg('text', { x: w / 2, y: base - 32 + (bins[n].length ? 0 : 14), 'text-anchor': 'middle' }, line.name));
    });
    for (const [value, text] of ticks(all, false)) image.append(svg('text', { x: fx(value), y: h, 'text-anchor': 'middle' }, local(text)));
    return make('figure', { class: 'curves' }, make('figcaption', {}, one.title), image, make('span', { class: 'under' }, make('span', { class: 'x' }, one.x)));
  };

  // Of lines called "NAME, WAY" each name once in its colour, and each way once with its dashes; null for other lines.
  const legend = (series) => {
    const parts = series.map((line) => line.name.split(', '));
    if (!parts.every(([, way, ...more]) => say.lines[way] && !more.length)) return null;
    const seen = (key) => series.filter((line, n) => series.findIndex((other) => key(other) === key(line)) === n);
    const named = seen((line) => line.look[0]).map((line) => make('span', { class: `name-${line.look[0] % 6}` }, line.name.split(', ')[0]));
    const ways = seen((line) => line.look[1]).map((line) => {
      const sample = svg('svg', { class: 'sample', viewBox: '0 0 28 8', 'aria-hidden': 'true' });
      sample.append(svg('path', { class: `line dash-${line.look[1]}`, d: 'M1 4H27' }));
      return make('span', { class: 'way' }, sample, say.lines[line.name.split(', ')[1]]);
    });
    return [...named, ...ways];
  };

  const curves = (one) => {
    const [w, h, left] = [330, tall ? 330 : 210, 50], bottom = h - 30;
    if (one.rows) return levels(one);
    const [xl, xh] = extent([...one.series.map((line) => line.xs), one.at]), ys = extent([...one.series.map((line) => line.ys), one.zero ? [0] : []]);
    const fx = scale(xl, xh, left, w - 10), fy = scale(ys[0], ys[1], bottom, 10);
    const image = svg('svg', { viewBox: `0 0 ${w} ${h}`, role: 'img', 'aria-label': `${one.title}: ${one.series.map((line) => line.name).join(', ')}` });
    for (const [value, text] of ticks(ys, one.log)) {
      image.append(svg('path', { class: 'grid', d: `M${left} ${fy(value).toFixed(1)}H${w - 10}` }), svg('text', { x: left - 5, y: fy(value) + 4, 'text-anchor': 'end' }, local(text)));
    }
    for (const [value, text] of ticks([xl, xh], false)) {
      const edge = fx(value) > w - 22;                   // the last one ends where the frame does
      image.append(svg('text', { x: edge ? w - 2 : fx(value), y: h - 12, 'text-anchor': edge ? 'end' : 'middle' }, local(text)));
    }
    image.append(...one.series.map((line) => svg('path', { class: `line line-${line.look[0] % 6} dash-${line.look[1]}`, d: path(line.xs, line.ys, fx, fy) })));
    const names = make('span', { class: 'names' });
    names.append(...(legend(one.series) ?? one.series.map((line) => make('span', { class: `name-${line.look[0] % 6} dash-${line.look[1]}` }, line.name))));
    if (one.at.length) {
      const marker = svg('path', { class: 'marker' }), grip = svg('circle', { class: 'grip', r: 5, cy: bottom });
      const dots = one.series.map((line) => svg('circle', { class: `dot-${line.look[0] % 6}`, r: 4 }));
      image.append(marker, ...dots, grip);
      image.classList.add('drags');
      updates.push((k) => {
        const x = one.at[k];
        marker.setAttribute('d', `M${fx(x).toFixed(1)} 6V${bottom}`);
        grip.setAttribute('cx', fx(x));
        one.series.forEach((line, n) => {
          const y = valueAt(line.xs, line.ys, x);
          dots[n].setAttribute('visibility', y === null ? 'hidden' : 'visible');
          if (y !== null) { dots[n].setAttribute('cx', fx(x)); dots[n].setAttribute('cy', fy(y)); }
        });
      });
      const drag = (event) => {
        const box = image.getBoundingClientRect();
        const x = (event.clientX - box.left) / box.width * w;
        const k = nearest(one.at, xl + (x - left) / (w - 10 - left) * (xh - xl));
        stop(); show(k); chosen?.(k);
      };
      image.addEventListener('pointerdown', (event) => { image.setPointerCapture(event.pointerId); drag(event); });
      image.addEventListener('pointermove', (event) => { if (image.hasPointerCapture(event.pointerId)) drag(event); });
    }
    return make('figure', { class: 'curves' }, make('figcaption', {}, one.log ? `${one.title}, ${say.log}` : one.title), image, make('span', { class: 'under' }, names, make('span', { class: 'x' }, one.x)));
  };

  // ---- its parts
  const root = make('div', timeline && last > 0 ? { class: 'ds-figure', tabindex: -1 } : { class: 'ds-figure' });      // to take keys
  const bar = make('div', { class: 'transport' });
  const play = make('button', { type: 'button', class: 'play' }, say.play);
  const slider = make('input', { type: 'range', min: 0, max: last, step: 1, 'aria-label': say.slider });
  const label = make('output', { class: 'label' });
  bar.append(play, slider);
  const speed = make('select', { class: 'speed', 'aria-label': 'Frames per second', title: 'Speed' });
  const loop = make('input', { class: 'loop', type: 'checkbox' });
  if (controls) {
    speed.append(...[2, 5, 10, 20, 40].map((one) => new Option(`${one} fps`, one, false, one === controls.fps)));
    loop.checked = controls.loops;
    bar.append(label, speed, make('label', { class: 'tick' }, loop, ' loop'));
    bar.classList.add('with-controls');
    speed.addEventListener('change', () => { if (timer !== null) start(); });
  }
  if (last > 0 && timeline) root.append(bar);
  if (data.labels.length && !controls) root.append(label);
  const rows = make('div', { class: 'figure-rows' });
  for (const row of data.rows) {
    const cells = make('div', { class: 'cells' });
    for (const cell of row.cells) cells.append({ film, places, histogram }[cell.kind](cell));
    const line = make('section', { class: 'figure-row' });
    const name = make('p', { class: 'row-name' }, row.name);
    if (row.name && !row.told) line.append(name);
    if (row.told) {
      const sentence = make('p', { class: 'told' }), symbols = make('p', { class: 'symbols' });
      line.append(make('div', { class: 'row-said' }, name, sentence, symbols));
      updates.push((k) => { [sentence.textContent, symbols.textContent] = row.told[k]; });
    }
    line.append(cells);
    rows.append(line);
  }
  const body = make('div', { class: 'figure-body' }, rows);
  if (data.curves.length) body.append(make('div', { class: 'figure-curves' }, ...data.curves.map(curves)));
  root.append(body);
  host.replaceChildren(root);

  // ---- going through it
  function show(k) {
    state = Math.max(0, Math.min(last, k));
    root.dataset.state = state;
    slider.value = state;
    label.textContent = controls ? `${state} / ${last}` : data.labels[state] ?? '';
    slider.setAttribute('aria-valuetext', data.labels[state] ?? `state ${state} of ${last}`);
    for (const update of updates) update(state);
  }
  function stop() {
    if (timer !== null) clearInterval(timer);
    timer = null;
    play.textContent = say.play; root.dataset.playing = 'false';
  }
  const start = () => {
    stop();
    if (state >= last) show(0);
    play.textContent = say.pause; root.dataset.playing = 'true';
    let rest = 0;
    timer = setInterval(() => {
      const goesOn = loops || (controls && loop.checked);
      if (!root.isConnected || (state >= last && !goesOn)) { stop(); return; }
      if (!root.checkVisibility()) return;               // on a tab that is not in sight
      if (controls && state >= last) {                   // the noise stays a second before it begins again
        rest += 1;
        if (rest > Number(speed.value)) { rest = 0; show(0); }
        return;
      }
      if (loops === 'back' && (state >= last || state <= 0)) way = state >= last ? -1 : 1;
      show(state >= last && loops === 'round' ? 0 : state + way);
    }, 1000 / (controls ? Number(speed.value) : fps));
  };
  const toggle = () => { if (timer === null) start(); else stop(); };
  const press = (event) => {                             // what a key asks for
    const asked = event.ctrlKey || event.metaKey || event.altKey ? null : playerKey(event.key, event.target);
    if (!asked) return;
    event.preventDefault();
    if (asked.play) toggle();
    else { stop(); show(asked.by ? state + asked.by : asked.to * last); }
  };
  if (timeline && last > 0) root.addEventListener('keydown', press);
  play.addEventListener('click', toggle);
  slider.addEventListener('input', () => { stop(); show(Number(slider.value)); });
  stop();
  show(data.start ?? 0);
  if (plays && last > 0 && !matchMedia('(prefers-reduced-motion: reduce)').matches) start();
  return { show, stop, start, press, state: () => state, pace: () => ({ fps: Number(speed.value), loops: loop.checked }) };
};
