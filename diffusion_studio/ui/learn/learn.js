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
let course = null, open = null, running = 0, drawn = null, followed = 0;

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
  running += 1;
  drawn?.stop(); drawn = null;
  const found = await ask('lesson', { name, language: course.language });
  if (found.error) { article.replaceChildren(build('p', { class: 'verdict' }, found.error)); return; }
  open = found; kept.last = name; keep();
  list();
  draw();
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
    mark(form, one);
    press.textContent = say.again;
    look(Number(chosen.value));
  });
  const text = html('div', { class: 'text' }, one.before);
  if (one.picture) text.prepend(build('img', { class: 'photograph', src: one.picture, alt: say.photograph, title: say.photograph, width: 128, height: 128 }));
  if (course.symbols) text.append(build('details', { class: 'symbols' }, build('summary', {}, say.symbols), html('div', {}, course.symbols)));
  article.replaceChildren(
    ...(one.language === course.language ? [] : [build('p', { class: 'fallback', lang: course.language }, say.fallback)]),
    build('h2', {}, `${one.number}. ${one.title}`), build('p', { class: 'minutes' }, say.minutes.replace('{n}', one.minutes)),
    build('div', { class: 'intro' }, text, form), build('div', { class: 'seen' }),
  );
  if (one.name in kept.answers) article.append(onward(one));     // answered before: one may go on at once
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
  return build('div', { class: 'text ending' }, build('h3', {}, say['end title']), html('p', {}, say['end seen']), build('p', { class: 'score' }, score), html('p', {}, say['end next']));
};

const look = async (answer) => {
  const say = course.words, one = open, mine = ++running;
  drawn?.stop(); drawn = null;
  const verdict = build('p', { class: `verdict ${answer === one.right ? 'good' : 'bad'}`, role: 'status' },
    build('b', {}, answer === one.right ? say.right : say.wrong), ' ');
  if (answer !== one.right) verdict.append(`${say.correct} `, html('span', {}, one.answers[one.right]));
  const figure = build('div', { class: 'figure' });
  const bar = build('progress', { 'aria-label': say.running, max: 1 }), state = build('p', { class: 'state', role: 'status' }, say.running);
  const waiting = build('div', { class: 'waiting' }, bar, state);
  const papers = build('ul', {});
  for (const paper of one.papers) papers.append(html('li', {}, paper));
  const told = build('div', { class: 'told' },
    build('div', { class: 'happened' }, build('h3', {}, say.happened), html('div', { class: 'text' }, one.after)),
    build('div', { class: 'source' }, build('h3', {}, say.equation), html('p', { class: 'equation' }, one.equation), build('h3', {}, say.papers), papers));
  const last = course.lessons.filter((other) => !other.error).at(-1).name === one.name;
  if (last) told.append(ending());
  const seen = article.querySelector('.seen');
  const tell = (shown) => { waiting.hidden = true; told.hidden = false; article.dataset.shown = shown; };
  told.hidden = true;                                    // the figure first
  seen.replaceChildren(verdict, waiting, figure, told);
  article.querySelector(':scope > .onward')?.remove();
  article.append(onward(one));
  article.dataset.shown = 'running';
  seen.scrollIntoView({ block: 'start', behavior: 'smooth' });
  let parts = 0;
  let found = await ask('figure', { name: one.name, language: course.language });
  for (;;) {
    if (mine !== running) return;
    if (found.error) {
      tell('failed');
      state.textContent = found.error; state.classList.add('bad'); bar.remove(); waiting.hidden = false;
      if (!figure.firstChild) figure.hidden = true;
      return;
    }
    if (found.part) {
      [bar.value, bar.max] = found.part;
      state.textContent = `${say.running} ${found.part.join(' / ')}`;
    }
    if (found.figure) {
      const { states, start } = found.figure;          // what was not watched while it grew is played once
      const plays = found.done && (start === 0 || start === states - 1) && parts < 6;
      parts += 1;
      drawn?.stop();
      drawn = { ...drawFigure(figure, found.figure, { fps: 10, plays, say }), last: states - 1 };
    }
    if (found.done) break;
    found = await ask('more', { job: found.job, seen: found.seen });
  }
  tell('whole');
};

begin();
