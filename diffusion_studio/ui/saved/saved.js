// The saved card's page half: a file that was made is downloaded at once, and shown with what it is.
const $ = (name) => element.querySelector(name);
const card = $('.saved');
let shown = null;

const onValue = () => {
  const v = props.value;
  if (!v || !v.path || v.path === shown) return;
  shown = v.path;
  const root = (window.gradio_config?.root ?? '').replace(/[/]$/, '');
  const url = `${root}/gradio_api/file=${v.path}`;
  $('.preview').src = url; $('.name').textContent = v.name; $('.said').textContent = `${v.size} MB · ${v.said}`;
  Object.assign($('.again'), { href: url, download: v.name });
  for (const one of element.querySelectorAll('[data-preset]')) one.ariaPressed = one.dataset.preset === v.preset;
  card.hidden = false;
  $('.again').click();
};

document.addEventListener('click', ({ target }) => {      // the next thing that is done puts it away
  if (target.closest('#generate, #player, #model, #examples') && !target.closest('.save')) card.hidden = true;
});
$('.close').addEventListener('click', () => { card.hidden = true; });
for (const one of element.querySelectorAll('[data-preset]')) {
  one.addEventListener('click', () => { document.documentElement.dataset.preset = one.dataset.preset; document.querySelector('#save-gif')?.click(); });
}
$('.more').addEventListener('click', () => {
  card.hidden = true;
  document.dispatchEvent(new CustomEvent('open-settings'));
  setTimeout(() => { const panel = document.querySelector('#export'); panel.scrollIntoView({ block: 'start' }); if (!document.querySelector('#make-file')) panel.querySelector('button').click(); }, 80);
});

watch('value', onValue);
onValue();
