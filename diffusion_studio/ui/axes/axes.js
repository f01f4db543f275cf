// The page half of the axes' menus. value = {x, y, base, every, settings, labels}, as axes.py makes it; the first one has no settings and
// labels, which the server is asked for. Each change makes the text anew and is heard as 'input'; a text from elsewhere draws the rows anew.
const root = element.querySelector('.axis-rows');
const SIDES = { x: ['Along x', 'columns'], y: ['Along y', 'rows'] };
const NOTHING = 'nothing';
let drawn = null;                                          // the texts and the model that the rows were drawn of
let texts = { x: '', y: '' };
let menus = null;                                          // what the server said that the menus offer
let drawnFor = null;                                       // the model whose labels they offer, and the pictures of Generate

const part = (name, className, into, more = {}) => {
  const one = Object.assign(document.createElement(name), { className, ...more });
  into.append(one);
  return one;
};

const drawnOf = ({ x, y, base }) => JSON.stringify([x, y, base]);
const told = () => {
  drawn = drawnOf({ ...props.value, ...texts });
  props.value = { ...props.value, ...texts };
  trigger('input');
};

const model = () => props.value.base || document.querySelector('#model [aria-pressed=true]')?.dataset.name;
const count = () => (props.value.base ? 1 : Number(document.querySelector('#count input')?.value ?? 1));
const generate = () => `${model()} ${count()}`;
const offered = () => (props.value.settings ? props.value : menus);
const labels = () => offered().labels[model()] ?? [];
const settingOf = (name) => {
  const found = offered().settings.find((one) => one.name === name) ?? { name, title: name.replaceAll('_', ' '), example: '' };
  if (name !== 'label') return found;
  const names = labels();
  return { ...found, example: names.slice(0, 3).map((one) => withValue('', one)).join(', '), choices: names.map((one) => [one, one]) };
};

const menu = (side, name, into) => {
  const one = part('select', '', into, { ariaLabel: `${SIDES[side][0]}: the setting` });
  if (side === 'y') one.append(new Option(NOTHING, ''));
  const other = texts[side === 'x' ? 'y' : 'x'], taken = axisOf(other)[0];
  let group = null;
  for (const setting of offered().settings) {
    if (group?.label !== setting.group) group = part('optgroup', '', one, { label: setting.group });
    if (setting.name !== taken) group.append(Object.assign(new Option(setting.title, setting.name), { title: setting.help }));
  }
  if (name && ![...one.options].some(({ value }) => value === name)) group.append(new Option(name, name));
  one.value = name;
  one.title = settingOf(name).help ?? '';
  return one;
};

const help = (setting, side) => {
  if (!setting.name) return 'One setting alone: a grid of one row.';
  if (setting.choices?.length) return `The ${SIDES[side][1]}. Press the values, or type them with commas between them.`;
  const none = setting.name === 'label' ? `The model ${model()} has no labels. ` : '';
  const such = setting.example ? `, such as ${setting.example}` : '';
  const quotes = /^[\d\s.,-]+$/.test(setting.example) ? '' : ' One with a comma in it stands in quotes.';
  return `${none}The ${SIDES[side][1]}: values with commas between them${such}.${quotes}`;
};

const chips = (setting, field, into, changed) => {         // the values that the setting allows, to be pressed
  if (!setting.choices?.length) return;
  const row = part('div', 'allowed', into);
  const light = () => {
    const values = valuesOf(field.value);
    for (const one of row.children) one.ariaPressed = String(values.includes(one.dataset.value) || values.includes(`"${one.dataset.value}"`));
  };
  for (const [value, title] of setting.choices) {
    const one = part('button', '', row, { type: 'button', textContent: title });
    one.dataset.value = value;
    one.addEventListener('click', () => { field.value = withValue(field.value, value); changed(); light(); });
  }
  field.addEventListener('input', light);
  light();
};

const draw = () => {
  const held = [...root.querySelectorAll('select, input, button')].indexOf(document.activeElement);
  root.replaceChildren();
  drawnFor = generate();
  for (const side of ['x', 'y']) {
    const [name, values] = axisOf(texts[side]), setting = settingOf(name);
    const box = part('div', 'axis', root, { id: `compare-${side}` });
    box.dataset.setting = name;
    part('b', '', box, { textContent: SIDES[side][0] });
    const line = part('div', 'pair', box), choice = menu(side, name, line);
    choice.addEventListener('change', () => {              // its values would hardly fit another setting
      texts[side] = axisText(choice.value, choice.value ? settingOf(choice.value).example : '');
      draw(); told();
    });
    if (name) {
      const field = part('input', '', line, { type: 'text', value: values, ariaLabel: `${SIDES[side][0]}: the values`, placeholder: setting.example });
      const changed = () => { texts[side] = axisText(name, field.value); told(); };
      field.addEventListener('input', changed);
      field.addEventListener('change', () => {             // written as on the command line: guidance=1, 2
        const [other, rest] = axisOf(field.value);
        if (![...choice.options].some(({ value }) => value && value === other)) return;
        texts[side] = axisText(other, rest);
        draw(); told();
      });
      part('p', 'help', box, { textContent: help(setting, side) });
      chips(setting, field, box, changed);
    } else part('p', 'help', box, { textContent: help(setting, side) });
  }
  if (count() > 1) {
    const line = part('label', 'every', root), box = part('input', '', line, { type: 'checkbox', checked: !!props.value.every });
    line.append(`All ${count()} pictures of Generate in each cell, not the first alone`);
    box.addEventListener('change', () => { props.value = { ...props.value, every: box.checked }; trigger('input'); });
  }
  [...root.querySelectorAll('select, input, button')][held]?.focus();
};

const paint = () => {
  if (!props.value || !offered() || drawn === drawnOf(props.value)) return;
  drawn = drawnOf(props.value);
  texts = { x: props.value.x, y: props.value.y };
  draw();
};

watch('value', paint);
paint();
if (!drawn) server.menus({}).then((found) => { menus = found; paint(); });
new IntersectionObserver((seen) => {                       // the labels are those of the model that is chosen in Generate by now
  if (props.value && offered() && drawnFor !== generate() && seen.some((one) => one.isIntersecting)) draw();
}).observe(root);
