// The Forward tab: reads the choices, asks the server for the figure of them, and lets it play.
const FIRST = 0.2;                                     // share of the way that is shown first
const REST = 150;                                      // ms without another change
const CREDITS = {
  example: 'Chelsea the cat by Stefan van der Walt (CC0).',
  file: 'Your picture, cut to a square. It is not kept.',
  run: 'The x0 that the player of Generate shows.',
};
const find = (what) => host.querySelector(what), all = (what) => [...host.querySelectorAll(what)];
const say = (text, bad = false) => { find('.status').textContent = text; find('.status').classList.toggle('bad', bad); };
let picture = { kind: 'example' }, asked = 0, drawn = null, timer = null, stream = null;
let wanted = { schedules: ['linear', 'cosine'], share: FIRST };   // what is shown first

const choices = () => ({
  picture,
  schedules: all('.schedule').map((one) => one.value),
  betas: find('.betas input').value,
  ways: all('.ways input:checked').map((one) => one.name),
  steps: Number(find('.steps').value), size: Number(find('.size').value), seed: Number(find('.seed').value),
});

const fill = (offered) => all('.schedule').forEach((select, k) => {
  if (select.options.length) return;
  if (k) select.add(new Option('none', ''));
  for (const [value, text] of offered) select.add(new Option(text, value));
  select.value = wanted.schedules[k] ?? '';
});

const show = async () => {
  const mine = ++asked, view = find('.view');
  view.setAttribute('aria-busy', 'true');
  let found;
  const given = choices();
  if (!drawn) given.schedules = wanted.schedules;
  try { found = await server.figure(given); } catch { found = { error: 'The server does not answer. Try again.' }; }
  if (mine !== asked) return;
  view.setAttribute('aria-busy', 'false');
  if (found.error) { say(found.error, true); view.dataset.shown = mine; return; }
  say(found.note);
  fill(found.choices);
  find('.thumb').src = found.thumb;
  find('.credit').textContent = CREDITS[picture.kind];
  const at = wanted.share ?? (drawn ? drawn.state() / drawn.last : FIRST);
  wanted.share = null;
  found.start = Math.round(at * (found.states - 1));
  drawn?.stop();
  drawn = { ...drawFigure(find('.figure'), found, { tall: innerWidth >= 1600 }), last: found.states - 1 };
  view.dataset.shown = mine;
};
const soon = () => {
  find('.betas').hidden = !all('.schedule').some((one) => one.value === 'table');
  find('.view').setAttribute('aria-busy', 'true');
  clearTimeout(timer); timer = setTimeout(show, REST);
};

const fullScreen = () => (document.fullscreenElement ? document.exitFullscreen() : find('.view').requestFullscreen?.());
find('.full-screen').addEventListener('click', fullScreen);
// wherever the focus is, but where letters are typed: who has just opened the tab has it outside of the tab
document.addEventListener('keydown', (event) => {
  if (event.key === 'Escape' && document.fullscreenElement === find('.view')) document.exitFullscreen();
  if (event.key !== 'f' || event.ctrlKey || event.metaKey || event.altKey || !host.checkVisibility()) return;
  if (event.target.matches('select, textarea, input:not([type=range], [type=checkbox])')) return;
  event.preventDefault(); fullScreen();
});
document.addEventListener('fullscreenchange', () => {
  const full = document.fullscreenElement === find('.view');
  find('.full-screen').textContent = full ? 'Leave full screen' : 'Full screen';
  if (full) find('.view').focus({ preventScroll: true });          // else Space would leave it again
});

// ---- the picture
const base64 = (blob) => new Promise((done) => {
  const reader = new FileReader();
  reader.onload = () => done(reader.result.slice(reader.result.indexOf(',') + 1));
  reader.readAsDataURL(blob);
});
const use = async (file) => {
  if (!file) return;
  if (file.size > 24 * 2 ** 20) { say('This file is larger than 24 MB. Choose a smaller one.', true); return; }
  picture = { kind: 'file', data: await base64(file) };
  soon();
};
const dark = () => { for (const track of stream?.getTracks() ?? []) track.stop(); stream = null; find('.live').hidden = true; find('.camera').textContent = 'Camera'; };

find('.example').addEventListener('click', () => { dark(); picture = { kind: 'example' }; soon(); });
find('.file').addEventListener('change', (event) => { dark(); use(event.target.files[0]); event.target.value = ''; });
host.addEventListener('dragover', (event) => event.preventDefault());
host.addEventListener('drop', (event) => { event.preventDefault(); use(event.dataTransfer.files[0]); });
find('.of-run').addEventListener('click', () => {
  dark();
  const data = document.querySelector('#player .player')?.dataset ?? {};
  picture = { kind: 'run', run: data.run ?? null, shown: Number(data.shown ?? 0), zoom: data.zoom ? Number(data.zoom) : null };
  soon();
});
find('.camera').addEventListener('click', async () => {
  const video = find('.live');
  if (stream) {
    const shot = document.createElement('canvas');
    [shot.width, shot.height] = [video.videoWidth, video.videoHeight];
    shot.getContext('2d').drawImage(video, 0, 0);
    dark();
    shot.toBlob((blob) => use(blob), 'image/png');
    return;
  }
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { width: 640, height: 480 } });
  } catch { say('No camera can be used here. Allow it in the browser, or open a file.', true); return; }
  video.srcObject = stream; video.hidden = false;
  await video.play();
  find('.camera').textContent = 'Take it';
});

// ---- the rest
find('.choices').addEventListener('change', (event) => { if (!event.target.matches('.file')) soon(); });
find('.choices').addEventListener('submit', (event) => event.preventDefault());
for (const button of all('.save button')) button.addEventListener('click', async () => {
  const buttons = all('.save button');
  for (const one of buttons) one.disabled = true;
  say('The file is being made; an animation takes some seconds.');
  let made;
  try { made = await server.save({ ...choices(), format: button.dataset.format }); } catch { made = { error: 'The server does not answer. Try again.' }; }
  for (const one of buttons) one.disabled = false;
  if (made.error) { say(made.error, true); return; }
  const bytes = Uint8Array.from(atob(made.data), (letter) => letter.charCodeAt(0));
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([bytes]));
  link.download = made.name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  say(`Saved ${made.name}, ${(bytes.length / 1e6).toFixed(1)} MB.`);
});
find('.view').addEventListener('keydown', (event) => { if (!event.defaultPrevented) drawn?.press(event); });      // beside the figure, too
// A lesson leaves here what its figure shows.
const take = () => {
  const text = document.documentElement.dataset.forward;
  if (!text) return;
  delete document.documentElement.dataset.forward;
  const { schedules, ways, share } = JSON.parse(text);
  wanted = { schedules: schedules ?? wanted.schedules, share: share ?? null };
  if (schedules) all('.schedule').forEach((select, k) => { if (select.options.length) select.value = schedules[k] ?? ''; });
  if (ways) for (const one of all('.ways input')) one.checked = ways.includes(one.name);
  dark(); picture = { kind: 'example' };                 // the lesson's photograph
  if (drawn || asked) soon();
};
document.addEventListener('forward-choices', take);
take();
show();
