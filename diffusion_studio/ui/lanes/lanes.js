// The page half of the lanes' menus. value = {text, words, settings, fewest, most}, as lanes.py makes it; the first one has the text alone,
// and the server is asked for the rest. Each change makes the text anew and is heard as 'input'; a text from elsewhere draws the rows anew.
const root = element.querySelector('.lane-rows');
let lanes = [], drawn = null, wordsThen = 0;               // the text and the number of words that the rows were drawn of
let menus = null;                                          // what the server said that the menus offer
const offered = () => (props.value.settings ? props.value : menus);

const part = (name, className, into, more = {}) => {
  const one = Object.assign(document.createElement(name), { className, ...more });
  into.append(one);
  return one;
};
const button = (className, text, title, into, press) => {
  const one = part('button', className, into, { type: 'button', textContent: text, title, ariaLabel: text.length > 1 ? text : title });
  one.addEventListener('click', press);
};

const settingOf = (name) => offered().settings.find((one) => one.name === name);
const firstValue = (setting) => `${setting.choices ? setting.choices[0][0] : setting.first ?? ''}`;
const freePair = (pairs) => {                          // the first setting that the lane has not yet
  const setting = offered().settings.find(({ name }) => !pairs.some(([taken]) => taken === name));
  return setting && [setting.name, firstValue(setting)];
};

const told = () => {
  const text = lanesText(lanes);
  if (text === props.value.text) return;
  drawn = text;
  props.value = { ...props.value, text };
  trigger('input');
};
const changed = () => { draw(); told(); };

const menu = (choices, value, label, into, choose) => {
  const one = part('select', '', into, { ariaLabel: label });
  if (!choices.some(([name]) => name === value)) one.append(new Option(value, value));
  for (const [name, title] of choices) one.append(new Option(title, name));
  one.value = value;
  one.addEventListener('change', () => choose(one.value));
  return one;
};

const field = (setting, pair, label, into) => {        // the value of a setting: a menu, a number or a text
  if (setting?.choices) { menu(setting.choices, pair[1], label, into, (value) => { pair[1] = value; told(); }); return; }
  const number = setting && 'low' in setting && /^-?[\d.]*$/.test(pair[1]);
  const one = part('input', '', into, { type: number ? 'number' : 'text', value: pair[1], ariaLabel: label });
  if (number) Object.assign(one, { step: 'any', min: setting.low ?? '', max: setting.high ?? '' });
  one.addEventListener('input', () => { pair[1] = one.value; told(); });
};

const row = (lane, number, k, into) => {               // a setting of a lane with its value; the first one also has the lanes said by words
  const line = part('div', 'pair', into), { words, settings } = offered(), of = `Lane ${number + 1}`;
  const pair = lane.pairs?.[k], value = lane.words ?? lane.raw ?? pair[0];
  const taken = (lane.pairs ?? []).map(([name]) => name).filter((name) => name !== value);
  const choices = [...(k ? [] : words), ...settings.filter(({ name }) => !taken.includes(name)).map(({ name, title }) => [name, title])];
  menu(choices, value, `${of}: what differs`, line, (chosen) => {
    const setting = settingOf(chosen);
    if (!setting) lanes[number] = { words: chosen };
    else if (lane.pairs) lane.pairs[k] = [chosen, firstValue(setting)];
    else lanes[number] = { pairs: [[chosen, firstValue(setting)]] };
    changed();
  });
  if (pair) field(settingOf(pair[0]), pair, `${of}: ${settingOf(pair[0])?.title ?? pair[0]}`, line);
  return line;
};

const draw = () => {
  const held = [...root.querySelectorAll('select, input, button')].indexOf(document.activeElement);
  root.replaceChildren();
  lanes.forEach((lane, number) => {
    const group = part('div', 'lane-row', root), rows = part('div', 'pairs', group);
    part('span', 'mark', group, { textContent: number + 1 });
    group.prepend(group.lastChild);
    const count = lane.pairs?.length ?? 1;
    for (let k = 0; k < count; k++) {
      const line = row(lane, number, k, rows);
      if (k) button('less', '×', `Lane ${number + 1}: without this setting`, line, () => { lane.pairs.splice(k, 1); changed(); });
    }
    const ends = part('div', 'ends', group);
    if (lane.pairs && freePair(lane.pairs)) button('more', '+', `Lane ${number + 1}: one more setting that differs`, ends, () => { lane.pairs.push(freePair(lane.pairs)); changed(); });
    if (lanes.length > offered().fewest) button('less', '×', `Take lane ${number + 1} out`, ends, () => { lanes.splice(number, 1); changed(); });
  });
  if (lanes.length < offered().most) button('add', 'Add a lane', 'One more run', root, () => { lanes.push({ pairs: [['steps', '8']] }); changed(); });
  [...root.querySelectorAll('select, input, button')][held]?.focus();
};

const paint = () => {
  if (!props.value || !offered()) return;
  const { text } = props.value, { words } = offered();
  if (drawn === text && words.length === wordsThen) return;
  drawn = text; wordsThen = words.length;
  lanes = lanesOf(text, words.map(([name]) => name));
  draw();
};

watch('value', paint);
paint();
if (drawn === null) server.menus({}).then((found) => { menus = found; paint(); });
