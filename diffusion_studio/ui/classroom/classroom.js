// The classroom's page half. follow.mjs comes before it. The player is asked what it shows by its data attributes, and told by 'follow'.
const $ = (name) => element.querySelector(name);
const bar = $('.classroom'), player = () => document.querySelector('#player .player');
const SPEAK_MS = 500, ASK_MS = 1000, code = roomOf(location.search);
const KEPT = 'diffusion-studio-room';
const LOST_ROOM = 'Your room was closed: the server was restarted, or heard nothing of this page for minutes. Open another one, and give its link to the class.';
let room = null;                                       // {code, key} of the room that this page teaches
const keep = (text) => { try { sessionStorage.setItem(KEPT, text); } catch { /* without it a reload loses the room */ } };
const kept = () => { try { return JSON.parse(sessionStorage.getItem(KEPT) || 'null'); } catch { return null; } };

const show = (part) => {
  bar.hidden = part === null;
  for (const name of ['offer', 'teaching', 'attending']) $(`.${name}`).hidden = name !== part;
};
const say = (text) => { if ($('.said').textContent !== text) $('.said').textContent = text; };
const speed = () => Number(document.querySelector('#player .speed')?.value ?? 10);
const here = () => {
  const { run = '', place = '0', ended, playing } = player()?.dataset ?? {};
  return { run, place: Math.max(0, Number(place)), ended: ended === 'true', playing: playing === 'true' };
};

// ---- the teacher's page --------------------------------------------------------------------------------------------
const speak = async () => {
  while (room && bar.isConnected) {
    const mine = room, at = await server.show({ ...mine, ...here(), fps: speed(), leads: $('.leads').checked }).catch(() => null);
    if (mine !== room) return;
    if (at?.closed) { room = null; keep(''); show('offer'); say(LOST_ROOM); return; }
    if (at) $('.watching').textContent = watchingText(at.watching);
    await new Promise((go) => setTimeout(go, SPEAK_MS));
  }
};

document.addEventListener('classroom', () => { if (!code && !room) show(bar.hidden ? 'offer' : null); });
$('.never').addEventListener('click', () => {
  const held = document.activeElement, lost = held === document.body || bar.contains(held);
  show(null);
  if (lost) document.querySelector('#player .class')?.focus({ preventScroll: true });
});
$('.begin').addEventListener('click', async () => {
  const made = await server.teach({}).catch(() => ({ error: 'The server does not answer. Try again.' }));
  if (made.error) return say(made.error);
  say('');
  teach(made);
});
const teach = (one) => {
  room = one; keep(JSON.stringify(room));
  $('.teaching .code').textContent = room.code; $('.watching').textContent = watchingText(0);
  $('.near').hidden = !onlyHere(location.hostname);
  show('teaching');
  speak();
};
const link = () => { const to = new URL(location.href); to.search = `?room=${room.code}`; to.hash = ''; return to.href; };
$('.copy').addEventListener('click', async () => {
  try { await navigator.clipboard.writeText(link()); say('Copied.'); setTimeout(() => say(''), 2000); }
  catch { say(link()); }                               // a page that is not served securely may not use the clipboard
});
$('.end').addEventListener('click', () => { server.close(room).catch(() => {}); room = null; keep(''); show(null); });

// ---- a page in the room --------------------------------------------------------------------------------------------
const follow = (told) => {
  const stage = player();
  if (!stage || !told.tick) return;
  const place = nextPlace(told, here());
  stage.dispatchEvent(new CustomEvent('follow', { detail: { tick: told.tick, place, playing: told.playing, fps: told.fps } }));
};

const attend = async () => {
  const page = crypto.randomUUID?.() ?? `${Math.random()}`;
  document.documentElement.classList.add('in-room');
  $('.attending .code').textContent = code;
  const to = new URL(location.href); to.searchParams.delete('room'); $('.leave').href = to.href;
  show('attending');
  let seen = false;                                    // whether anything was shown
  while (bar.isConnected) {
    const told = await server.look({ code, page }).catch(() => null);
    $('.words').textContent = attendingText(told, seen);
    document.documentElement.classList.toggle('led', !!told?.tick && told.place !== undefined);
    if (told?.tick) { seen = true; follow(told); }
    await new Promise((go) => setTimeout(go, told?.closed ? 10 * ASK_MS : ASK_MS));
  }
};
if (code) attend(); else if (kept()) teach(kept());      // a page that was loaded again keeps its room
