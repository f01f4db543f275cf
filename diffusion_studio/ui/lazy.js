// A part of the page that is fetched when it is first seen: markup, styles and scripts come by a server function.
const host = element.querySelector('.lazy');
const begin = async () => {
  host.setAttribute('aria-busy', 'true');
  const parts = await server.parts({});
  for (const [name, text] of Object.entries(parts.css)) {
    if (document.querySelector(`style[data-file="${name}"]`)) continue;   // a second one would outrank what another part says of its own
    const style = document.createElement('style');
    style.dataset.file = name;
    style.textContent = text;
    document.head.append(style);
  }
  host.innerHTML = parts.html;
  const send = (value) => { props.value = value; trigger('input'); };
  new Function('host', 'server', 'send', parts.js)(host, server, send);
  host.setAttribute('aria-busy', 'false');
};
new IntersectionObserver((seen, watcher) => {
  if (seen.some((one) => one.isIntersecting)) { watcher.disconnect(); begin(); }
}).observe(host);
