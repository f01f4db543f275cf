// A run that is kept below the next ones, state beside state, until it is put away. All in the page: it holds what was pulled.
// States are matched by noise level, so that runs of other steps or spacings compare too.
const makeCompare = (find, paintOn) => {
  let kept = null;                                     // { frames, meta, tick }
  const clouds = makeClouds(() => kept.frames, () => kept.tick);
  const screens = find('.kept'), about = find('.about');

  const distance = (one, other) => {                   // of two states, by noise level: null is a clean picture
    if (one.logSnr === null || other.logSnr === null) return one.logSnr === other.logSnr ? 0 : 1e12;
    return Math.abs(one.logSnr - other.logSnr);
  };

  const match = (place, meta, tick) => {               // the kept run's place that goes with a place of the shown run
    const loaded = kept.frames.map((_, k) => k).filter((k) => kept.frames[k]), share = place / Math.max(tick.kept, 1);
    if (place === 0 || !meta[place]) return loaded[0];
    const apart = (k) => distance(kept.meta[k], meta[place]) + 1e-9 * Math.abs(k / kept.tick.kept - share);
    return loaded.reduce((best, k) => (apart(k) < apart(best) ? k : best), loaded[0]);
  };

  const differences = (tick) => {                      // settings of the kept run that the shown one has otherwise
    const mine = kept.tick.about ?? {}, other = tick.about ?? {};
    const names = [...new Set([...Object.keys(mine), ...Object.keys(other)])].filter((name) => mine[name] !== other[name]);
    const said = (value) => (value === undefined || value === null ? 'none' : `${value}`);
    const told = names.filter((name) => !names.some((group) => name.startsWith(`${group} `)));       // another sampler: not its options
    return told.map((name) => `${name} ${said(mine[name])} (above: ${said(other[name])})`);
  };

  const keep = (run) => {                              // or null: put it away
    kept = run;
    screens.hidden = about.hidden = !kept;
    find('.player').classList.toggle('comparing', !!kept);
  };

  const explain = (tick) => {
    const listed = differences(tick);
    const same = tick.run === kept.tick.run;
    about.textContent = same ? 'Kept for comparison. Change something and press Generate: the next run stands above, this one below.'
      : listed.length ? `below, the kept run: ${listed.join(' · ')}` : 'below, the kept run: the same settings';
  };

  const draw = async (place, meta, tick, zoom, shows, still) => {      // beside a state of the shown run; `still()` false: too late
    if (!kept) return;
    const own = kept, at = match(place, meta, tick), number = zoom === null || zoom < own.tick.count ? zoom : null;
    if (at === undefined) return;
    const bitmap = own.tick.points ? null : await createImageBitmap(own.frames[at]);
    if (own === kept && still()) {
      for (const half of ['x', 'x0']) {
        const canvas = find(`[data-kept="${half}"] canvas`);
        if (bitmap) paintOn(canvas, bitmap, half, number, own.tick);
        else clouds.draw(canvas, at, half, number, Math.round((canvas.clientWidth || 320) * Math.min(devicePixelRatio || 1, 3)), shows);
        find(`[data-kept="${half}"] .at`).textContent = `step ${own.meta[at].index} of ${own.tick.total}`;
      }
      find('.player').dataset.beside = at;
    }
    bitmap?.close();
  };

  return { keep, draw, explain, on: () => !!kept, run: () => kept.tick.run };
};
