// What the app gives view.js, which comes after this, for a page that stands alone.
const element = document.querySelector('main');
const props = { value: JSON.parse(document.getElementById('frames').textContent) };
const server = { example: async () => null };
const watch = () => {};
leaveFocus(document, 'main');
