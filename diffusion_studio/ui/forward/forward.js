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
const WORDS = { line: '▮ pixels  ━ {name}', lines: { closed: 'at once', iterated: 'step by step', unscaled: 'without the factor' } };
const pace = { fps: 10, loops: true }, fullButton = find('.full-screen'), about = find('.about');
const calm = () => matchMedia('(prefers-reduced-motion: reduce)').matches;
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
  const before = find('.figure .ds-figure')?.dataset.playing === 'true';
  drawn?.stop();
  // it plays when the tab is opened, and after a choice if it did before
  const moves = drawn ? before : !calm();
  if (drawn) Object.assign(pace, { fps: drawn.pace().fps, loops: drawn.pace().loops });
  if (!drawn && moves) found.start = 0;
  drawn = { ...drawFigure(find('.figure'), found, { tall: innerWidth >= 1600, plays: moves, controls: pace, say: WORDS }), last: found.states - 1 };
  find('.transport').append(fullButton);
  find('.figure-curves').append(about);
  view.dataset.shown = mine;
};
const soon = () => {
  find('.betas').hidden = !all('.schedule').some((one) => one.value === 'table');
  find('.view').setAttribute('aria-busy', 'true');
  clearTimeout(timer); timer = setTimeout(show, REST);
};

const fullScreen = () => (document.fullscreenElement ? document.exitFullscreen() : find('.view').requestFullscreen?.());
fullButton.addEventListener('click', fullScreen);
// wherever the focus is, but where letters are typed: who has just opened the tab has it outside of the tab
document.addEventListener('keydown', (event) => {
  if (event.key === 'Escape' && document.fullscreenElement === find('.view')) document.exitFullscreen();
  if (event.key !== 'f' || event.ctrlKey || event.metaKey || event.altKey || !host.checkVisibility()) return;
  if (event.target.matches('select, textarea, input:not([type=range], [type=checkbox])')) return;
  event.preventDefault(); fullScreen();
});
document.addEventListener('fullscreenchange', () => {
  const full = document.fullscreenElement === find('.view');
  fullButton.textContent = full ? 'Leave full screen' : 'Full screen';
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
const ASK = 300;                                       // ms between two questions how far a file is
const UNREACHED = { error: 'The server does not answer. Try again.' };
const ask = async (what, given) => { try { return await server[what](given); } catch { return UNREACHED; } };
let making = null;                                     // what is being saved
const isSaving = (on) => { find('.saving').hidden = !on; find('.save').hidden = on; if (!on) making = null; };
const howFar = ({ done, of }) => {
  const bar = find('.saving progress');
  if (of) { bar.max = of; bar.value = done; } else bar.removeAttribute('value');
  find('.how-far').textContent = !of ? 'Beginning' : done < of ? `${done} of ${of} pictures drawn` : `${done} of ${of} drawn, writing`;
};
const pass = (ms) => new Promise((done) => setTimeout(done, ms));
const give = ({ name, data }) => {
  const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([bytes]));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  say(`Saved ${name}, ${(bytes.length / 1e6).toFixed(1)} MB.`);
};
const save = async (format) => {
  const mine = {};
  making = mine; say(''); isSaving(true); howFar({}); find('.cancel').focus({ preventScroll: true });
  let found = await ask('save', { ...choices(), format });
  mine.key = found.making;
  if (making !== mine) { if (mine.key) ask('cancel', { making: mine.key }); return; }      // cancelled meanwhile
  while (making === mine && !found.error && !found.data) {
    found = await ask('saving', { making: mine.key });
    if (making !== mine) return;
    if (!found.data && !found.error) { howFar(found); await pass(ASK); }
  }
  if (making !== mine) return;
  isSaving(false); find(`[data-format="${format}"]`).focus({ preventScroll: true });
  if (found.error) say(found.error, true); else give(found);
};
find('.cancel').addEventListener('click', () => {
  const { key } = making ?? {};
  isSaving(false); say('Cancelled: no file was saved.'); find('.save button').focus({ preventScroll: true });
  if (key) ask('cancel', { making: key });
});
for (const button of all('.save button')) button.addEventListener('click', () => save(button.dataset.format));
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
