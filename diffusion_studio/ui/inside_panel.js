// The panel "Look inside": it asks the server only while it is open and the player rests at a step.
const find = (what) => document.querySelector(what);
const REST = 500;                                      // milliseconds without a change
let asked = null, askedAround = null, seen = null, since = 0, zoom = '', whole = null, run;
let chosen = false;                                    // whether a view was just chosen: it does not wait for a rest

const isOpen = () => find('#stage')?.dataset.inside === 'true';
const open = (on) => {
  find('#stage').dataset.inside = on;
  find('#player .inside')?.setAttribute('aria-expanded', on);
  if (!on) return;
  asked = null; chosen = true;
  if (!find('#inside-generate')) offerGenerate();
  fetchAwaited();
  awaitView();
  setTimeout(reveal, 60);
};
const offerGenerate = () => {
  const button = document.createElement('button');
  button.id = 'inside-generate'; button.textContent = 'Generate';
  button.addEventListener('click', () => find('#generate')?.click());
  find('#inside-seen').after(button);
};
const reveal = () => {                                 // brings the view and the timeline into sight together
  const box = (what) => find(what).getBoundingClientRect();
  const panel = box('#inside'), timeline = box('#player .timeline');
  const beside = panel.left >= timeline.right;
  const top = beside ? panel.top : timeline.top;
  const first = box(find('#inside').dataset.awaits && awaited ? '#inside-awaited' : '#inside-seen').top;
  const inSight = top >= 0 && first < innerHeight * (beside ? .7 : .5);
  if (!inSight) scrollTo({ top: scrollY + top - 8, behavior: 'smooth' });   // absolute: it may be on its way already
};
const set = (field, value) => {
  Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value').set.call(field, value);
  for (const name of ['input', 'change', 'blur']) field.dispatchEvent(new Event(name, { bubbles: true }));
};

const view = () => find('#inside-view input:checked')?.value;
const around = () => {                                 // what a look is about, but for the step
  const d = find('#player .player').dataset;
  const fields = [...document.querySelectorAll('#inside-settings input:not([type=file]), #inside-settings textarea')].map((one) => one.value);
  const given = view() === 'surprise' ? find('#inside-given')?.textContent ?? '' : '';
  return JSON.stringify([d.run, view(), fields, given]);
};
const shownKey = () => {                               // what a look is about
  const d = find('#player .player').dataset;
  return `${d.run && d.shown} ${around()}`;
};
const ask = (key) => { asked = key; askedAround = around(); };

// ---- figures: their markers follow the player without the server
let draw = null, fetching = false;
const fetchFigures = async () => {
  if (fetching) return;
  fetching = true;
  try {
    const parts = await server.figure_parts({}), style = document.createElement('style');
    style.textContent = parts.css;
    document.head.append(style);
    draw = new Function(parts.js)();
  } catch { setTimeout(() => { fetching = false; }, 5000); }   // the next tick after it asks again
};
const seek = (states) => (k) => {                      // a state at which a marker is dragged: the player goes there
  const scrub = find('#player .scrub');
  scrub.value = Math.round(k * Number(scrub.max) / Math.max(states - 1, 1));   // a long run keeps every n-th state
  scrub.dispatchEvent(new Event('input', { bubbles: true }));
};
const follow = (index) => {
  for (const host of document.querySelectorAll('#inside [data-figure]')) {
    if (!draw) { fetchFigures(); return; }
    const given = host.dataset.figure;
    if (host.given !== given || !host.firstElementChild) {   // Gradio may keep the element of the look before
      const data = JSON.parse(given);
      host.given = given;
      host.drawn = draw(host, data, { timeline: false, chosen: seek(data.states) });
    }
    if (index !== '' && host.drawn.state() !== Number(index)) host.drawn.show(Number(index));
  }
};

const drawnView = () => find('#inside-seen [data-view]')?.dataset.view ?? null;
const awaitView = () => {                                 // a chosen view that is not there yet has its title, and what is waited for, in its place
  const panel = find('#inside').dataset, drawn = drawnView();
  const awaits = drawn === view() || (drawn === null && !find('#player .player').dataset.run) ? '' : view() ?? '';
  if ((panel.awaits ?? '') === awaits) return;
  panel.awaits = awaits;
  tellAwaited();
};
let awaited = null;                                    // the titles and sentences of all views
const tellAwaited = () => { for (const one of awaited?.children ?? []) one.hidden = one.dataset.of !== find('#inside').dataset.awaits; };
const fetchAwaited = async () => {
  if (awaited) return;
  awaited = document.createElement('div');
  awaited.id = 'inside-awaited';
  find('#inside-status').after(awaited);
  try { awaited.innerHTML = await server.awaited_views({}); } catch { awaited.remove(); awaited = null; }
  tellAwaited();
};
document.addEventListener('change', (event) => {
  if (!event.target.closest?.('#inside-view')) return;
  chosen = true;
  setTimeout(() => { awaitView(); reveal(); });        // once the choice before is no longer checked
});
document.addEventListener('click', (event) => {
  if (event.target.closest?.('#inside-compute')) ask(seen = shownKey());   // no later look ends what is computed
  if (event.target.closest?.('#inside-whole')) whole = around();
  if (event.target.closest?.('#player .inside')) {
    const full = document.fullscreenElement;            // which shows the player alone
    if (full) document.exitFullscreen();
    open(Boolean(full) || !isOpen());
    if (isOpen() && event.detail === 0) find('#inside-view input:checked')?.focus({ preventScroll: true });   // 0: by a key
  }
  if (event.target.closest?.('#inside-close')) { open(false); find('#player .inside')?.focus({ preventScroll: true }); }
  const block = event.target.closest?.('#inside-seen [data-block], #inside-seen [data-skip]')?.dataset;
  if (block) {                                         // a box of the drawn network, or a skip into one
    set(find('#inside-block input'), block.block ?? block.skip);
    set(find('#inside-part input'), block.skip ? 'the skip into it' : 'its output');
  }
  const image = event.target.closest?.('#inside-seen .pointed img');
  if (image) {                                         // a place of the picture
    const box = image.getBoundingClientRect();
    const at = (share, size) => Math.max(0, Math.min(size - 1, Math.floor(share * size)));
    const row = at((event.clientY - box.top) / box.height, Number(image.getAttribute('height')));
    const column = at((event.clientX - box.left) / box.width, Number(image.getAttribute('width')));
    set(find('#inside-place input, #inside-place textarea'), `${row},${column}`);
  }
});

// ---- on a phone the player lies above the panel: small copies of its pictures stay in sight
let small = null;
const keepInSight = () => {
  const screens = find('#player .screens'), timeline = find('#player .timeline'), panel = find('#inside').getBoundingClientRect();
  const away = innerWidth <= 860 && timeline.getBoundingClientRect().bottom < 20 && panel.bottom > innerHeight / 4;
  if (!small && !away) return;
  if (!small?.isConnected) {
    small = document.createElement('div');
    small.id = 'inside-small'; small.ariaHidden = 'true';
    find('#inside').append(small);
  }
  small.hidden = !away;
  if (!away) return;
  const shown = [...screens.querySelectorAll('.screen:not(.before) canvas')].filter((one) => one.width && one.checkVisibility());
  while (small.children.length <= shown.length) small.append(document.createElement(small.children.length ? 'canvas' : 'span'));
  while (small.children.length > shown.length + 1) small.lastChild.remove();
  small.firstChild.textContent = find('#player .readout .step').textContent;
  shown.forEach((from, k) => {
    const to = small.children[k + 1];
    to.width = from.width; to.height = from.height;
    to.getContext('2d').drawImage(from, 0, 0);
  });
};

setInterval(() => {
  if (!isOpen() || !find('#inside')?.checkVisibility()) return;
  keepInSight();
  const player = find('#player .player'), d = player.dataset;
  const films = find('#player .film')?.ariaPressed === 'true';   // the pictures follow each other: the panel keeps its own
  if (!films && (d.zoom ?? '') !== zoom) {             // the picture that the player enlarges
    zoom = d.zoom ?? '';
    if (zoom !== '') set(find('#inside-picture input'), String(Number(zoom) + 1));
  }
  if (d.run !== run) {                                 // a picture's number is of one run
    const number = find('#inside-picture input');
    if (run !== undefined && zoom === '' && number) set(number, '1');
    run = d.run;
  }
  const through = find('#inside-seen .network');       // what enters the network and what leaves it
  for (const [end, half] of through ? [['into', 'x'], ['out', 'x0']] : []) {
    const to = through.querySelector(`.${end} canvas`), from = find(`#player [data-half="${half}"] canvas`);
    if (!from?.width) continue;
    to.width = from.width;
    to.height = from.height;
    to.getContext('2d').drawImage(from, 0, 0);
  }
  follow(d.index ?? '');
  const key = shownKey(), drawn = drawnView() ?? view(), panel = find('#inside').dataset;
  panel.view = view();
  panel.run = Boolean(d.run);                          // a recording has none: Generate is offered
  awaitView();
  const stale = key !== asked || drawn !== view(), other = askedAround !== around() || drawn !== view();
  panel.stale = stale;                                 // what is drawn is of another look
  panel.other = other;                                 // which differs in more than its step
  const none = !find('#inside-seen .tiles, #inside-seen .plays');   // an error, or a view that waits for Compute
  for (const [button, off] of [['picture', stale || none], ['over', other || none]]) {
    const save = find(`#inside-save-${button}`);
    if (save.disabled !== off) save.disabled = off;
  }
  panel.whole = whole === around();                    // what is shown of the whole run is still of it
  const follows = d.busy === 'true' && Number(d.shown) >= Number(d.loaded) - 1;
  const plays = d.run && (find('#player .play').textContent.includes('Pause') || follows);
  panel.plays = Boolean(plays);
  if (key !== seen || plays) { seen = key; since = chosen && !plays ? 0 : Date.now(); chosen = false; return; }
  if (key === asked || Date.now() - since < REST) return;
  ask(key);
  find('#inside-look').click();
}, 100);
