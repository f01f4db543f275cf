() => {
  // The page around the components: keys that generate, the drawer of settings, and whether the shown run is still what the
  // settings say.
  const find = (what) => document.querySelector(what);
  const generate = () => find('#generate')?.click();

  // ---- Enter and Ctrl+Enter generate
  document.addEventListener('keydown', (event) => {
    if (event.key !== 'Enter' || event.isComposing || !find('#stage')?.checkVisibility()) return;
    const own = event.target.closest?.('#prompt, #spell, #count, #seed, #steps') && !event.shiftKey;
    if (!event.ctrlKey && !event.metaKey && (!own || event.target.closest('button, summary, a, [role=button]'))) return;
    event.preventDefault(); event.stopPropagation();
    event.target.blur?.();                             // a number is sent when its field is left
    setTimeout(generate, 60);
    event.target.focus?.();
  }, true);

  // ---- the player's keys, wherever the focus is in nothing that reads them itself
  const READS = 'input, textarea, select, dialog, [contenteditable], [role=listbox], [role=slider], [role=tab], .player';
  document.addEventListener('keydown', (event) => {
    const player = find('#player .player');
    if (!player?.checkVisibility() || event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.matches?.(READS) || event.target.closest?.('.player')) return;
    if (event.key === ' ' && event.target.matches?.('button, a, summary')) return;
    if (event.key === '?') { find('#player .help')?.click(); event.preventDefault(); return; }
    if (!player.dispatchEvent(new KeyboardEvent('keydown', { key: event.key, cancelable: true }))) event.preventDefault();
  });

  // ---- Escape closes what lies over the page; else it stops the run that goes on
  document.addEventListener('keydown', (event) => {
    const over = event.key === 'Escape' && (find('#explain:popover-open') ?? find('.saved:not([hidden])'));
    if (!over) return;
    event.preventDefault(); event.stopPropagation();
    if (over.id === 'explain') over.hidePopover(); else over.querySelector('.close').click();
  }, true);
  const OWN_ESCAPE = 'textarea, select, dialog, [role=listbox], input:not([type=range])';
  document.addEventListener('keydown', (event) => {
    if (event.key !== 'Escape' || event.defaultPrevented || event.target.closest?.(OWN_ESCAPE)) return;
    const stage = find('#stage');
    if (stage?.dataset.busy !== 'true' || !stage.checkVisibility() || find('dialog[open], :popover-open') || document.fullscreenElement) return;
    find('#stop').click();
  });

  // Stop takes the place of Generate: the second half of a double click is not meant for it
  let pressedAt = -Infinity;
  document.addEventListener('click', (event) => {
    if (event.target.closest?.('#generate')) pressedAt = event.timeStamp;
    else if (event.target.closest?.('#stop') && event.timeStamp - pressedAt < 700) { event.preventDefault(); event.stopImmediatePropagation(); }
  }, true);

  // ---- a number field that is emptied keeps its former value: Gradio would read it as 0
  const isNumber = (one) => one?.matches?.('input[type=number]');
  const formers = new WeakMap();
  document.addEventListener('focusin', ({ target }) => { if (isNumber(target) && target.value !== '') formers.set(target, target.value); }, true);
  document.addEventListener('input', (event) => {
    if (!isNumber(event.target)) return;
    if (event.target.value === '') event.stopImmediatePropagation();
    else formers.set(event.target, event.target.value);
  }, true);
  const refill = ({ target, type, key }) => {
    if (isNumber(target) && target.value === '' && formers.has(target) && (type !== 'keydown' || key === 'Enter')) target.value = formers.get(target);
  };
  for (const name of ['change', 'blur', 'focusout', 'keydown']) document.addEventListener(name, refill, true);

  // ---- the drawer of all settings
  const drawer = (on) => {
    const stage = find('#stage'), button = find('#all-settings');
    if (!stage || !button) return;
    stage.classList.toggle('with-settings', on);
    button.setAttribute('aria-expanded', on); button.setAttribute('aria-controls', 'settings');
    if (on && innerWidth <= 860) find('#settings').scrollIntoView({ behavior: 'smooth' });
  };
  document.addEventListener('click', (event) => {
    if (event.target.closest?.('#all-settings')) drawer(!find('#stage').classList.contains('with-settings'));
  });
  document.addEventListener('click', (event) => {      // a section that is opened is brought into sight
    const section = event.target.closest?.('#settings button.label-wrap')?.parentElement;
    if (section && innerWidth > 860) setTimeout(() => { find('#settings').scrollTo({ top: section.offsetTop - 4 }); }, 120);
  });
  // Gradio's menus know where they are from the window's scrolling alone, and the drawer scrolls by itself.
  const moved = () => window.dispatchEvent(new Event('scroll'));
  document.addEventListener('scroll', (event) => { if (event.target.id === 'settings') moved(); }, true);
  for (const name of ['pointerdown', 'focusin', 'click']) {
    document.addEventListener(name, (event) => { if (event.target.closest?.('#settings')) { moved(); setTimeout(moved, 30); } }, true);
  }
  document.addEventListener('open-settings', () => drawer(true));
  const ready = setInterval(() => { if (find('#all-settings')) { clearInterval(ready); drawer(false); } }, 100);

  // ---- is the shown run what the settings say?
  let made = null, madeBefore = null;
  const settings = () => {
    const found = { model: find('#model .picker')?.dataset.chosen };
    const counts = {};
    for (const field of document.querySelectorAll(':is(#quick, #settings) :is(input, textarea)')) {
      if (field.type === 'file' || field.type === 'range' || field.closest('#share, #export, #quality')) continue;
      const id = `${field.closest('[id]')?.id} ${field.name}`;
      counts[id] = (counts[id] ?? 0) + 1;
      found[`${id} ${counts[id]}`] = ['checkbox', 'radio'].includes(field.type) ? field.checked : field.value;
    }
    return found;
  };
  const check = () => {
    if (!made) return;
    const now = settings(), on = Object.keys(made).some((key) => key in now && now[key] !== made[key]);
    find('#player .player')?.dispatchEvent(new CustomEvent('stale', { detail: { on }, bubbles: true }));
  };
  let noting = null;
  document.addEventListener('pressed', () => { madeBefore = made; made = settings(); noting = setTimeout(() => { made = settings(); }, 80); });
  document.addEventListener('unpressed', (event) => {  // settings that were refused: what is shown is still the run before
    if (event.detail?.refused) { clearTimeout(noting); made = madeBefore; check(); }
  });
  document.addEventListener('returned', () => { setTimeout(() => { made = settings(); check(); }, 150); });
  for (const name of ['input', 'change', 'click']) {
    document.addEventListener(name, () => { for (const pause of [200, 900, 2200]) setTimeout(check, pause); }, true);
  }

  // ---- what the words mean, each with something to try where a setting is meant
  const TOPICS = {
    xt: ['x_t: what there is now', 'The picture while it is being made: part picture, part noise. At the first step it is noise alone. Each step takes a little of the noise away.'],
    x0: ['x0: what the network sees in it', 'The network guesses the clean picture from the noisy one. Early guesses are blurred, as many pictures fit the same noise; they sharpen as the noise goes.'],
    seed: ['Seed', 'A number that stands for one noise. The same seed with the same settings gives the same picture, another seed another one.', '#seed', ['0', '100']],
    steps: ['Quality and steps', 'In how many steps the way from noise to picture is gone. More steps follow it more closely, and take longer.', '#steps', ['3', '50']],
    guidance: ['Guidance', 'How strongly each step is pulled towards what you ask for. At 1 it is off: varied, and now and then something else. High values are typical, alike, and at last too hard.', '#guidance', ['1', '7']],
    sampler: ['Sampler', 'The rule by which a step goes from one noise level to the next. Some add fresh noise at each step, some look back at the steps before and so need fewer.'],
    spacing: ['Schedule', 'Which noise levels the steps visit: evenly in time, or closer together where little noise is left.'],
  };
  const AT = { '#seed': 'seed', '#steps-row': 'steps', '#guidance': 'guidance', '#sampler': 'sampler', '#spacing': 'spacing' };
  const card = document.createElement('div');
  card.id = 'explain'; card.setAttribute('popover', 'auto'); card.setAttribute('role', 'dialog'); card.setAttribute('aria-label', 'Explanation');

  const two = (where, values) => {                     // two runs beside each other, in the tab Compare
    const name = where.slice(1), seeds = name === 'seed';      // lanes of a race have one noise, so seeds make a grid
    const asked = seeds ? { x: `seed=${values.join(', ')}` } : { lanes: values.map((value) => `${name}=${value}`).join('\n') };
    document.documentElement.dataset.compare = JSON.stringify(asked);
    find('#compare-asked')?.click();
  };

  const explain = (button) => {
    const [title, text, where, values] = TOPICS[button.dataset.topic];
    const head = document.createElement('h2'), said = document.createElement('p');
    head.textContent = title; said.textContent = text;
    card.replaceChildren(head, said);
    if (where) {
      const go = document.createElement('button');
      go.type = 'button'; go.textContent = `Try it: ${values[0]} beside ${values[1]}`;
      go.addEventListener('click', () => { card.hidePopover(); two(where, values); });
      card.append(go);
    }
    if (!card.isConnected) (find('.gradio-container .contain') ?? document.body).append(card);
    const box = button.getBoundingClientRect();
    card.style.left = `${Math.max(8, Math.min(box.left, innerWidth - 328))}px`;
    card.style.top = `${Math.min(box.bottom + 6, innerHeight - 210)}px`;
    card.showPopover();
  };
  document.addEventListener('click', (event) => {
    const button = event.target.closest?.('button.explain');
    if (button) { event.preventDefault(); explain(button); }
  });
  const marks = () => {                                // Gradio may draw a block anew
    for (const [where, topic] of Object.entries(AT)) {
      const block = find(where);
      if (!block || block.querySelector(':scope > button.explain')) continue;
      const button = document.createElement('button');
      Object.assign(button, { type: 'button', className: 'explain', textContent: '?', ariaLabel: `What is this: ${TOPICS[topic][0]}` });
      button.dataset.topic = topic;
      block.append(button);
    }
  };
  setInterval(() => { marks(); for (const one of document.querySelectorAll('footer img')) one.alt = ''; }, 1000);      // their text stands beside them
}
