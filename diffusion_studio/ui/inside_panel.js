// The panel "Look inside": it asks the server only while it is open and the player rests at a step.
const find = (what) => document.querySelector(what);
const REST = 500;                                      // milliseconds without a change
let asked = null, seen = null, since = 0, zoom = '';

const isOpen = () => find('#stage')?.dataset.inside === 'true';
const open = (on) => {
  find('#stage').dataset.inside = on;
  find('#player .inside')?.setAttribute('aria-expanded', on);
  if (!on) return;
  asked = null;
  setTimeout(() => find('#inside').scrollIntoView({ behavior: 'smooth', block: 'nearest' }), 60);
};
const set = (field, value) => {
  Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value').set.call(field, value);
  for (const name of ['input', 'change', 'blur']) field.dispatchEvent(new Event(name, { bubbles: true }));
};

const view = () => find('#inside-view input:checked')?.value;
const shownKey = () => {                               // what a look is about
  const d = find('#player .player').dataset;
  const fields = [...document.querySelectorAll('#inside-settings input:not([type=file]), #inside-settings textarea')].map((one) => one.value);
  const given = view() === 'surprise' ? find('#inside-given')?.textContent ?? '' : '';
  return JSON.stringify([d.run, d.run && d.shown, view(), fields, given]);
};

document.addEventListener('click', (event) => {
  if (event.target.closest?.('#inside-compute')) asked = seen = shownKey();   // no later look ends what is computed
  if (event.target.closest?.('#player .inside')) open(!isOpen());
  if (event.target.closest?.('#inside-close')) open(false);
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

setInterval(() => {
  if (!isOpen() || !find('#inside')?.checkVisibility()) return;
  const player = find('#player .player'), d = player.dataset;
  const films = find('#player .film')?.ariaPressed === 'true';   // the pictures follow each other: the panel keeps its own
  if (!films && (d.zoom ?? '') !== zoom) {             // the picture that the player enlarges
    zoom = d.zoom ?? '';
    if (zoom !== '') set(find('#inside-picture input'), String(Number(zoom) + 1));
  }
  const through = find('#inside-seen .network');       // what enters the network and what leaves it
  for (const [end, half] of through ? [['into', 'x'], ['out', 'x0']] : []) {
    const to = through.querySelector(`.${end} canvas`), from = find(`#player [data-half="${half}"] canvas`);
    if (!from?.width) continue;
    to.width = from.width;
    to.height = from.height;
    to.getContext('2d').drawImage(from, 0, 0);
  }
  const key = shownKey(), drawn = find('#inside-seen [data-view]')?.dataset.view ?? view();
  find('#inside').dataset.view = view();
  find('#inside').dataset.stale = key !== asked || drawn !== view();   // what is drawn is of another look
  const follows = d.busy === 'true' && Number(d.shown) >= Number(d.loaded) - 1;
  const plays = d.run && (find('#player .play').textContent.includes('Pause') || follows);
  find('#inside').dataset.plays = Boolean(plays);
  if (key !== seen || plays) { seen = key; since = Date.now(); return; }
  if (key === asked || Date.now() - since < REST) return;
  asked = key;
  find('#inside-look').click();
}, 100);
