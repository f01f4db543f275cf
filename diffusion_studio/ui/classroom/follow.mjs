// @ts-check
// What a page of a room does with what it is told, without the page.

/** @typedef {{ tick?: { run: string } | null, place?: number, playing?: boolean, fps?: number, closed?: boolean, away?: boolean }} Told */

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

/**
 * What a page in a room is told; `seen` says whether anything was shown in it.
 * @param {Told | null} told null where the server does not answer @param {boolean} seen
 */
export const attendingText = (told, seen) => {
  if (!told) return 'The server does not answer. This page tries again.';
  if (told.closed) return seen ? 'The room is closed. What was shown stays.' : 'There is no open room of this name. Ask your teacher for the link.';
  if (told.away) return `The teacher's page has closed, or does not answer.${seen ? ' What was shown stays.' : ''} The room closes soon unless the teacher comes back.`;
  if (!told.tick) return 'The teacher has shown nothing yet.';
  return told.place === undefined ? 'What the teacher runs plays here; move through it as you like.' : 'You follow the teacher: what the teacher shows plays here.';
};

/** Whether an address means the computer that the browser runs on, and no other finds it. @param {string} host */
export const onlyHere = (host) => /^(localhost|127\.\d+\.\d+\.\d+|\[::1\]|0\.0\.0\.0)$/.test(host);

/** How many pages watch, in words. @param {number} count */
export const watchingText = (count) => (count === 0 ? 'nobody watches yet' : count === 1 ? '1 page watches' : `${count} pages watch`);

/** The room that an address names, or ''. @param {string} search */
export const roomOf = (search) => (new URLSearchParams(search).get('room') ?? '').toUpperCase().replace(/[^A-Z]/g, '').slice(0, 12);
