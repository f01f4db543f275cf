// @ts-check
// The keys of everything that plays: the player, a figure with its timeline, the exported page. Imports nothing.

/**
 * What a key asks of what plays while the focus is on `target`: to play or pause, to go `by` a state, or `to` a share of the way.
 * Null where the key is no such key, or the control's own: a slider goes by arrows, and Space presses a button. On a slider
 * Space plays, as it has no meaning of its own there.
 * @param {string} key @param {{tagName: string, type?: string}} target
 * @returns {{play?: boolean, by?: number, to?: number} | null}
 */
export const playerKey = (key, { tagName, type = '' }) => {
  const slider = type === 'range', pressed = ['BUTTON', 'SUMMARY', 'A'].includes(tagName) || ['checkbox', 'radio'].includes(type);
  if (['SELECT', 'TEXTAREA'].includes(tagName) || (tagName === 'INPUT' && !slider && !pressed)) return null;
  if (key === ' ') return pressed ? null : { play: true };
  if (slider) return null;
  if (key === 'ArrowLeft' || key === 'ArrowRight') return { by: key === 'ArrowLeft' ? -1 : 1 };
  return key === 'Home' || key === 'End' ? { to: key === 'Home' ? 0 : 1 } : null;
};

/**
 * A control that was used by a pointer leaves the focus to what plays around it, one of `players`, so that Space plays there. A control
 * that was reached by Tab and used by a key keeps the focus. The focus goes before the control acts: what opens gives it back later.
 * @param {Pick<Document, 'addEventListener'>} page @param {string} players a selector
 */
export const leaveFocus = (page, players) => {
  let pointed = false;
  const leave = (/** @type {Element} */ control) => /** @type {HTMLElement | null} */ (control.closest(players))?.focus({ preventScroll: true });
  page.addEventListener('pointerdown', () => { pointed = true; }, true);
  page.addEventListener('keydown', () => { pointed = false; }, true);
  page.addEventListener('click', (event) => {
    const button = /** @type {Element} */ (event.target).closest?.('button');
    if (button && event.detail > 0) leave(button);     // 0 is a click that a key made
  }, true);
  page.addEventListener('change', (event) => {
    const control = /** @type {Element} */ (event.target);
    if (pointed && control.matches?.('select, input[type=checkbox]')) leave(control);
  }, true);
};
