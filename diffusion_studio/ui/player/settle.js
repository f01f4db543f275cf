// How far the network's guess x0 still is from the one that the run ends with, by the pixels in the page. Finished runs only.
const makeSettle = (frames, tick, changed) => {
  let run = null, offs = [], busy = false;             // offs[place] = mean distance of x0 to the last x0
  const MOST = 130;                                    // of a longer run only some places are known

  const guess = async (place) => {                     // the numbers of x0, and how far two of them can be apart
    const t = tick();
    if (t.points) { const all = frames()[place]; return [all.subarray(all.length / 2), 4 * 4096]; }
    const bitmap = await createImageBitmap(frames()[place]), half = Math.floor(bitmap.height / 2);
    const canvas = new OffscreenCanvas(bitmap.width, half), context = canvas.getContext('2d', { willReadFrequently: true });
    context.drawImage(bitmap, 0, -half);
    bitmap.close();
    return [context.getImageData(0, 0, canvas.width, half).data, 255];
  };

  const distance = ([one, unit], [other]) => {
    let sum = 0;
    for (let k = 0; k < one.length; k++) sum += Math.abs(one[k] - other[k]);
    return sum / one.length / unit;
  };

  let seen = null, moved = null;                       // while a run goes on: the guess that was painted last, and its change in a step
  const see = (place, canvas) => {                     // the guess is on the canvas by now
    if (seen?.place === place) return;
    const t = tick(), f = frames()[place];
    const now = t.points ? [f.subarray(f.length / 2), 4 * 4096] : [canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data, 255];
    moved = seen?.run === t.run && seen.now[0].length === now[0].length ? distance(now, seen.now) / Math.abs(place - seen.place) : null;
    seen = { run: t.run, place, now };
  };

  const start = async () => {                          // once all frames are in the page
    const mine = tick().run, last = tick().kept;
    if (busy || run === mine || !frames()[last]) return;
    busy = true; run = mine; offs = [];
    const stride = Math.max(1, Math.ceil(last / MOST));
    try {
      const end = await guess(last), found = [];
      for (let place = 0; place <= last; place += stride) {
        if (!frames()[place]) continue;
        found[place] = distance(await guess(place), end);
        if (place % 8 === 0) await new Promise((go) => setTimeout(go));
        if (tick().run !== mine) return;
      }
      found[last] = 0; offs = found;
    } catch {
      run = null;                                      // a frame that cannot be decoded: no claim is made
    } finally { busy = false; }
    changed();
  };

  const reset = () => { run = null; offs = []; seen = null; moved = null; };

  return { start, reset, see, offs: () => offs, moved: () => moved };
};
