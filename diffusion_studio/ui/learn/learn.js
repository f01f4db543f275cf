// The Learn tab: the course at the left, a lesson at the right. What was answered is kept in this browser.
const KEY = 'diffusion-studio-lessons';
const root = host.querySelector('.ds-learn');
const build = (tag, attributes = {}, ...inner) => {
  const one = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) if (value !== null) one.setAttribute(name, value);
  one.append(...inner);
  return one;
};
const kept = (() => {
  try { return { answers: {}, ...JSON.parse(localStorage.getItem(KEY) ?? '{}') }; } catch { return { answers: {} }; }
})();
const keep = () => { try { localStorage.setItem(KEY, JSON.stringify(kept)); } catch { /* a browser that keeps nothing */ } };
const ask = async (name, given) => { try { return await server[name](given); } catch { return { error: course?.words.lost ?? 'The server does not answer. Try again.' }; } };
let course = null, open = null, shows = 0, drawn = null, teased = null, followed = 0;
const made = new Map();                                // the figures of this visit by lesson: they go on while another lesson is read

const nav = build('nav', { class: 'course' }), article = build('article', { class: 'lesson', tabindex: -1 });
root.append(nav, article);

// ---- the course
const list = () => {
  const say = course.words;
  const select = build('select', { 'aria-label': 'Language', class: 'language' });
  for (const [code, name] of Object.entries(course.languages)) select.add(new Option(name, code, false, code === course.language));
  select.addEventListener('change', () => { kept.language = select.value; keep(); begin(); });
  const steps = build('ol', {});
  for (const one of course.lessons) {
    if (one.error) { steps.append(build('li', { class: 'broken' }, one.error)); continue; }
    const done = one.name in kept.answers, missed = done && kept.missed?.[one.name];
    const button = build('button', { type: 'button', 'data-lesson': one.name, 'aria-current': open?.name === one.name ? 'step' : null, class: missed ? 'done missed' : done ? 'done' : '' },
      build('span', { class: 'number', 'aria-hidden': 'true' }, missed ? '\u2717' : done ? '\u2713' : String(one.number)), build('span', { class: 'title' }, one.title));
    if (done) button.append(build('span', { class: 'hidden' }, `(${say.done})`));
    button.addEventListener('click', () => show(one.name));
    steps.append(build('li', {}, button));
  }
  const all = course.lessons.filter((one) => !one.error), done = all.filter((one) => one.name in kept.answers).length;
  const progress = build('p', { class: 'progress-line' }, say.progress.replace('{done}', done).replace('{all}', all.length));
  nav.setAttribute('aria-label', say.course);
  nav.replaceChildren(build('div', { class: 'head' }, build('h2', {}, say.course), select), steps, progress);
};

const begin = async () => {
  const found = await ask('course', { language: kept.language ?? navigator.language?.slice(0, 2) });
  if (found.error) { article.replaceChildren(build('p', { class: 'verdict' }, found.error)); return; }
  course = found;
  root.lang = course.language;
  const names = course.lessons.filter((one) => !one.error).map((one) => one.name);
  list();
  await show(names.includes(kept.last) ? kept.last : names[0], false);
};

// ---- a lesson
const show = async (name, moves = true) => {
  const mine = ++shows;
  if (drawn && open && made.has(open.name)) made.get(open.name).at = drawn.state();
  drawn?.stop(); drawn = null;
  const found = await ask('lesson', { name, language: course.language });
  if (mine !== shows) return;                            // another one was chosen meanwhile
  if (found.error) { article.replaceChildren(build('p', { class: 'verdict' }, found.error)); return; }
  open = found; kept.last = name; keep();
  list();
  draw();
  if (made.has(found.name)) { look(false); retell(found); } else tease(found, mine);
  if (moves) { article.focus({ preventScroll: true }); article.scrollIntoView({ block: 'start' }); }
};

const html = (tag, attributes, text) => { const one = build(tag, attributes); one.innerHTML = text; return one; };

const draw = () => {
  const say = course.words, one = open;
  article.lang = one.language;
  article.dataset.lesson = one.name;
  article.dataset.shown = 'question';
  const form = build('form', { class: 'question' });
  const group = build('fieldset', {}, build('legend', {}, build('span', { class: 'kicker' }, say.question), html('span', {}, one.question)));
  one.answers.forEach((answer, k) => {
    const radio = build('input', { type: 'radio', name: 'answer', value: k });
    radio.checked = kept.answers[one.name] === k;
    group.append(build('label', {}, radio, html('span', {}, answer), build('span', { class: 'mark' })));
  });
  const press = build('button', { type: 'submit', class: 'press' }, one.name in kept.answers ? say.again : say.answer);
  const hint = build('span', { class: 'hint', role: 'status' });
  form.append(group, build('div', { class: 'pressing' }, press, hint));
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    const chosen = form.querySelector('input:checked');
    if (!chosen) { hint.textContent = say.choose; return; }
    hint.textContent = '';
    kept.answers[one.name] = Number(chosen.value);
    (kept.missed ??= {})[one.name] = Number(chosen.value) !== one.right;
    keep();
    list();
    press.textContent = say.again;
    const entry = made.get(one.name);
    if (!entry || entry.error) compute(one);
    look(true);
  });
  const text = html('div', { class: 'text' }, one.before);
  if (one.picture) text.prepend(build('img', { class: 'photograph', src: one.picture, alt: say.photograph, title: say.photograph, width: 128, height: 128 }));
  if (course.symbols) text.append(build('details', { class: 'symbols' }, build('summary', {}, say.symbols), html('div', {}, course.symbols)));
  const reading = build('details', { class: 'reading', open: '' }, build('summary', {}, say.reading), text);
  article.replaceChildren(
    ...(one.language === course.language ? [] : [build('p', { class: 'fallback', lang: course.language }, say.fallback)]),
    build('h2', {}, `${one.number}. ${one.title}`), build('p', { class: 'minutes' }, say.minutes.replace('{n}', one.minutes)),
    build('div', { class: 'intro' }, build('div', { class: 'teaser' }), reading, form), build('div', { class: 'seen' }),
  );
  if (one.name in kept.answers) article.append(onward(one));     // answered before: one may go on at once
};

// Something of the lesson's subject moves at once, until the figure takes its place.
const tease = async (one, mine) => {
  const found = await ask('teaser', { name: one.name, language: course.language });
  const place = article.querySelector('.teaser');
  if (mine !== shows || !found.figure || article.dataset.shown === 'whole') return;
  teased = drawFigure(place, found.figure, { fps: 8, plays: true, loops: found.loops, say: course.words });
};

// Which answer is right, and that the chosen one is not.
const mark = (form, one) => form.querySelectorAll('label').forEach((label, k) => {
  const missed = label.querySelector('input').checked && k !== one.right;
  label.classList.toggle('right', k === one.right);
  label.classList.toggle('missed', missed);
  label.querySelector('.mark').textContent = k === one.right ? '\u2713' : missed ? '\u2717' : '';
});

// A tab of the page; on a narrow one it may be in the menu of those that have no room.
const goTo = (name) => {
  const named = (where) => [...document.querySelectorAll(where)].find((one) => one.textContent.trim() === name);
  const tab = named('button[role=tab]');
  if (tab) { tab.click(); return; }
  document.querySelector('.overflow-menu > button')?.click();
  setTimeout(() => named('.overflow-dropdown button')?.click(), 100);
};

// What of another tab is chosen by a lesson; what is not there yet is waited for.
const waitFor = async (where) => {
  for (let k = 0; k < 100; k += 1) {
    const one = document.querySelector(where);
    if (one?.checkVisibility()) return one;
    await new Promise((done) => setTimeout(done, 100));
  }
  return null;
};
const choose = {
  Forward: (choices) => {
    const share = drawn ? drawn.state() / Math.max(1, drawn.last) : undefined;
    document.documentElement.dataset.forward = JSON.stringify({ ...choices, share });
    document.dispatchEvent(new CustomEvent('forward-choices'));   // heard where the tab has been opened before
  },
  Points: async ({ shape, steps }) => {
    (await waitFor(`#shape [data-name="${CSS.escape(shape ?? '')}"]`))?.click();
    const field = steps && await waitFor('#points-steps input[type=number]');
    if (!field) return;
    field.value = steps;
    for (const name of ['input', 'change', 'blur']) field.dispatchEvent(new Event(name, { bubbles: true }));
  },
};
const follow = (one) => {
  if (one.tab) { goTo(one.tab); choose[one.tab]?.(one.choices); return; }
  goTo(one.kind === 'race' ? 'Compare' : 'Generate');
  send({ kind: one.kind, text: one.text, number: followed += 1 });
};

// Where the lesson leads: to the same settings in another tab, and to the next lesson.
const onward = (one) => {
  const say = course.words, line = build('p', { class: 'onward' });
  if (one.link) {
    const link = build('a', { class: 'button-link go-on', href: one.link }, say['go on']);
    link.addEventListener('click', (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return;   // into a window of its own
      event.preventDefault();
      follow(one);
    });
    line.append(link, ` ${one.note}`);
  }
  if (one.tab) {
    const tab = build('button', { type: 'button', class: 'go-on' }, say['go on']);
    tab.addEventListener('click', () => follow(one));
    line.append(tab, ` ${say[Object.keys(one.choices).length ? 'go on choices' : 'go on tab'].replace('{tab}', one.tab)}`);
  }
  const after = course.lessons.filter((other) => !other.error && other.number > one.number)[0];
  if (after) {
    const next = build('button', { type: 'button', class: 'next' }, `${say.next}: ${after.title}`);
    next.addEventListener('click', () => show(after.name));
    line.append(next);
  }
  return line;
};

// After the last lesson: what the course was, how many answers were right, and where to go on.
const ending = () => {
  const say = course.words, names = course.lessons.filter((one) => !one.error).map((one) => one.name);
  const answered = names.filter((name) => name in kept.answers), right = answered.filter((name) => !kept.missed?.[name]);
  const score = say['end score'].replace('{done}', answered.length).replace('{all}', names.length).replace('{right}', right.length);
  const again = (said, which) => {                         // those to go to once more, as buttons
    if (!which.length) return [];
    const line = build('p', { class: 'again' }, said, ' ');
    for (const other of course.lessons.filter((found) => which.includes(found.name))) {
      const button = build('button', { type: 'button', 'data-again': other.name }, `${other.number}. ${other.title}`);
      button.addEventListener('click', () => show(other.name));
      line.append(button);
    }
    return [line];
  };
  const missed = again(say['end missed'], answered.filter((name) => kept.missed?.[name]));
  const left = again(say['end open'], names.filter((name) => !(name in kept.answers)));
  return build('div', { class: 'text ending' }, build('h3', {}, say['end title']), html('p', {}, say['end seen']), build('p', { class: 'score' }, score), ...missed, ...left, html('p', {}, say['end next']));
};

const isOpen = (one) => open?.name === one.name && article.querySelector('.figure');

// A figure is computed to its end, whichever lesson is in sight by then. `first` is the server's first answer, where there is one.
const compute = async (one, first = null) => {
  const entry = { began: Date.now(), news: null, figure: null, language: '', parts: 0, done: false, error: '' };
  made.set(one.name, entry);
  let found = first ?? await ask('figure', { name: one.name, language: course.language });
  for (;;) {
    if (found.error) { entry.error = found.error; entry.done = true; }
    entry.news = found;
    entry.done ||= found.done;
    entry.fresh = Boolean(found.figure);
    if (found.figure) { entry.figure = found.figure; entry.language = found.language; entry.parts += 1; }
    if (isOpen(one)) refresh(entry, true);
    if (entry.done) { retell(one); return; }
    found = await ask('more', { job: found.job, seen: found.seen, language: course.language });
  }
};

// After a change of language: the figure that is there stays until the server has told it again, or drawn it again.
const retell = async (one) => {
  const entry = made.get(one.name);
  if (!entry.done || !entry.figure || entry.language === course.language) return;
  const found = await ask('figure', { name: one.name, language: course.language, again: true });
  if (found.error || made.get(one.name) !== entry) return;
  if (!found.done) { compute(one, found); if (isOpen(one)) look(false); return; }
  const cellsOf = (figure) => figure.rows.flatMap((row) => row.cells), before = cellsOf(entry.figure);
  for (const [k, cell] of cellsOf(found.figure).entries()) if (cell.place) cell.place = before[k]?.place ?? cell.place;     // as it was clicked
  entry.figure = found.figure; entry.language = found.language;
  if (isOpen(one)) {
    entry.at = drawn?.state(); entry.fresh = true;
    refresh(entry, false);
    entry.fresh = false;
  }
};

// What is said while a figure is computed: what it waits for, how far it is, and for how long it has been.
const standing = (entry) => {
  const say = course.words, { place, others, part } = entry.news ?? {};
  const said = place ? say.waiting.replace('{place}', place) : others ? say.shared.replace('{n}', others) : say.running;
  const seconds = Math.round((Date.now() - entry.began) / 1000);
  return [said, part ? part.join(' / ') : '', seconds > 2 ? `(${seconds} s)` : ''].filter(Boolean).join(' ');
};

// The lesson's figure and what is told with it, as far as they are. `plays` shows what was not watched while it grew once.
const refresh = (entry, plays) => {
  const find = (where) => article.querySelector(where);
  const figure = find('.figure'), bar = find('.waiting progress'), state = find('.waiting .state');
  if (entry.figure && (entry.fresh || !figure.querySelector('.whole'))) {
    const { states, start } = entry.figure, own = build('div', { class: 'whole' });
    const once = plays && entry.done && (start === 0 || start === states - 1) && entry.parts < 6;
    drawn?.stop(); teased?.stop();
    figure.replaceChildren(own);
    drawn = { ...drawFigure(own, entry.figure, { fps: 10, plays: once, say: course.words }), last: states - 1 };
    if (!plays && entry.at !== undefined) drawn.show(entry.at);     // where one was, before another lesson or language
  }
  find('.waiting').hidden = entry.done && !entry.error;
  find('.told').hidden = !entry.done;
  article.dataset.shown = entry.error ? 'failed' : entry.done ? 'whole' : 'running';
  if (entry.error) {
    state.textContent = entry.error; state.classList.add('bad'); bar.remove();
    figure.hidden = !entry.figure;
    return;
  }
  if (entry.news?.part) [bar.value, bar.max] = entry.news.part;
  state.textContent = standing(entry);
};

const look = (pressed) => {
  const say = course.words, one = open, answer = kept.answers[one.name], entry = made.get(one.name);
  mark(article.querySelector('.question'), one);
  const verdict = build('p', { class: `verdict ${answer === one.right ? 'good' : 'bad'}`, role: 'status' },
    build('b', {}, answer === one.right ? say.right : say.wrong), ' ');
  if (answer !== one.right) verdict.append(`${say.correct} `, html('span', {}, one.answers[one.right]));
  const waiting = build('div', { class: 'waiting' }, build('progress', { 'aria-label': say.running, max: 1 }), build('p', { class: 'state', role: 'status' }));
  const papers = build('ul', {});
  for (const paper of one.papers) papers.append(html('li', {}, paper));
  const told = build('div', { class: 'told' },
    build('div', { class: 'happened' }, build('h3', {}, say.happened), html('div', { class: 'text' }, one.after)),
    build('div', { class: 'source' }, build('h3', {}, say.equation), html('p', { class: 'equation' }, one.equation), build('h3', {}, say.papers), papers));
  if (course.lessons.filter((other) => !other.error).at(-1).name === one.name) told.append(ending());
  const figure = build('div', { class: 'figure' }), teaser = article.querySelector('.teaser');
  if (teaser) figure.append(teaser);                       // goes on in the figure's place while that is computed
  article.querySelector('.seen').replaceChildren(verdict, waiting, figure, told);
  article.querySelector('.reading').open = false;          // the question stays in sight above the figure
  article.querySelector(':scope > .onward')?.remove();
  article.append(onward(one));
  refresh(entry, pressed);
  if (pressed) article.scrollIntoView({ block: 'start', behavior: 'smooth' });
};

// While a figure waits the seconds go on.
setInterval(() => {
  const entry = open && course && made.get(open.name), state = article.querySelector('.waiting .state');
  if (entry && !entry.done && state) state.textContent = standing(entry);
}, 1000);

begin();
