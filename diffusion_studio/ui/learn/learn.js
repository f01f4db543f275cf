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
let course = null, open = null, running = 0, drawn = null;

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
  article.replaceChildren(
    ...(one.language === course.language ? [] : [build('p', { class: 'fallback', lang: course.language }, say.fallback)]),
    build('h2', {}, `${one.number}. ${one.title}`), build('p', { class: 'minutes' }, say.minutes.replace('{n}', one.minutes)),
    html('div', { class: 'text' }, one.before), form, build('div', { class: 'seen' }),
  );
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

const look = async (answer) => {
  const say = course.words, one = open, mine = ++running;
  const verdict = build('p', { class: `verdict ${answer === one.right ? 'good' : 'bad'}`, role: 'status' },
    build('b', {}, answer === one.right ? say.right : say.wrong), ' ');
  if (answer !== one.right) verdict.append(`${say.correct} `, html('span', {}, one.answers[one.right]));
  const figure = build('div', { class: 'figure' }), state = build('p', { class: 'state', role: 'status' }, say.running);
  const papers = build('ul', {});
  for (const paper of one.papers) papers.append(html('li', {}, paper));
  const onward = build('p', { class: 'onward' });
  if (one.link) onward.append(build('a', { class: 'button-link go-on', href: one.link }, say['go on']), ` ${say['go on note']}`);
  if (one.tab) {
    const tab = build('button', { type: 'button', class: 'go-on' }, say['go on']);
    tab.addEventListener('click', () => goTo(one.tab));
    onward.append(tab, ` ${say['go on tab']} ${one.tab}`);
  }
  const after = course.lessons.filter((other) => !other.error && other.number > one.number)[0];
  if (after) {
    const next = build('button', { type: 'button', class: 'next' }, `${say.next}: ${after.title}`);
    next.addEventListener('click', () => show(after.name));
    onward.append(next);
  }
  const seen = article.querySelector('.seen');
  seen.replaceChildren(verdict, state, figure, build('h3', {}, say.happened), html('div', { class: 'text' }, one.after),
    build('h3', {}, say.equation), html('p', { class: 'equation' }, one.equation), build('h3', {}, say.papers), papers, onward);
  seen.scrollIntoView({ block: 'start', behavior: 'smooth' });
  article.dataset.shown = 'running';
  let parts = 0;
  let found = await ask('figure', { name: one.name, language: course.language });
  for (;;) {
    if (mine !== running) return;
    if (found.error) { state.textContent = found.error; state.classList.add('bad'); article.dataset.shown = 'failed'; return; }
    if (found.figure) {
      const { states, start } = found.figure;          // what was not watched while it grew is played once
      const plays = found.done && (start === 0 || start === states - 1) && parts < 6;
      parts += 1;
      drawn?.stop();
      drawn = drawFigure(figure, found.figure, { fps: 10, plays });
    }
    if (found.done) break;
    found = await ask('more', { job: found.job, seen: found.seen });
  }
  state.textContent = '';
  article.dataset.shown = 'whole';
};

begin();
