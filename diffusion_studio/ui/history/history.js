// The history's page half: the last runs of this browser, newest first, kept in its local storage.
// A run that is opened is told to the player by 'run-opens', before the server answers.
// It hears of a run by 'run-recipe' (its recipe, when it begins) and 'run-ended' (its thumbnail); both come from the page.
const KEY = 'diffusion-studio-runs', MOST = 24, ROOM = 200_000;
const section = element.querySelector('.history'), list = element.querySelector('.entries');
let entries = [], recipe = null, current = null;
try { entries = readEntries(localStorage.getItem(KEY)); } catch { /* no storage here: the runs are kept until the page closes */ }

const store = () => {
  try { localStorage.setItem(KEY, JSON.stringify(entries)); } catch { /* full, or forbidden */ }
};

const button = (name, label) => Object.assign(document.createElement('button'), { type: 'button', className: name, ariaLabel: label, title: label });

const item = (entry) => {
  const one = document.createElement('div'), show = button('show', entry.title), remove = button('remove', `Forget: ${entry.title}`);
  const picture = document.createElement('img');
  one.className = 'entry'; picture.src = entry.picture; picture.alt = '';
  picture.addEventListener('load', () => { if (picture.naturalWidth > picture.naturalHeight) one.classList.add('line'); });      // a text
  show.append(picture); show.ariaPressed = entry.run === current;
  remove.textContent = '×';
  show.addEventListener('click', () => {
    current = entry.run; props.value = { run: entry.run, recipe: entry.recipe };
    light();
    document.dispatchEvent(new CustomEvent('run-opens'));
    trigger('input');
  });
  remove.addEventListener('click', () => { entries = entries.filter((other) => other !== entry); store(); paint(); });
  one.append(show, remove);
  return one;
};

const light = () => entries.forEach((entry, k) => { list.children[k].firstChild.ariaPressed = entry.run === current; });
const paint = () => { section.hidden = !entries.length; list.replaceChildren(...entries.map(item)); };

const onRecipe = ({ detail }) => { recipe = detail; };
const onEnded = ({ detail }) => {
  current = detail.run;
  if (entries.some((one) => one.run === detail.run)) { light(); return; }
  entries = withEntry(entries, { ...detail, recipe }, MOST, ROOM);
  store(); paint(); list.scrollTo({ left: 0 });
};
document.addEventListener('run-recipe', onRecipe);
document.addEventListener('run-ended', onEnded);
element.querySelector('.clear').addEventListener('click', () => { entries = []; store(); paint(); });
paint();
