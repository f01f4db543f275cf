// The builder's page half: menus of parts; their words, joined by commas, are the prompt.
const box = element.querySelector('.builder'), menus = element.querySelector('.menus');
let made = null;

const chosen = () => [...menus.querySelectorAll('select')].map((one) => one.value).filter(Boolean).join(', ');

const menu = ([kind, names]) => {
  const label = document.createElement('label'), select = document.createElement('select');
  select.append(new Option('any', ''), ...names.map((name) => new Option(name, name)));
  select.addEventListener('change', () => { props.value = chosen(); trigger('input'); });
  label.append(kind, select);
  return label;
};

const paint = () => {
  const parts = props.parts ?? {}, text = JSON.stringify(parts);
  if (text === made) return;
  made = text;
  menus.replaceChildren(...Object.entries(parts).map(menu));
  box.hidden = !menus.children.length;
};

watch('parts', paint);
paint();
