// A canvas to draw on; its value is what is on it, as a PNG, sent when a stroke ends.
const $ = (name) => element.querySelector(name);
const canvas = $('canvas'), context = canvas.getContext('2d');
let last = null, empty = true;

const blank = () => { context.fillStyle = 'white'; context.fillRect(0, 0, canvas.width, canvas.height); };
const send = () => { $('.invite').hidden = !empty; props.value = empty ? null : canvas.toDataURL('image/png'); };

const place = (event) => {
  const box = canvas.getBoundingClientRect();
  return [(event.clientX - box.left) / box.width * canvas.width, (event.clientY - box.top) / box.height * canvas.height];
};

const stroke = (to) => {
  context.strokeStyle = 'black'; context.lineCap = context.lineJoin = 'round'; context.lineWidth = Number($('.pen').value);
  context.beginPath(); context.moveTo(...(last ?? to)); context.lineTo(...to); context.stroke();
  last = to; empty = false;
};

canvas.addEventListener('pointerdown', (event) => { canvas.setPointerCapture(event.pointerId); last = null; stroke(place(event)); $('.invite').hidden = true; });
canvas.addEventListener('pointermove', (event) => { if (last) for (const one of event.getCoalescedEvents?.() ?? [event]) stroke(place(one)); });
for (const name of ['pointerup', 'pointercancel']) canvas.addEventListener(name, () => { if (last) { last = null; send(); } });

$('.clear').addEventListener('click', () => { blank(); empty = true; send(); });

const open = async (file) => {
  if (!file) return;
  const picture = await createImageBitmap(file).catch(() => null);
  if (!picture) return;
  const scale = Math.min(canvas.width / picture.width, canvas.height / picture.height);
  const [w, h] = [picture.width * scale, picture.height * scale];
  blank();
  context.drawImage(picture, (canvas.width - w) / 2, (canvas.height - h) / 2, w, h);
  picture.close();
  empty = false;
  send();
};

$('.file').addEventListener('change', (event) => { open(event.target.files[0]); event.target.value = ''; });
canvas.addEventListener('dragover', (event) => event.preventDefault());
canvas.addEventListener('drop', (event) => { event.preventDefault(); open(event.dataTransfer.files[0]); });
blank();
