// A run that is kept beside the next ones, state beside state, until it is put away. All in the page: it holds what was pulled.
// States are matched by noise level, so that runs of other steps or spacings compare too.
const makeCompare = (find, paintOn) => {
  let kept = null;                                     // { frames, meta, tick }
  const clouds = makeClouds(() => kept.frames, () => kept.tick);
  const screens = find('.kept'), about = find('.about'), player = find('.player'), toggle = find('.wipe-on');
  const overs = ['x', 'x0'].map((half) => {            // in the page while they are used
    const over = find(`[data-over="${half}"]`).parentElement, home = over.parentElement;
    over.remove();
    return { half, over, home, canvas: over.querySelector('canvas'), line: over.querySelector('.wipe') };
  });
  let wiping = false;                                  // whether the kept run lies over the shown one, right of a line

  const arrange = () => {
    const on = !!kept && wiping;
    screens.hidden = !kept || on;
    about.hidden = find('.about-row').hidden = !kept;
    player.classList.toggle('comparing', !!kept && !on);
    player.classList.toggle('wiping', on);
    for (const { over, home } of overs) { if (on) home.append(over); else over.remove(); }
    toggle.ariaPressed = on;
  };
  const wipe = (on) => { wiping = on; arrange(); };
  for (const { line } of overs) {
    line.addEventListener('input', () => {
      player.style.setProperty('--wipe', `${line.value}%`);
      for (const other of overs) other.line.value = line.value;
    });
  }

  const keep = (run) => {                              // or null: put it away
    kept = run;
    arrange();
  };

  const explain = (tick) => {
    const listed = settingsDifferences(kept.tick.about ?? {}, tick.about ?? {});
    const same = tick.run === kept.tick.run;
    about.textContent = same ? 'Kept for comparison. Change something and press Generate: the next run stands at the left, this one at the right.'
      : listed.length ? `the kept run: ${listed.join(' · ')}` : 'the kept run: the same settings';
  };

  const draw = async (place, meta, tick, zoom, shows, still) => {      // beside a state of the shown run; `still()` false: too late
    if (!kept) return;
    const own = kept, at = matchByNoise(place, { meta, kept: tick.kept, last: tick.last }, { ...own, kept: own.tick.kept });
    const number = zoom === null || zoom < own.tick.count ? zoom : null;
    if (at === undefined) return;
    const bitmap = own.tick.points ? null : await createImageBitmap(own.frames[at]);
    if (own === kept && still()) {
      for (const half of ['x', 'x0']) {
        const canvas = wiping ? overs.find((one) => one.half === half).canvas : find(`[data-kept="${half}"] canvas`);
        if (bitmap) paintOn(canvas, bitmap, half, number, own.tick);
        else clouds.draw(canvas, at, half, number, Math.round((canvas.clientWidth || 320) * Math.min(devicePixelRatio || 1, 3)), shows);
        find(`[data-kept="${half}"] .at`).textContent = `step ${own.meta[at].index} of ${own.tick.total}`;
      }
      find('.player').dataset.beside = at;
    }
    bitmap?.close();
  };

  return { keep, draw, explain, wipe, wipes: () => wiping, on: () => !!kept, run: () => kept.tick.run };
};
