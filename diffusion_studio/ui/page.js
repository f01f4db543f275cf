() => {
  // The page around the components: keys that generate, the drawer of settings, and whether the shown run is still what the
  // settings say.
  const find = (what) => document.querySelector(what);
  const generate = () => find('#generate')?.click();

  // ---- Gradio's client ends the progress of each upload with this warning, which says nothing of the page or the file
  const { warn } = console;
  console.warn = (...said) => { if (said[0] !== 'Method not implemented.') warn.apply(console, said); };

  // ---- a race or a grid in the address shows its tab at once, before the server has read it
  const search = new URLSearchParams(location.search);
  if (search.has('race') || search.has('grid')) {
    document.documentElement.dataset.arrives = 'compare';
    const shows = setInterval(() => {
      const tab = find('button[role=tab][data-tab-id="compare"]');
      if (tab) { clearInterval(shows); tab.click(); }
    }, 20);
  }

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

  // ---- the keys of what plays, wherever the focus is in nothing that reads them itself
  const READS = 'input, textarea, select, dialog, [contenteditable], [role=listbox], [role=slider], [role=tab]';
  const PLAYS = '.player, .ds-forward .view, .together, .ds-figure[tabindex]';
  leaveFocus(document, PLAYS);
  document.addEventListener('keydown', (event) => {
    const player = [...document.querySelectorAll('#player .player, #points-player .player, .ds-forward .view, .together')].find((one) => one.checkVisibility());
    if (!player || event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.matches?.(READS) || event.target.closest?.(PLAYS)) return;
    if (event.key === ' ' && event.target.matches?.('button, a, summary')) return;
    if (event.key === '?') { const help = player.querySelector('.help'); help?.click(); if (help) event.preventDefault(); return; }
    if (!player.dispatchEvent(new KeyboardEvent('keydown', { key: event.key, cancelable: true }))) event.preventDefault();
  });

  // ---- tabs, and the parts of a choice, are one tab stop each: arrows go on from there
  const oneStop = () => {
    for (const list of document.querySelectorAll('[role=tablist]')) {
      const tabs = [...list.querySelectorAll('[role=tab]')], chosen = tabs.find((one) => one.ariaSelected === 'true');
      for (const one of tabs) { const stop = !chosen || one === chosen ? 0 : -1; if (one.tabIndex !== stop) one.tabIndex = stop; }
    }
    for (const group of document.querySelectorAll('#quality')) {       // radios of one name are one tab stop
      for (const one of group.querySelectorAll('input[type=radio]')) if (one.name !== group.id) one.name = group.id;
    }
  };
  document.addEventListener('keydown', (event) => {
    const tab = event.target.closest?.('[role=tab]'), tabs = tab ? [...tab.closest('[role=tablist]').querySelectorAll('[role=tab]')].filter((one) => one.checkVisibility()) : [];
    const to = nextOf(tabs.indexOf(tab), tabs.length, event.key);
    if (to === null || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault(); event.stopPropagation();
    tabs[to].click(); tabs[to].focus();
    setTimeout(oneStop, 60);
  }, true);

  // ---- the first Tab reaches a link to the player. What the page replaces while it loads leaves the browser's place far below
  const skip = document.createElement('a');
  skip.className = 'skip'; skip.href = '#player'; skip.textContent = 'Skip to the player';
  skip.addEventListener('click', (event) => { event.preventDefault(); event.stopPropagation(); [...document.querySelectorAll(PLAYS)].find((one) => one.checkVisibility())?.focus(); });
  document.body.prepend(skip);
  let used = false;
  document.addEventListener('pointerdown', () => { used = true; }, true);
  document.addEventListener('keydown', (event) => {
    if (event.key !== 'Tab' || used) return;
    used = true;
    if (event.shiftKey || document.activeElement !== document.body) return;
    event.preventDefault(); skip.focus();
  }, true);

  // ---- Escape closes what lies over the page, or is offered; else it stops the run that goes on, or closes what stands beside the player
  const OWN_ESCAPE = 'textarea, select, dialog, [role=listbox], input:not([type=range], [type=radio], [type=checkbox])';
  const OFFERED = { '.saved:not([hidden], .inline)': '.close', '.classroom:not([hidden]) .offer:not([hidden])': '.never' };
  const ownEscape = ({ target }) => target.closest?.(OWN_ESCAPE) ?? find('dialog[open], :popover-open') ?? document.fullscreenElement;
  document.addEventListener('keydown', (event) => {
    if (event.key !== 'Escape') return;
    const explained = find('#explain:popover-open');
    const [over, close] = Object.entries(OFFERED).map(([what, part]) => [[...document.querySelectorAll(what)].find((one) => one.checkVisibility()), part]).find(([one]) => one) ?? [];
    if (!explained && (!over || (close === '.never' && ownEscape(event)))) return;
    event.preventDefault(); event.stopPropagation();
    if (explained) explained.hidePopover(); else over.querySelector(close).click();
  }, true);
  document.addEventListener('keydown', (event) => {
    if (event.key !== 'Escape' || event.defaultPrevented || ownEscape(event)) return;
    const stage = find('#stage');
    if (!stage?.checkVisibility()) return;
    const opener = find('#stage [data-mode=paint]') ? null : stage.dataset.inside === 'true' ? '#player .inside' : stage.classList.contains('with-settings') ? '#all-settings' : null;
    if (stage.dataset.busy === 'true') find('#stop').click();
    else if (opener) { find(opener).click(); find(opener).focus({ preventScroll: true }); }
    else return;
    event.preventDefault();
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
    if (!event.target.closest?.('#all-settings')) return;
    const on = !find('#stage').classList.contains('with-settings');
    drawer(on);
    if (on && event.detail === 0 && event.isTrusted) find('#settings button')?.focus({ preventScroll: true });   // 0: by a key
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
  const ready = setInterval(() => { if (find('#all-settings')) { clearInterval(ready); drawer(false); roomBar.observe(find('#classroom')); } }, 100);

  // ---- a link to a place of the page scrolls to it. The browser would resolve "#place" against the base of the page, which has
  // no query, and so load the page anew without what the visitor has set
  document.addEventListener('click', (event) => {
    const link = event.target.closest?.('a[href^="#"]');
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    const place = document.getElementById(placeOf(link.getAttribute('href')));
    if (!place) return;
    place.scrollIntoView({ block: 'start' });
    if (place.tabIndex < 0) place.tabIndex = -1;
    place.focus({ preventScroll: true });              // the next Tab goes on from there
  });

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
    if (!made) {
      find('#player .player')?.dispatchEvent(new CustomEvent('model', { detail: { model: find('#model .picker')?.dataset.chosen ?? null }, bubbles: true }));
      return;
    }
    const now = settings(), on = Object.keys(made).some((key) => key in now && now[key] !== made[key]);
    find('#player .player')?.dispatchEvent(new CustomEvent('stale', { detail: { on }, bubbles: true }));
  };
  let noting = null;
  document.addEventListener('pressed', () => { madeBefore = made; made = settings(); noting = setTimeout(() => { made = settings(); }, 80); });
  document.addEventListener('unpressed', (event) => {  // settings that were refused: what is shown is still the run before
    if (event.detail?.refused) { clearTimeout(noting); made = madeBefore; check(); }
  });
  document.addEventListener('run-begun', () => setTimeout(check));      // a change before the first state was not heard
  document.addEventListener('returned', () => { setTimeout(() => { made = settings(); check(); }, 150); });
  for (const name of ['input', 'change', 'click']) {
    document.addEventListener(name, () => { for (const pause of [200, 900, 2200]) setTimeout(check, pause); }, true);
  }

  // ---- the link and the command of "Share" say the settings as they stand
  let described = '';
  const describe = () => {
    const text = JSON.stringify(settings());
    if (text === described || !find('#link')?.checkVisibility()) return;
    described = text;
    find('#describe')?.click();
  };
  let describing = null;
  for (const name of ['input', 'change', 'click']) {
    document.addEventListener(name, ({ target }) => {
      if (target.closest?.('#describe')) return;
      clearTimeout(describing);
      describing = setTimeout(describe, 900);            // once the answers to a choice have set what follows from it
    }, true);
  }

  // ---- notices lie where they cover no control: below the settings, else in another corner, and over no picture
  const CONTROLS = '.player .screen > canvas, button, input, select, textarea, a[href], summary, canvas.paper, [role=slider], [role=tab]';
  const placeNotices = () => {
    const wrap = find('.toast-wrap'), seen = { width: innerWidth, height: innerHeight };
    if (!wrap) return;
    const size = wrap.getBoundingClientRect();
    if (!size.height) return;
    const controls = [...document.querySelectorAll(CONTROLS)].filter((one) => !wrap.contains(one) && !one.matches('.scrub, [type=hidden]') && one.checkVisibility())
      .map((one) => one.getBoundingClientRect()).filter((box) => box.width && box.bottom > 0 && box.top < innerHeight);
    const low = innerHeight - size.height - 16, right = innerWidth - size.width - 16, middle = (innerWidth - size.width) / 2;
    const places = [{ left: 16, top: low }];
    places.push({ left: right, top: low }, { left: middle, top: low }, { left: right, top: 100 }, { left: middle, top: 100 }, { left: 16, top: 100 });
    const { left, top } = freePlace(places, size, controls, seen);
    wrap.style.setProperty('--ds-notice', `${top}px auto auto ${left}px`);
  };
  let placing = null;
  new MutationObserver((changes) => {
    if (!changes.some(({ target, addedNodes }) => target.closest?.('.toast-wrap') || [...addedNodes].some((one) => one.querySelector?.('.toast-body')))) return;
    for (const toast of document.querySelectorAll('.toast-body')) keepErrors(toast);
    if (placing) return;
    placing = requestAnimationFrame(() => { placing = null; placeNotices(); });
  }).observe(document.body, { childList: true, subtree: true });
  addEventListener('resize', placeNotices);

  // ---- an error stays at its field, or under the button that was pressed, until it is mended or something is pressed again
  const NO_PLACE = '.player, .saved, .picker, .label-wrap, dialog, [role=tab], [popover]', PRESSES = '#go-row, .points-press, #compare-press, #compare-saving';
  const OPENS = '#all-settings, .label-wrap, [role=tab], [aria-expanded], [popovertarget]';      // no work of the server's
  let pressedOn = null, told = 0;
  document.addEventListener('click', ({ target }) => {
    const button = target.closest?.('button');
    if (!button || button.matches(OPENS) || button.closest('.toast-wrap') || !button.checkVisibility()) return;
    pressedOn = button;
    for (const one of document.querySelectorAll('.said-wrong')) if (one.button === button || button.matches('.primary')) mended(one);
  }, true);
  const mended = (notice) => {
    clearInterval(notice.watch);
    for (const one of notice.fields) { one.removeAttribute('aria-invalid'); one.removeAttribute('aria-describedby'); }
    notice.remove();
  };
  const block = (field) => field.closest('#seed-row, #steps-row') ?? field;
  const tell = (text, field) => {                      // whether there was a place for it
    const control = placesOf(field, pressedOn?.id ?? '', find('#compare-y')?.dataset.setting).map(find).find((one) => one?.checkVisibility());
    const under = control ? block(control) : pressedOn?.isConnected && !pressedOn.closest(NO_PLACE) ? pressedOn.closest(PRESSES) ?? pressedOn : null;
    if (!under?.checkVisibility()) return false;
    for (const one of document.querySelectorAll('.said-wrong')) if (one.textContent === text && one.under === under) mended(one);      // pressed again by keys
    const notice = document.createElement('p');
    Object.assign(notice, { className: 'said-wrong', textContent: text, role: 'alert', id: `said-wrong-${++told}`, button: pressedOn, under });
    notice.fields = control ? [...control.querySelectorAll('input, textarea')] : [];
    for (const one of notice.fields) {
      one.setAttribute('aria-invalid', 'true'); one.setAttribute('aria-describedby', notice.id);
    }
    const watched = control && !notice.fields.length ? [...control.parentElement.querySelectorAll('input, textarea')] : notice.fields;
    const kept = watched.map((one) => one.value);            // other controls set values too, without an event
    if (kept.length) notice.watch = setInterval(() => { if (!notice.isConnected || watched.some((one, k) => one.value !== kept[k])) mended(notice); }, 200);
    // under a button, of something in the form beside it
    else pressedOn?.closest('#compare-quick')?.addEventListener('input', () => mended(notice), { once: true });
    if (under === control) control.append(notice); else under.after(notice);
    notice.scrollIntoView({ block: 'nearest' });
    return true;
  };
  const blank = (one) => { for (const text of one.childNodes) if (text.nodeType === 3) text.data = ''; else blank(text); };
  const seenErrors = new WeakMap();                    // whether each had a place
  const keepErrors = (toast) => {                      // a notice that was told in full where it belongs is not shown
    const items = [...toast.querySelectorAll('.toast-message-item')];
    for (const item of items) {
      const said = item.querySelector('.toast-message-text.error');
      if (!said || seenErrors.has(item)) continue;
      const marked = [...said.querySelectorAll('.of-field')];
      const parts = marked.length ? marked.map((one) => [one.textContent, one.classList[1]]) : [[said.textContent.trim(), '']];
      const placed = parts.map(([text, field]) => tell(text, field)).every(Boolean);
      seenErrors.set(item, placed);
      if (placed) { blank(said); item.style.display = 'none'; }
    }
    if (items.length && items.every((one) => seenErrors.get(one))) { toast.style.display = 'none'; toast.querySelector('.toast-close')?.click(); }
  };

  // ---- a notice goes when what it speaks of is gone: with the next run, another model or another tab
  const ENDS_NOTICES = 'button.primary, button[role=tab], .overflow-dropdown button, #model button, #shape button, #history button';
  const clearNotices = () => { for (const close of document.querySelectorAll('.toast-close')) close.click(); };
  for (const name of ['pressed', 'points-pressed']) document.addEventListener(name, clearNotices);
  document.addEventListener('click', (event) => { if (event.isTrusted && event.target.closest?.(ENDS_NOTICES)) clearNotices(); }, true);

  // ---- the bar of the classroom takes its height from the pictures, so that what lies below them stays where it is
  const roomBar = new ResizeObserver(([{ contentRect: { height } }]) => {
    document.documentElement.style.setProperty('--ds-classroom', `${height ? height + 10 : 0}px`);
  });

  // ---- what the words mean, each with something to try where a setting is meant
  const TOPICS = {
    xt: ['x_t: what there is now', 'The picture while it is being made: part picture, part noise. At the first step it is noise alone. Each step takes a little of the noise away.'],
    x0: ['x0: what the network sees in it', 'The network guesses the clean picture from the noisy one. Early guesses are blurred, as many pictures fit the same noise; they sharpen as the noise goes.'],
    seed: ['Seed', 'A number that stands for one noise. The same seed with the same settings gives the same picture, another seed another one.', '#seed', ['0', '100']],
    steps: ['Quality and steps', 'The number of steps from noise to picture. More steps are more exact and take longer. Fast, Normal and Best set a number that suits the model; In seconds sets it by the time that you give.', '#steps', ['3', '50']],
    timeline: ['The timeline', 'The run from its start at the left, where all is noise, to the result at the right. The curve is how much of the state is noise. Drag the red line to see any step again; above the strip stands what happens there.'],
    numbers: ['The numbers of a step', 't is the noise level in the network\'s own count: 0 is a clean picture. The state is alpha times the picture plus sigma times the noise. log-SNR is the natural logarithm of alpha² / sigma²: 0 where both weigh the same, below it noise prevails. Network calls are how often the network was asked so far.'],
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
    const data = find('#train-data input');            // its menus have no placeholder of their own
    if (data && !data.placeholder) data.placeholder = 'Choose pictures';
    for (const [where, topic] of Object.entries(AT)) {
      const block = find(where);
      if (!block || block.querySelector(':scope > button.explain')) continue;
      const button = document.createElement('button');
      Object.assign(button, { type: 'button', className: 'explain', textContent: '?', ariaLabel: `What is this: ${TOPICS[topic][0]}` });
      button.dataset.topic = topic;
      block.append(button);
    }
  };
  setInterval(() => { marks(); oneStop(); check(); for (const one of document.querySelectorAll('footer img')) one.alt = ''; }, 1000);      // their text stands beside them
}
