// What a page of a room does with what it is told, without the page.

/** @typedef {{ tick?: { run: string } | null, place?: number, playing?: boolean, fps?: number, closed?: boolean }} Told */

/**
 * Where the player should go: nowhere (null) while it plays along near enough to the teacher's place.
 * @param {Told} told
 * @param {{ run: string, place: number, playing: boolean }} here what this page shows
 */
export const nextPlace = (told, here) => {
  if (told.place === undefined || !told.tick) return null;               // the teacher does not lead
  if (told.tick.run !== here.run) return told.place;
  const near = told.playing && here.playing ? 2 * Math.max(told.fps ?? 10, 3) : 0;   // two seconds: what a slow line may be late by
  return Math.abs(told.place - here.place) > near ? told.place : null;
};

/** Whether an address means the computer that the browser runs on, and no other finds it. @param {string} host */
export const onlyHere = (host) => /^(localhost|127\.\d+\.\d+\.\d+|\[::1\]|0\.0\.0\.0)$/.test(host);

/** How many pages watch, in words. @param {number} count */
export const watchingText = (count) => (count === 0 ? 'nobody watches yet' : count === 1 ? '1 page watches' : `${count} pages watch`);

/** The room that an address names, or ''. @param {string} search */
export const roomOf = (search) => (new URLSearchParams(search).get('room') ?? '').toUpperCase().replace(/[^A-Z]/g, '').slice(0, 12);
