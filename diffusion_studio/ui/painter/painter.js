// The painter's page half. value = {picture, name, width, height, mask}: a PNG and one byte a pixel, both in base64.
// A stroke paints whole pixels of the model and leaves the page only as part of the value.
const $ = (name) => element.querySelector(name);
const paper = $('.paper'), brush = $('.brush'), context = paper.getContext('2d');
let sheet = null, mask = null, image = null, last = null, sent = '';

const show = () => {
  if (!sheet) return;
  context.clearRect(0, 0, paper.width, paper.height);
  if (image) context.drawImage(image, 0, 0);
  context.fillStyle = 'rgba(255, 59, 48, 0.62)';
  mask.forEach((on, k) => { if (on) context.fillRect(k % sheet.width, Math.floor(k / sheet.width), 1, 1); });
  paper.dataset.painted = mask.reduce((sum, on) => sum + on, 0);
};

const onValue = async () => {
  const v = props.value;
  if (!v?.picture) { sheet = image = null; context.clearRect(0, 0, paper.width, paper.height); return; }
  if (v.mask && v.mask === sent) return;               // our own
  const mine = sheet = v;
  paper.width = v.width; paper.height = v.height; sent = v.mask;
  mask = new Uint8Array(v.width * v.height);
  if (v.mask) mask.set(Uint8Array.from(atob(v.mask), (c) => c.charCodeAt(0)).subarray(0, mask.length));
  const bytes = Uint8Array.from(atob(v.picture), (c) => c.charCodeAt(0));
  const made = await createImageBitmap(new Blob([bytes], { type: 'image/png' }));
  if (mine !== sheet) return;
  image = made; paper.dataset.picture = v.name;
  show();
};

const send = () => {
  let text = '';
  for (let k = 0; k < mask.length; k += 8192) text += String.fromCharCode(...mask.subarray(k, k + 8192));
  sent = mask.some(Boolean) ? btoa(text) : '';
  props.value = { ...sheet, mask: sent };
  trigger('input');
};

const at = (event) => {
  const box = paper.getBoundingClientRect();
  return [(event.clientX - box.left) / box.width * sheet.width, (event.clientY - box.top) / box.height * sheet.height];
};

const dab = (to, on) => {
  for (const pixel of pixelsUnder(to, Number(brush.value) / 2 * sheet.width / 32, sheet)) mask[pixel] = on;
};

const stroke = (event) => {
  const to = at(event), on = $('.erase').getAttribute('aria-pressed') === 'true' ? 0 : 1;
  const steps = Math.max(1, Math.ceil(Math.hypot(to[0] - last[0], to[1] - last[1]) * 2));
  for (let k = 1; k <= steps; k++) dab([0, 1].map((axis) => last[axis] + (to[axis] - last[axis]) * k / steps), on);
  last = to;
  show();
};

paper.addEventListener('pointerdown', (event) => { if (sheet) { paper.setPointerCapture(event.pointerId); last = at(event); stroke(event); } });
paper.addEventListener('pointermove', (event) => { if (last) stroke(event); });
for (const end of ['pointerup', 'pointercancel']) paper.addEventListener(end, () => { if (last) { last = null; send(); } });
$('.erase').addEventListener('click', () => $('.erase').setAttribute('aria-pressed', String($('.erase').getAttribute('aria-pressed') !== 'true')));
$('.all').addEventListener('click', () => { if (sheet) { mask = mask.map((on) => 1 - on); show(); send(); } });
$('.clear').addEventListener('click', () => { if (sheet) { mask.fill(0); show(); send(); } });

watch('value', onValue);
onValue();
