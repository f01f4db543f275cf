// @ts-check
// Requests to a server that does not answer wait for it, so that a restart costs the page nothing that it shows.
// Without this Gradio's page breaks off what it asks for, and loads itself anew when the server is back. In the page's head.

export const RETRY_MS = 1500;
export const RESTARTED = 'The server was restarted, or could not be reached for a while, so this did not come to its end. Start it again.';

const CLOSE = { msg: 'close_stream', event_id: null };
// A proxy's answers in place of a server that does not run. 504 may come of a slow one, too, which is not asked the same again.
const GONE = [502, 503];
const GONE_OR_SLOW = [...GONE, 504];

/** What a request asks of Gradio: '' is nothing that waits. @param {string} address @param {string} origin */
export const kindOf = (address, origin) => {
  const url = new URL(address, origin);
  const path = url.pathname.split('/gradio_api/')[1] ?? '';
  if (url.origin !== new URL(origin).origin) return '';
  return { 'queue/join': 'join', 'queue/data': 'stream', 'component_server': 'call' }[path.replace(/\/$/, '')]
    ?? (path.startsWith('run/') ? 'call' : '');
};

/** The messages of a stream of server-sent events, and the text that belongs to the next one. @param {string} text */
export const messagesOf = (text) => {
  const parts = text.split('\n\n'), rest = parts.pop() ?? '';
  return { messages: parts.map((part) => `${part}\n\n`), rest };
};

const asText = (/** @type {object} */ message) => `data: ${JSON.stringify(message)}\n\n`;

/** What tells Gradio's page that events have failed. @param {Iterable<string>} ids */
export const failures = (ids) => [...[...ids].map((event_id) => asText({
  msg: 'process_completed', event_id, success: false, title: 'Error', output: { error: RESTARTED, duration: 12, visible: true, title: 'Error' } })), asText(CLOSE)].join('');

/**
 * A message as the page is to see it, after it was noted in `open`, the events whose end has not come. `null` stands for the end of
 * a stream whose server knows nothing of them, or stops.
 * @param {string} text @param {Set<string>} open
 */
export const noted = (text, open) => {
  if (!/"(process_completed|unexpected_error)"/.test(text)) return text;
  const message = JSON.parse(text.slice(text.indexOf('{')));
  if (message.msg === 'unexpected_error') return null;
  if (message.msg === 'process_completed') open.delete(message.event_id);
  return text;
};

/** A join of the queue with a name, by which the server knows one that is sent again, as its answer was lost. @param {any} input @param {any} init */
const named = (input, init) => {
  const headers = new Headers(init?.headers ?? input.headers);
  headers.set('x-join', `${Date.now().toString(36)}-${Math.random().toString(36).slice(2)}${Math.random().toString(36).slice(2)}`);
  return { ...init, headers };
};

/**
 * `send`, as `fetch`, for which requests to Gradio's server wait while it does not answer.
 * @param {typeof fetch} send
 * @param {{ origin: string, tell: (lost: boolean) => void, sleep: (ms: number) => Promise<void> }} page `tell` hears when it is gone or back
 * @returns {{ fetch: typeof fetch, beat: (address: string) => Promise<void> }} `beat` takes the place of a heartbeat that broke off, for ever
 */
export const patientFetch = (send, { origin, tell, sleep }) => {
  /** @type {Set<string>} */ const open = new Set();
  let waiting = 0;

  const answered = async (/** @type {any} */ input, /** @type {any} */ init, gone = GONE_OR_SLOW) => {
    let lost = false;
    try {
      for (;;) {
        try {
          const answer = await send(input, init);
          if (!gone.includes(answer.status)) return answer;
        } catch (error) {
          if (init?.signal?.aborted || !(error instanceof TypeError)) throw error;      // a TypeError is what fetch throws where no answer comes
        }
        if (!lost) { lost = true; if (++waiting === 1) tell(true); }
        await sleep(RETRY_MS);
        if (init?.signal?.aborted) throw new DOMException('The request was given up.', 'AbortError');
      }
    } finally { if (lost && --waiting === 0) tell(false); }
  };

  const piped = (/** @type {Response} */ answer, /** @type {(out: ReadableStreamDefaultController, reader: any) => Promise<void>} */ pump) => {
    const reader = answer.body?.getReader();
    const body = new ReadableStream({
      start: async (out) => { try { await pump(out, reader); out.close(); } catch (error) { out.error(error); } },
      cancel: (why) => reader?.cancel(why),
    });
    return new Response(body, { status: answer.status, headers: answer.headers });
  };

  const events = (/** @type {Response} */ answer, /** @type {any} */ init) => piped(answer, async (out, reader) => {
    const decoder = new TextDecoder(), encoder = new TextEncoder();
    let rest = '';
    try {
      for (;;) {
        const { done, value } = await reader.read();
        const found = messagesOf(rest + decoder.decode(value, { stream: !done }));
        rest = found.rest;
        for (const text of found.messages) {
          const told = noted(text, open);
          if (told === null) throw new TypeError('the server has stopped');
          out.enqueue(encoder.encode(told));
        }
        if (done) break;
      }
      if (!open.size) return;
    } catch (error) { if (init?.signal?.aborted) throw error; }
    out.enqueue(encoder.encode(failures(open)));
    open.clear();
  });

  const beat = async (/** @type {string} */ address) => {
    for (;;) {
      try {
        const reader = (await answered(address, {})).body?.getReader();
        while (reader && !(await reader.read()).done);
      } catch (error) { if (!(error instanceof TypeError)) throw error; }
      await sleep(RETRY_MS);
    }
  };

  const fetched = async (/** @type {any} */ input, /** @type {any} */ init) => {
    const kind = kindOf(typeof input === 'string' ? input : 'url' in input ? input.url : String(input), origin);
    if (!kind) return send(input, init);
    const answer = await answered(input, kind === 'join' ? named(input, init) : init, kind === 'stream' ? GONE_OR_SLOW : GONE);
    if (!answer.ok || !answer.body) return answer;
    if (kind === 'stream') return events(answer, init);
    if (kind === 'join') { const made = await answer.clone().json().catch(() => null); if (made?.event_id) open.add(made.event_id); }
    return answer;
  };
  return { fetch: fetched, beat };
};
