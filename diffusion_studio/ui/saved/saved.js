// The saved card's page half: a file that was made is downloaded at once, and shown with what it is. In the panel of exports it
// stands in line.
const $ = (name) => element.querySelector(name);
const card = $('.saved'), prefix = element.closest('#points-saved, #points-file') ? 'points-' : element.closest('#compare-saved') ? 'compare-' : '';
const inline = element.closest('.made-card') !== null;
let shown = null;
card.classList.toggle('inline', inline); $('.close').hidden = inline;

const onValue = () => {
  const v = props.value;
  if (inline && !v?.path) { card.hidden = true; shown = null; $('.again').removeAttribute('download'); return; }
  if (!v?.path || v.path === shown) return;
  shown = v.path;
  const root = (window.gradio_config?.root ?? '').replace(/[/]$/, '');
  const url = `${root}/gradio_api/file=${v.path}`;
  const film = /[.](mp4|html)$/.test(v.name);         // no <img> shows one
  $('.preview').hidden = $('.copy').hidden = film;
  $('.others').hidden = inline || prefix === 'compare-';         // where the format is chosen beside the button
  $('.preview').src = film ? '' : url; $('.name').textContent = v.name; $('.said').textContent = [`${v.size} MB`, v.said].filter(Boolean).join(' · ');
  $('.again').textContent = 'Download again';
  Object.assign($('.again'), { href: url, download: v.name });
  for (const one of element.querySelectorAll('[data-preset]')) one.ariaPressed = one.dataset.preset === v.preset;
  card.hidden = false;
  if (inline) card.scrollIntoView({ block: 'nearest' }); else place();
  $('.again').click();
};

// Over the pictures, where no button lies. A card that is higher than they are begins with them.
const place = () => {
  if (card.hidden || inline) return;
  const pictures = { '': '#player .stage figure > canvas', 'points-': '#points-player .stage figure > canvas', 'compare-': '#compare-together canvas' }[prefix];
  const boxes = [...document.querySelectorAll(pictures)].filter((one) => one.checkVisibility()).map((one) => one.getBoundingClientRect());
  if (!boxes.length) return;
  Object.assign(card.style, { left: 0, top: 0 });
  const at = card.getBoundingClientRect(), edge = (name, of) => Math[of](...boxes.map((box) => box[name]));
  card.style.left = `${Math.max(8, edge('right', 'max') - at.width - 8) - at.left}px`;
  card.style.top = `${Math.max(edge('top', 'min'), edge('bottom', 'max') - at.height - 8) - at.top}px`;
};
addEventListener('resize', place);

document.addEventListener('pressed', () => { if (!inline) card.hidden = true; });      // a new run begins
document.addEventListener('click', ({ target }) => {      // the next thing that is done puts it away
  if (!inline && target.closest('[role=tab], #history, #generate, #player, #model, #examples, #points-player, #points-quick, #compare-quick, #compare-together') && !target.closest('.save')) card.hidden = true;
});
const asPng = async () => {                            // browsers take PNG alone; of a film what the player shows
  const picture = $('.preview');
  await picture.decode();
  const canvas = document.createElement('canvas'), finished = prefix ? null : document.querySelector('#player [data-half="x"] > canvas');
  const still = /[.]png$/.test(props.value.name) || !finished ? picture : finished;
  const wide = still.naturalWidth ?? still.width, high = still.naturalHeight ?? still.height;
  const scale = still === picture ? 1 : Math.max(1, Math.floor(512 / Math.max(wide, high)));
  canvas.width = wide * scale; canvas.height = high * scale;
  const context = canvas.getContext('2d');
  context.imageSmoothingEnabled = false;
  context.drawImage(still, 0, 0, canvas.width, canvas.height);
  return new Promise((done) => canvas.toBlob(done, 'image/png'));
};
$('.copy').addEventListener('click', async () => {
  const said = (text) => { $('.copy').textContent = text; setTimeout(() => { $('.copy').textContent = 'Copy'; }, 2500); };
  try {
    await navigator.clipboard.write([new ClipboardItem({ 'image/png': asPng() })]);
    said('Copied');
  } catch { said('Not allowed here'); }                // without https, or the browser forbids it
});
const SAVE = { '': '#player .save', 'points-': '#points-player .save', 'compare-': '#compare-save button, button#compare-save' }[prefix];
$('.close').addEventListener('click', () => {          // the focus goes back to what made the file, where it would be lost
  const held = document.activeElement, lost = held === document.body || card.contains(held);
  card.hidden = true;
  if (lost) document.querySelector(SAVE)?.focus({ preventScroll: true });
});
for (const one of element.querySelectorAll('[data-preset]')) {
  one.addEventListener('click', () => { document.documentElement.dataset.preset = one.dataset.preset; document.querySelector(`#${prefix}save-gif`)?.click(); });
}
$('.more').addEventListener('click', () => {
  card.hidden = true;
  document.documentElement.dataset.used = JSON.stringify(props.value.used);
  if (!prefix) document.dispatchEvent(new CustomEvent('open-settings'));
  setTimeout(() => {
    const panel = document.querySelector(`#${prefix}export`);
    panel.scrollIntoView({ block: 'start' });
    const open = document.querySelector(`#${prefix}make-file`)?.checkVisibility();
    (open ? document.querySelector(`#${prefix}export-again`) : panel.querySelector('button')).click();
  }, 80);
});

watch('value', onValue);
onValue();
