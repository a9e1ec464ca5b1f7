'use strict';

// An HTTP server. Options: --wire h1|h2 (without TLS), --label, --port. Over HTTP/1.1 it takes WebSockets at any path.
//
// /who        the label
// /seen       what arrived, as JSON: method, url, version, headers, trailers, octets of the body
// /echo       the body, while it arrives; trailers of the request come back
// /blob/N     N octets; with ?chunked without a length, and with a trailer
// /late/N     the same after a moment
// /status/N   that status
// /reset      an answer that breaks off

const http = require('http');
const http2 = require('http2');
const { options, ready, endWith, blob } = require('../node/lines');
const { takeWebSockets } = require('./websockets');

const given = options(process.argv);
const label = given.label || 'v1';
// The pattern of the octets repeats after so many.
const PIECE = 1 << 16;
const LATE_MILLIS = 100;
// WebSockets have no end of their own.
const END_MILLIS = 2000;
const INTERNAL_ERROR = http2.constants.NGHTTP2_INTERNAL_ERROR;

function seen(request, response) {
  let octets = 0;
  request.on('data', data => { octets += data.length; });
  request.on('end', () => {
    const { method, url, httpVersion: version, headers, rawHeaders, trailers } = request;
    const names = rawHeaders.filter((_, i) => i % 2 === 0);
    const told = { label, method, url, version, headers: { ...headers }, names, trailers: { ...trailers }, octets };
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify(told));
  });
}

function echo(request, response) {
  response.setHeader('content-type', request.headers['content-type'] || 'application/octet-stream');
  if (request.headers.trailer) response.setHeader('trailer', request.headers.trailer);
  request.on('data', data => {
    if (!response.write(data)) {
      request.pause();
      response.once('drain', () => request.resume());
    }
  });
  request.on('end', () => {
    const after = request.trailers['x-after'];
    if (after) response.addTrailers({ 'x-after': after });
    response.end();
  });
}

function octets(size, chunked, response) {
  const piece = blob(PIECE);
  if (chunked) response.setHeader('trailer', 'x-after');
  else response.setHeader('content-length', size);
  let left = size;
  const more = () => {
    while (left > 0) {
      const part = piece.subarray(0, Math.min(left, PIECE));
      left -= part.length;
      if (!response.write(part)) {
        response.once('drain', more);
        return;
      }
    }
    if (chunked) response.addTrailers({ 'x-after': 'blob' });
    response.end();
  };
  more();
}

// Told in every answer from then on.
let ending = false;

function answer(request, response) {
  const { pathname, searchParams } = new URL(request.url, 'http://peer');
  const [ , what, number ] = pathname.split('/');
  response.setHeader('x-label', label);
  if (ending && given.wire !== 'h2') response.setHeader('connection', 'close');
  switch (what) {
    case 'seen':
      return seen(request, response);
    case 'echo':
      return echo(request, response);
    case 'blob':
      if (request.method === 'HEAD') {
        response.setHeader('content-length', number);
        return response.end();
      }
      return octets(Number(number), searchParams.has('chunked'), response);
    case 'late':
      return setTimeout(() => octets(Number(number), false, response), LATE_MILLIS);
    case 'status':
      response.statusCode = Number(number);
      return response.end();
    case 'reset':
      response.write('a beginning');
      return setTimeout(() => (response.stream ? response.stream.close(INTERNAL_ERROR) : response.destroy()), 50);
    default:
      request.resume();
      response.setHeader('content-type', 'text/plain');
      return response.end(label);
  }
}

// By default it refuses streams once those of a connection hold ten megabytes.
const server = given.wire === 'h2' ? http2.createServer({ maxSessionMemory: 1000 }, answer) : http.createServer(answer);
if (given.wire !== 'h2') takeWebSockets(server, label);
// A burst of connections beyond the usual 511 would be reset by the kernel, not by the host.
const at = { port: Number(given.port || 0), host: '127.0.0.1', backlog: 4096 };
server.listen(at, () => ready(server.address().port));
const sessions = new Set();
server.on('session', session => {
  sessions.add(session);
  session.on('close', () => sessions.delete(session));
});

// Gracefully: what is at work is finished, over HTTP/2 after a GOAWAY.
endWith(async () => {
  ending = true;
  const ended = new Promise(resolve => server.close(resolve));
  sessions.forEach(session => session.close());
  const patience = new Promise(resolve => setTimeout(resolve, END_MILLIS));
  await Promise.race([ended, patience]);
});
