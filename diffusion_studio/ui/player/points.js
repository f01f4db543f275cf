// Clouds of points in the player: drawn in the page, so they are sharp at any size and follow its theme.
// A frame is an Int16Array: x of all clouds, then x0, each point two numbers, 4096 to the unit.
const UNIT = 4096, EXTENT = 3.2, TRAILS = 70, ARROWS = 350;

const makeClouds = (frames, tick) => {
  const sprites = new Map();
  let colours = null, coloured = null;                 // of each point, by where it lies in the first frame

  const dark = (canvas) => {
    const [r, g, b] = (getComputedStyle(canvas).backgroundColor.match(/[\d.]+/g) ?? [255, 255, 255]).map(Number);
    return 0.3 * r + 0.6 * g + 0.1 * b < 128;
  };

  const at = (place, half, cloud, k) => {              // [x, y] of a point
    const { count, points } = tick(), f = frames()[place];
    const base = 2 * ((half === 'x0' ? count * points : 0) + cloud * points + k);
    return [f[base] / UNIT, f[base + 1] / UNIT];
  };

  const paints = () => {                               // the number of each point's colour: hue by angle, paler in the middle
    const first = frames()[0], { count, points } = tick();
    if (!first) return null;
    if (coloured !== first) {
      coloured = first;
      colours = new Uint16Array(count * points);
      for (let n = 0; n < count * points; n++) {
        colours[n] = colourNumber(first[2 * n] / UNIT, first[2 * n + 1] / UNIT);
      }
    }
    return colours;
  };

  const sprite = (number, night, radius) => {
    const key = `${number} ${night} ${radius}`;
    if (!sprites.has(key)) {
      if (sprites.size > 4000) sprites.clear();
      const one = document.createElement('canvas'), side = 2 * Math.ceil(radius + 1);
      one.width = one.height = side;
      const context = one.getContext('2d');
      context.fillStyle = number < 0 ? `rgba(130, 140, 160, 0.7)` : pointColour(number, night, 0.8);
      context.beginPath(); context.arc(side / 2, side / 2, radius, 0, 2 * Math.PI); context.fill();
      sprites.set(key, one);
    }
    return sprites.get(key);
  };

  const axes = (context, left, top, side, night) => {
    context.lineWidth = Math.max(1, side / 640);
    for (let k = -3; k <= 3; k++) {
      context.strokeStyle = night ? `rgba(150, 165, 190, ${k ? 0.09 : 0.22})` : `rgba(60, 75, 105, ${k ? 0.07 : 0.16})`;
      const on = (k / EXTENT + 1) * side / 2;
      context.beginPath();
      context.moveTo(left + on, top); context.lineTo(left + on, top + side);
      context.moveTo(left, top + on); context.lineTo(left + side, top + on);
      context.stroke();
    }
  };

  const arrow = (context, x, y, dx, dy) => {
    const length = Math.hypot(dx, dy);
    if (length < 2) return;
    const head = Math.min(0.5 * length, context.canvas.width / 110), ux = dx / length, uy = dy / length;
    context.beginPath(); context.moveTo(x, y); context.lineTo(x + dx, y + dy);
    context.moveTo(x + dx - head * (ux + 0.5 * uy), y + dy - head * (uy - 0.5 * ux));
    context.lineTo(x + dx, y + dy);
    context.lineTo(x + dx - head * (ux - 0.5 * uy), y + dy - head * (uy + 0.5 * ux));
    context.stroke();
  };

  const drawOne = (context, place, half, cloud, [left, top, side], shows) => {
    const { points } = tick(), data = frames()[place], paint = paints(), night = shows.night;
    const scale = side / (2 * EXTENT), px = (x) => left + side / 2 + scale * x, py = (y) => top + side / 2 - scale * y;
    context.save();
    context.beginPath(); context.rect(left, top, side, side); context.clip();
    axes(context, left, top, side, night);
    const number = (k) => (paint && tick().plain !== half ? paint[cloud * points + k] : -1);
    if (shows.trails && half === 'x') {
      context.lineWidth = Math.max(1, side / 420);
      for (const k of evenly(TRAILS, points)) {
        context.strokeStyle = pointColour(Math.max(0, number(k)), night, 0.55);
        context.beginPath();
        for (let p = 0; p <= place; p++) if (frames()[p]) { const [x, y] = at(p, half, cloud, k); context.lineTo(px(x), py(y)); }
        context.stroke();
      }
    }
    if (shows.arrows && half === 'x') {
      context.lineWidth = Math.max(1, side / 460);
      for (const k of evenly(ARROWS, points)) {
        const [x, y] = at(place, 'x', cloud, k), [to, up] = at(place, 'x0', cloud, k);
        context.strokeStyle = pointColour(Math.max(0, number(k)), night, 0.75);
        arrow(context, px(x), py(y), 0.3 * scale * (to - x), -0.3 * scale * (up - y));
      }
    }
    const radius = Math.max(0.7, Math.round(side / 230 * Math.min(1.5, (2000 / points) ** 0.25) * 10) / 10);
    const every = side < 160 ? Math.ceil(points / 1200) : 1, base = 2 * ((half === 'x0' ? tick().count * points : 0) + cloud * points);
    for (let k = 0; k < points; k += every) {
      const disc = sprite(number(k), night, radius);
      context.drawImage(disc, px(data[base + 2 * k] / UNIT) - disc.width / 2, py(data[base + 2 * k + 1] / UNIT) - disc.height / 2);
    }
    context.restore();
  };

  // all clouds of a half in their grid, or one of them, on a canvas that gets `wide` device pixels
  const draw = (canvas, place, half, zoom, wide, shows) => {
    const { count, columns } = tick(), many = zoom === null ? count : 1, across = zoom === null ? columns : 1;
    const rows = Math.ceil(many / across), side = wide / across, night = shows.night ?? dark(canvas);
    const height = Math.round(side * rows);
    if (canvas.width !== wide || canvas.height !== height) { canvas.width = wide; canvas.height = height; }
    const context = canvas.getContext('2d');
    context.clearRect(0, 0, wide, height);
    for (let n = 0; n < many; n++) {
      const cell = [n % across * side, Math.floor(n / across) * side, side];
      drawOne(context, place, half, zoom ?? n, cell, { ...shows, night });
    }
  };

  return { draw, dark };
};
