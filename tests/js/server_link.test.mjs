import test from 'node:test';
import assert from 'node:assert/strict';
import { RESTARTED, failures, kindOf, messagesOf, noted, patientFetch } from '../../diffusion_studio/ui/server_link.mjs';

const HERE = 'http://here:1/';
const stream = (...parts) => new Response(new ReadableStream({
  async start(out) {
    for (const part of parts) {
      if (part === 'BREAK') { await new Promise((go) => setTimeout(go)); return out.error(new TypeError('network')); }
      out.enqueue(new TextEncoder().encode(part));
    }
    out.close();
  } }));
const make = (answers) => {
  const told = [], asked = [];
  const send = async (input) => {
    asked.push(input);
    if (!answers.length) return new Promise(() => {});    // no answer ever
    const next = answers.shift();
    if (next instanceof Error) throw next;
    return next;
  };
  const { fetch: ask, beat } = patientFetch(send, { origin: HERE, tell: (lost) => told.push(lost), sleep: () => new Promise((go) => setTimeout(go)) });
  return { ask, beat, told, asked };
};
const message = (msg, event_id) => `data: ${JSON.stringify({ msg, event_id, success: true })}\n\n`;

test('which requests wait', () => {
  const kinds = ['queue/join', 'queue/join?', 'queue/data?session_hash=x', 'heartbeat/abc', 'component_server', 'run/predict', 'app_id', 'upload', 'file=x'];
  assert.deepEqual(kinds.map((path) => kindOf(`${HERE}gradio_api/${path}`, HERE)), ['join', 'join', 'stream', '', 'call', 'call', '', '', '']);
  assert.equal(kindOf('/below/gradio_api/run/predict', HERE), 'call');
  assert.equal(kindOf('https://other/gradio_api/run/predict', HERE), '');
});

test('a call waits until the server answers, and the page is told once', async () => {
  const { ask, told, asked } = make([new TypeError('refused'), new Response('', { status: 502 }), new Response('made')]);
  assert.equal(await (await ask(`${HERE}gradio_api/run/predict`, { method: 'POST' })).text(), 'made');
  assert.deepEqual([told, asked.length], [[true, false], 3]);
});

test('a join that is sent again has the same name, and each join another', async () => {
  const names = [], answers = [new TypeError('lost'), new TypeError('lost'), Response.json({ event_id: 'a' }), Response.json({ event_id: 'b' })];
  const send = async (_input, init) => {
    names.push(init.headers.get('x-join'));
    assert.equal(init.headers.get('content-type'), 'application/json');
    const next = answers.shift();
    if (next instanceof Error) throw next;
    return next;
  };
  const { fetch: ask } = patientFetch(send, { origin: HERE, tell: () => {}, sleep: () => new Promise((go) => setTimeout(go)) });
  const given = { method: 'POST', body: '{}', headers: { 'Content-Type': 'application/json' } };
  assert.equal((await (await ask(`${HERE}gradio_api/queue/join`, given)).json()).event_id, 'a');
  await ask(`${HERE}gradio_api/queue/join`, given);
  assert.ok(names[0] && names.length === 4);
  assert.deepEqual(names.slice(1, 3), [names[0], names[0]]);
  assert.notEqual(names[3], names[0]);
});

test('what is given up does not wait, and other addresses fail at once', async () => {
  const { ask, told } = make([new TypeError('refused'), new TypeError('refused')]);
  await assert.rejects(ask(`${HERE}gradio_api/run/predict`, { signal: AbortSignal.abort() }), TypeError);
  await assert.rejects(ask('https://other/x'), TypeError);
  assert.deepEqual(told, []);
});

test('messages are put together from parts', () => {
  assert.deepEqual(messagesOf('a\n\nb\n\nc'), { messages: ['a\n\n', 'b\n\n'], rest: 'c' });
  const open = new Set(['e']);
  assert.equal(noted(message('process_generating', 'e'), open), message('process_generating', 'e'));
  assert.equal(open.size, 1);
  noted(message('process_completed', 'e'), open);
  assert.equal(open.size, 0);
  assert.equal(noted('data: {"msg":"unexpected_error","session_not_found":true}\n\n', open), null);
});

test('a stream that breaks ends the events that had not ended', async () => {
  const whole = message('process_generating', 'one');
  const { ask } = make([Response.json({ event_id: 'one' }), Response.json({ event_id: 'two' }),
    stream(message('process_completed', 'two'), whole.slice(0, 9), whole.slice(9), 'data: {"hal', 'BREAK')]);
  for (let k = 0; k < 2; k++) await ask(`${HERE}gradio_api/queue/join`, { method: 'POST' });
  const text = await (await ask(`${HERE}gradio_api/queue/data?session_hash=x`)).text();
  assert.equal(text, message('process_completed', 'two') + whole + failures(['one']));
  const [failed, closed] = failures(['one']).trim().split('\n\n').map((one) => JSON.parse(one.slice(5)));
  assert.deepEqual([failed.event_id, failed.success, failed.output.error, closed.msg], ['one', false, RESTARTED, 'close_stream']);
});

test('a server that knows nothing of an event ends it, and a stream that ends well is left alone', async () => {
  const lost = 'data: {"msg":"unexpected_error","message":"404","session_not_found":true,"success":false}\n\n';
  const end = message('process_completed', 'b') + message('close_stream', null);
  const { ask } = make([Response.json({ event_id: 'a' }), stream(lost), Response.json({ event_id: 'b' }), stream(end)]);
  const both = [];
  for (let k = 0; k < 2; k++) {
    await ask(`${HERE}gradio_api/queue/join`, { method: 'POST' });
    both.push(await (await ask(`${HERE}gradio_api/queue/data`)).text());
  }
  assert.deepEqual(both, [failures(['a']), end]);
});

test('the heartbeat begins again, and again', async () => {
  const { beat, told, asked } = make([stream('one', 'BREAK'), new TypeError('refused'), stream('two'), new RangeError('the end of the test')]);
  await assert.rejects(beat(`${HERE}gradio_api/heartbeat/x`), RangeError);
  assert.deepEqual([asked.length, told], [4, [true, false]]);
});
