// The pictures of a run one after another, at the step that is shown: of a film the film, of others a look at each.
const makeFilm = (button, pictures, pause, show) => {  // pictures(): {count, at}, at being null for all; pause(): ms a picture
  let timer = null;

  const stop = () => {
    clearTimeout(timer); timer = null;
    button.ariaPressed = false;
  };

  const next = () => {
    if (!button.isConnected) return stop();            // the component was removed
    const { count, at } = pictures();
    show(at === null ? 0 : (at + 1) % count);
    timer = setTimeout(next, pause());
  };

  const start = () => { stop(); button.ariaPressed = true; next(); };

  return { start, stop, on: () => timer !== null };
};
