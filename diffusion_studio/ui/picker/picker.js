// The picker's page half: buttons of props.items, of which the one whose value is props.value is lit.
const list = element.querySelector('.picker');
list.classList.add(props.look); list.ariaLabel = props.group;
const cards = list.classList.contains('cards'), lit = cards || list.classList.contains('labels');
const EDGE = 44;                                       // what fades out at a side, as in picker.css
const rolls = !list.classList.contains('labels'), chips = list.classList.contains('chips');
let made = null, shown = null;                         // shown: the chosen card that was brought into sight

const part = (name, text) => { const one = document.createElement('span'); one.className = name; one.textContent = text; return one; };

const button = (item) => {
  const one = document.createElement('button');
  one.type = 'button'; one.title = item.help ?? '';
  if (lit) one.dataset.name = item.value;
  if (cards) {
    const frame = part('frame', item.picture ? '' : item.title.slice(0, 1));
    if (item.picture) {
      const picture = document.createElement('img');
      picture.alt = ''; picture.src = item.picture;
      frame.append(picture);
    }
    const words = part('words', '');
    const line = part('line', item.line ?? '');
    const title = part('title', item.title);
    if (item.tag) {
      const tag = part('tag', item.tag);
      tag.title = item.tag_help ?? '';
      title.append(' ', tag);
      if (item.tag_help) one.title += ` (${item.tag}: ${item.tag_help})`;
    }
    words.append(title, line);
    if (item.tag_help) words.append(part('tag-help', item.tag_help));
    one.append(frame, words);
  } else one.textContent = item.title;
  one.addEventListener('click', () => {
    props.value = item.value;
    light();
    trigger('input');
  });
  return one;
};

const light = () => {
  list.hidden = !list.children.length;
  if (!lit) return;
  for (const one of list.children) {
    const on = one.dataset.name === props.value;
    one.ariaPressed = on; one.disabled = !!props.off;
  }
  oneStop(list.querySelector('[aria-pressed="true"]') ?? list.children[0]);
  list.dataset.chosen = props.value;
  if (rolls) bring();
};

// Cards and labels are one tab stop: arrows lead from one to the next, Enter and space choose.
const oneStop = (stop) => { for (const one of list.children) one.tabIndex = one === stop ? 0 : -1; };
if (lit) {
  list.role = 'toolbar';
  list.addEventListener('focusin', ({ target }) => { if (target.parentElement === list) oneStop(target); });
  list.addEventListener('keydown', (event) => {
    const all = [...list.children], at = all.indexOf(event.target), last = all.length - 1;
    const keys = { ArrowRight: at + 1, ArrowDown: at + 1, ArrowLeft: at - 1, ArrowUp: at - 1, Home: 0, End: last };
    if (at < 0 || !(event.key in keys) || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault(); event.stopPropagation();   // the player reads these keys, too
    all[(keys[event.key] + all.length) % all.length].focus();
  });
}

const bring = () => {                                  // the chosen card, once; where the list is hidden, when it is seen again
  const one = list.querySelector('[aria-pressed="true"]');
  if (!one || !list.clientWidth || shown === props.value) return;
  shown = props.value;
  const left = one.offsetLeft - list.offsetLeft, right = left + one.offsetWidth;
  if (left < list.scrollLeft + EDGE || right > list.scrollLeft + list.clientWidth - EDGE) {
    list.scrollTo({ left: left - (list.clientWidth - one.offsetWidth) / 2, behavior: 'smooth' });
  }
};

const paint = () => {
  const items = props.items ?? [], text = JSON.stringify(items);
  if (text !== made) { made = text; list.replaceChildren(...items.map(button)); }
  light();
  if (chips) room();
  if (rolls) edges();
};

const room = () => {                                   // texts of chips are cut only where they have no room
  list.classList.add('whole');
  if (list.scrollWidth > list.clientWidth) list.classList.remove('whole');
};

const edges = () => {                                  // a side at which there are more fades out
  const { scrollLeft, scrollWidth, clientWidth } = list;
  list.toggleAttribute('data-before', scrollLeft > 4);
  list.toggleAttribute('data-after', scrollLeft < scrollWidth - clientWidth - 4);
};
if (rolls) { list.addEventListener('scroll', edges); new ResizeObserver(() => { if (chips) room(); edges(); if (lit) bring(); }).observe(list); }

watch(['value', 'items', 'off'], paint);
paint();
