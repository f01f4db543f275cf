import assert from 'node:assert/strict';
import test from 'node:test';
import { attendingText, nextPlace, onlyHere, roomOf, watchingText } from '../../diffusion_studio/ui/classroom/follow.mjs';

const tick = { run: 'a' };

test('a page goes where the teacher is, and nowhere where the teacher does not lead', () => {
  assert.equal(nextPlace({ tick, place: 7, playing: false, fps: 10 }, { run: 'a', place: 3, playing: false }), 7);
  assert.equal(nextPlace({ tick, place: 7, playing: false, fps: 10 }, { run: 'a', place: 7, playing: false }), null);
  assert.equal(nextPlace({ tick }, { run: 'a', place: 3, playing: false }), null);
  assert.equal(nextPlace({ tick: null, place: 0 }, { run: '', place: 0, playing: false }), null);
});

test('another run begins where the teacher is in it', () => {
  assert.equal(nextPlace({ tick, place: 0, playing: false }, { run: 'b', place: 0, playing: false }), 0);
});

test('while both play, a page that is near is left alone', () => {
  const told = { tick, place: 20, playing: true, fps: 10 };
  assert.equal(nextPlace(told, { run: 'a', place: 5, playing: true }), null);
  assert.equal(nextPlace(told, { run: 'a', place: 45, playing: true }), 20);
  assert.equal(nextPlace(told, { run: 'a', place: 5, playing: false }), 20);
});

test('a room is read from an address, whatever is typed', () => {
  assert.equal(roomOf('?room=kdwqz'), 'KDWQZ');
  assert.equal(roomOf('?recipe=%7B%7D'), '');
  assert.equal(roomOf('?room=%3Cb%3E'), 'B');
});

test('an address of this computer alone is told from one that others find', () => {
  assert.deepEqual(['localhost', '127.0.0.1', '[::1]', 'school.example', '192.168.0.5', 'localhost.example'].map(onlyHere),
    [true, true, true, false, false, false]);
});

test('the pages that watch are counted in words', () => {
  assert.deepEqual([0, 1, 30].map(watchingText), ['nobody watches yet', '1 page watches', '30 pages watch']);
});

test('a page in a room is told how it stands', () => {
  assert.match(attendingText({ closed: true }, false), /no open room of this name/);
  assert.match(attendingText({ closed: true }, true), /^The room is closed. What was shown stays/);
  assert.match(attendingText({ tick: null, away: true }, true), /^The teacher's page has closed, or does not answer. What was shown stays. The room closes soon/);
  assert.doesNotMatch(attendingText({ tick: null, away: true }, false), /What was shown/);
  assert.match(attendingText({ tick, place: 3 }, true), /^You follow/);
  assert.match(attendingText({ tick }, true), /move through it as you like/);
});
