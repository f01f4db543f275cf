// The picker's page half: buttons of props.items, of which the one whose value is props.value is lit.
const list = element.querySelector('.picker'), cards = list.classList.contains('cards'), lit = cards || list.classList.contains('labels');
const rolls = !list.classList.contains('labels');
let made = null;

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
    if (on && one.ariaPressed === 'false' && list.scrollWidth > list.clientWidth) {
      list.scrollTo({ left: one.offsetLeft - list.offsetLeft - 40, behavior: 'smooth' });
    }
    one.ariaPressed = on; one.disabled = !!props.off;
  }
  list.dataset.chosen = props.value;
};

const paint = () => {
  const items = props.items ?? [], text = JSON.stringify(items);
  if (text !== made) { made = text; list.replaceChildren(...items.map(button)); }
  light();
  if (rolls) edges();
};

const edges = () => {                                  // a side at which there are more fades out
  const { scrollLeft, scrollWidth, clientWidth } = list;
  list.toggleAttribute('data-before', scrollLeft > 4);
  list.toggleAttribute('data-after', scrollLeft < scrollWidth - clientWidth - 4);
};
if (rolls) { list.addEventListener('scroll', edges); new ResizeObserver(edges).observe(list); }

watch(['value', 'items', 'off'], paint);
paint();
