// In the page's head, after server_link.mjs: the page's own fetch, and a notice while the server is gone.
const LOST = 'The server does not answer. What is shown stays; this page waits for the server, and goes on by itself.';
const tell = (lost) => {
  document.documentElement.toggleAttribute('data-lost', lost);
  let notice = document.querySelector('#server-lost');
  if (!notice) {
    notice = document.createElement('div');
    notice.id = 'server-lost';
    notice.setAttribute('role', 'status');
    document.body.append(notice);
  }
  notice.textContent = lost ? LOST : '';
  document.dispatchEvent(new CustomEvent('server-lost', { detail: { on: lost } }));
};
const { fetch: patient, beat } = patientFetch(window.fetch.bind(window), { origin: location.href, tell, sleep: (ms) => new Promise((go) => setTimeout(go, ms)) });
window.fetch = patient;
// Gradio tells its server by one long request that the page is open, and makes it once. The browser notes a request when it ends.
const requests = new PerformanceObserver((list) => {
  const ended = list.getEntries().find(({ name }) => name.includes('/gradio_api/heartbeat/'));
  if (ended) { requests.disconnect(); beat(ended.name); }
});
requests.observe({ type: 'resource', buffered: true });
