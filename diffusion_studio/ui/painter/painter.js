// The painter's page half, on the stage. value = {picture, name, width, height, mask, what, strength, open, of, filed, branch}: a PNG and
// one byte a pixel, both in base64; the kind of edit and its strength; whether the sheet is shown at once; which picture it is, in words;
// whether there is a mask that is not painted here; whether the run continues another one, which was edited; number, count, run: which picture of how many of which run. A stroke paints whole pixels of the model and
// leaves the page only as part of the value.
// 'input' says that the mask changed, 'select' another kind, 'release' another strength, 'clear' that editing ends.
// The document hears 'pressed' and 'unpressed' of runs, and 'edit-on-stage', which shows the sheet; 'edit-shown' tells it that it is shown.
// The player hears 'before', with the edited picture as a canvas while runs draw it anew, else null.
const $ = (name) => element.querySelector(name);
const root = $('.painter'), paper = $('.paper'), brush = $('.brush'), strength = $('.strength'), context = paper.getContext('2d');
const ring = $('.ring'), number = $('.number'), player = () => document.querySelector('#player .player');
let past = [];                                         // masks before the last strokes, for Undo
let sheet = null, mask = null, image = null, last = null, sent = '', cursor = null;

const TEXTS = {
  inpaint: ['Paint over what is to be drawn anew. The rest stays as it is.', 'Below 1 what you painted over is kept in part.'],
  picture: ['The whole picture is drawn anew, towards what you ask for.', 'A low strength keeps more of the picture; at 1 little of it is left.'],
};
const RUNS = { inpaint: 'Runs draw the painted part of your picture anew.', picture: 'Runs start from your picture.' };
const BRANCH = 'The branch draws the painted part alone, as the run that it continues did.';

const setMode = (mode) => {                            // off, paint, or run: the player is seen below the words
  const shows = mode === 'paint' && root.dataset.mode !== 'paint';
  root.dataset.mode = mode;
  if (shows) reveal();
  const branch = mode === 'run' && !!sheet?.branch;
  $('.ask').textContent = branch ? BRANCH : (mode === 'paint' ? TEXTS[root.dataset.what]?.[0] : RUNS[root.dataset.what]) ?? '';
  $('.badge').textContent = branch ? 'Branch of an edit' : 'Editing';
  $('.leave').textContent = branch ? 'Draw all of it' : 'Stop editing';
  $('.leave').title = branch ? 'From this step on the whole picture may change' : 'The next run starts from noise again';
  $('.of').textContent = upper(sheet?.of ?? '');
  if (mode === 'paint') { want(); choices(); document.dispatchEvent(new CustomEvent('edit-shown')); }
  const before = mode === 'run' && !branch && image ? { canvas: original(), title: sheet.of ?? '', outlined: root.dataset.what === 'inpaint' && mask.some(Boolean) } : null;
  player()?.dispatchEvent(new CustomEvent('before', { detail: before }));
};
const reveal = () => {
  const at = document.activeElement;                   // who writes in a field goes on writing
  if (!at || at === document.body || player()?.contains(at)) paper.focus({ preventScroll: true });
  if (innerWidth > 860) return;                        // on a phone it lies further down, and what is above it still takes its place
  let left = false;                                    // a hand has moved the page
  for (const name of ['touchstart', 'wheel']) addEventListener(name, () => { left = true; }, { once: true, passive: true });
  for (const pause of [60, 400, 1200]) {
    setTimeout(() => { if (!left && root.dataset.mode === 'paint' && !last && Math.abs(root.getBoundingClientRect().top) > 60) root.scrollIntoView({ block: 'start' }); }, pause);
  }
};
const want = () => {                                   // what is asked for stands at the left, on a phone far above
  const read = (what) => { const one = document.querySelector(what); return one?.checkVisibility() ? one.value.trim() : ''; };
  const label = document.querySelector('#label-chips [aria-pressed="true"]')?.textContent ?? read('#label input');
  const text = wantedText([label, read('#prompt textarea')]);
  if ($('.wanted').textContent !== text) $('.wanted').textContent = text;
};
const choices = () => {                                // the other pictures of the run, as long as the player shows it
  const { count = 1, run, number: at } = sheet ?? {};
  $('.which').hidden = !(count > 1 && run && run === player()?.dataset.run);
  if (number.length !== count) number.replaceChildren(...Array.from({ length: count }, (_, k) => new Option(`${k + 1} of ${count}`, k)));
  number.value = at ?? 0;
};
const original = () => {                               // large enough for a thin line around what is painted
  const canvas = document.createElement('canvas'), scale = Math.max(1, Math.ceil(384 / sheet.width)), line = Math.max(2, scale / 4);
  canvas.width = sheet.width * scale; canvas.height = sheet.height * scale;
  const drawn = canvas.getContext('2d');
  drawn.imageSmoothingEnabled = false; drawn.drawImage(image, 0, 0, canvas.width, canvas.height);
  if (root.dataset.what !== 'inpaint') return canvas;
  drawn.fillStyle = 'rgb(255, 59, 48)';
  for (const [x, y, across] of edgesOf(mask, sheet.width, sheet.height)) drawn.fillRect(x * scale - line / 2, y * scale - line / 2, across ? scale + line : line, across ? line : scale + line);
  return canvas;
};
const upper = (text) => text.charAt(0).toUpperCase() + text.slice(1);
const setKind = (what) => {
  root.dataset.what = what;
  for (const one of element.querySelectorAll('button[data-what]')) one.ariaPressed = one.dataset.what === what;
  $('.about').textContent = TEXTS[what]?.[1] ?? '';
  setMode(root.dataset.mode);
  show();
};
const setStrength = (value) => { strength.value = value; $('.strength-text').textContent = Number(value).toFixed(2); };

const show = () => {
  if (!sheet || !mask) return;
  context.clearRect(0, 0, paper.width, paper.height);
  if (image) context.drawImage(image, 0, 0);
  if (root.dataset.what === 'inpaint') {
    context.fillStyle = 'rgba(255, 59, 48, 0.62)';
    mask.forEach((on, k) => { if (on) context.fillRect(k % sheet.width, Math.floor(k / sheet.width), 1, 1); });
    if (cursor) { context.fillStyle = 'rgba(0, 120, 255, 0.8)'; context.fillRect(Math.floor(cursor[0]), Math.floor(cursor[1]), 1, 1); }
  }
  const painted = mask.reduce((sum, on) => sum + on, 0), empty = root.dataset.what === 'inpaint' && !painted && !sheet.filed;
  paper.dataset.painted = painted; $('.undo').disabled = !past.length;
  $('.go').disabled = empty; $('.go').title = empty ? 'First paint over what is to be drawn anew' : '';
  $('.why').textContent = empty ? 'Paint first: drag over the part that is to be drawn anew.' : '';
};
const ringAt = (to) => {                               // the brush's outline, at the pointer or where the keys have brought it
  ring.hidden = !to || !sheet || root.dataset.what !== 'inpaint';
  if (ring.hidden) return;
  ring.style.width = `${Number(brush.value) / 32 * 100}%`; ring.style.left = `${to[0] / sheet.width * 100}%`; ring.style.top = `${to[1] / sheet.height * 100}%`;
};


const asked = () => {                                  // once: whether "Edit" was pressed and the sheet has not been shown since
  const page = document.documentElement.dataset, on = page.edit === 'true';
  delete page.edit;
  return on;
};
const open = (on) => { if (sheet) setMode(on ? 'paint' : 'run'); };

const onValue = async () => {
  const v = props.value;
  if (!v?.picture) { sheet = image = mask = null; sent = ''; paper.dataset.picture = ''; setMode('off'); return; }
  const same = sheet?.name === v.name && sheet.width === v.width && v.mask === sent;
  const mine = sheet = v;
  if (v.strength) setStrength(v.strength);
  if (!same) {
    paper.width = v.width; paper.height = v.height; sent = v.mask; cursor = null;
    mask = new Uint8Array(v.width * v.height);
    if (v.mask) mask.set(Uint8Array.from(atob(v.mask), (c) => c.charCodeAt(0)).subarray(0, mask.length));
    const bytes = Uint8Array.from(atob(v.picture), (c) => c.charCodeAt(0));
    const made = await createImageBitmap(new Blob([bytes], { type: 'image/png' }));
    if (mine.picture !== sheet?.picture) return;
    image = made; past = []; paper.dataset.picture = v.name;
  }
  if (asked() || v.open) setMode('paint');
  else if (root.dataset.mode === 'off') setMode('run');
  setKind(sheet.what ?? 'inpaint');
};

const put = (change) => { sheet = { ...sheet, ...change, open: false }; props.value = sheet; };

const send = () => {
  let text = '';
  for (let k = 0; k < mask.length; k += 8192) text += String.fromCharCode(...mask.subarray(k, k + 8192));
  sent = mask.some(Boolean) ? btoa(text) : '';
  put({ mask: sent, filed: false });                   // what is painted replaces a mask from a file
  trigger('input');
};

const keep = () => { past = [...past.slice(-49), mask.slice()]; };
const undo = () => { if (past.length) { mask = past.pop(); show(); send(); } };

const at = (event) => {
  const box = paper.getBoundingClientRect();
  return [(event.clientX - box.left) / box.width * sheet.width, (event.clientY - box.top) / box.height * sheet.height];
};
const erases = () => $('.erase').ariaPressed === 'true';
const dab = (to, on) => {
  for (const pixel of pixelsUnder(to, Number(brush.value) / 2 * sheet.width / 32, sheet)) mask[pixel] = on;
};
const stroke = (event) => {
  const to = at(event), on = erases() ? 0 : 1;
  const steps = Math.max(1, Math.ceil(Math.hypot(to[0] - last[0], to[1] - last[1]) * 2));
  for (let k = 1; k <= steps; k++) dab([0, 1].map((axis) => last[axis] + (to[axis] - last[axis]) * k / steps), on);
  last = to;
  show();
};

paper.addEventListener('pointerdown', (event) => {
  if (!sheet || root.dataset.what !== 'inpaint') return;
  sheet.filed = false; keep();
  paper.setPointerCapture(event.pointerId); cursor = null; last = at(event); stroke(event);
});
paper.addEventListener('pointermove', (event) => { if (sheet) ringAt(at(event)); if (last) stroke(event); });
for (const end of ['pointerleave', 'pointerup']) paper.addEventListener(end, (event) => { if (end === 'pointerleave' || event.pointerType === 'touch') ringAt(cursor); });
for (const end of ['pointerup', 'pointercancel']) paper.addEventListener(end, () => { if (last) { last = null; send(); } });
paper.addEventListener('keydown', (event) => {
  const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  if (!sheet || root.dataset.what !== 'inpaint' || !(event.key in moves || event.key === ' ')) return;
  event.preventDefault(); event.stopPropagation();
  cursor ??= [sheet.width / 2, sheet.height / 2];
  ringAt(cursor);
  if (event.key === ' ') { keep(); dab(cursor, erases() ? 0 : 1); show(); send(); return; }
  const most = [sheet.width, sheet.height];
  cursor = cursor.map((one, axis) => Math.max(0.5, Math.min(most[axis] - 0.5, Math.floor(one) + 0.5 + moves[event.key][axis])));
  ringAt(cursor); show();
});
paper.addEventListener('blur', () => { cursor = null; ringAt(null); show(); });
paper.addEventListener('focus', () => {
  if (!sheet || !paper.matches(':focus-visible')) return;
  cursor ??= [sheet.width / 2, sheet.height / 2];
  ringAt(cursor); show();
});
brush.addEventListener('input', () => { if (sheet) ringAt(cursor ?? [sheet.width / 2, sheet.height / 2]); });
brush.addEventListener('blur', () => ringAt(cursor));
number.addEventListener('change', () => {
  $('.of').textContent = `Opening picture ${Number(number.value) + 1} …`;
  document.documentElement.dataset.take = number.value;
  document.querySelector('#use-picture')?.click();
});

for (const name of ['.draw', '.erase']) {
  $(name).addEventListener('click', () => { for (const other of ['.draw', '.erase']) $(other).ariaPressed = other === name; });
}
$('.all').addEventListener('click', () => { if (sheet) { keep(); mask = mask.map((on) => 1 - on); show(); send(); } });
$('.clear').addEventListener('click', () => { if (sheet) { keep(); mask.fill(0); show(); send(); } });
$('.undo').addEventListener('click', undo);
root.addEventListener('keydown', (event) => {
  if (event.key !== 'z' || !(event.ctrlKey || event.metaKey) || event.shiftKey || root.dataset.what !== 'inpaint') return;
  event.preventDefault(); undo();
});
for (const one of element.querySelectorAll('button[data-what]')) {
  one.addEventListener('click', () => { setKind(one.dataset.what); put({ what: one.dataset.what }); trigger('select'); });
}
strength.addEventListener('input', () => setStrength(strength.value));
strength.addEventListener('change', () => { put({ strength: Number(strength.value) }); trigger('release'); });
$('.go').addEventListener('click', () => document.querySelector('#generate')?.click());
$('.again').addEventListener('click', () => open(true));
$('.leave').addEventListener('click', () => { delete document.documentElement.dataset.edit; setMode('off'); trigger('clear'); document.querySelector('#player .edit')?.focus({ preventScroll: true }); });

const onPressed = () => {
  const held = root.contains(document.activeElement);
  delete document.documentElement.dataset.edit; open(false);
  if (held) player()?.focus({ preventScroll: true });
};
const OWN_ESCAPE = 'textarea, select, dialog, [role=listbox], input:not([type=range])';
const onKey = (event) => {
  if (event.key !== 'Escape' || event.defaultPrevented || root.dataset.mode !== 'paint' || event.target.closest?.(OWN_ESCAPE)) return;
  if (!root.checkVisibility() || document.querySelector('dialog[open], :popover-open')) return;
  event.preventDefault();
  $('.leave').click();
};
const onChoice = () => { if (root.dataset.mode === 'paint') setTimeout(want, 250); };
const onRefused = ({ detail }) => { if (detail?.refused && sheet) open(true); };
const onOpen = () => { if (sheet && asked()) open(true); };
for (const [name, hear] of [['pressed', onPressed], ['unpressed', onRefused], ['edit-on-stage', onOpen], ['keydown', onKey], ['input', onChoice], ['click', onChoice]]) {
  document.addEventListener(name, function heard(event) {      // Gradio takes the element away where there is no edit
    if (root.isConnected) hear(event); else document.removeEventListener(name, heard);
  });
}

watch('value', onValue);
onValue();
