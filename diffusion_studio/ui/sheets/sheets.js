// The timeline of a training's samples: one sheet is shown large, the others small under a slider.
// props.value = {run, sheets: [{when, short, picture}, ...]}, the newest last.
const $ = (name) => element.querySelector(name);
let run = null, follows = true;                        // it follows the newest sheet until a hand chooses another

const show = (number) => {
  const sheet = props.value.sheets[number];
  $('.whole').src = sheet.picture;
  $('.whole').alt = `Samples ${sheet.when}`;
  $('.when').textContent = sheet.when;
  $('.at').value = number;
  $('.at').setAttribute('aria-valuetext', sheet.when);
  [...$('.line').children].forEach((one, k) => { one.classList.toggle('on', k === number); });
};

const choose = (number) => { follows = number === props.value.sheets.length - 1; show(number); };

const thumbnail = (sheet, number) => {
  const one = document.createElement('button'), picture = document.createElement('img');
  one.type = 'button'; one.tabIndex = -1; one.title = `Samples ${sheet.when}`;      // the slider is the one tab stop
  picture.src = sheet.picture; picture.alt = '';
  one.append(picture, sheet.short);
  one.addEventListener('click', () => choose(number));
  return one;
};

const paint = () => {
  const given = props.value, all = given?.sheets ?? [], held = run === given?.run ? $('.when').textContent : '';
  $('.sheets').hidden = !all.length;
  if (!all.length) return;
  if (run !== given.run) follows = true;
  run = given.run;
  $('.at').max = all.length - 1;
  $('.at').hidden = $('.line').hidden = all.length < 2;
  $('.line').replaceChildren(...all.map(thumbnail));
  const same = all.findIndex((sheet) => sheet.when === held);
  show(follows || same < 0 ? all.length - 1 : same);
};

$('.at').addEventListener('input', () => choose(Number($('.at').value)));
watch('value', paint);
paint();
