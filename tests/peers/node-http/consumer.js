'use strict';

// A WebSocket client that carries out commands. Keys of `refer`: address, path, protocol, host; its connection stays
// open under the name. Methods of `call`: hello (what the server said first), protocol, echo, blob (octets there
// and back), ping, close (its argument is the code that the server is to close with; gives the code that came),
// refused (a handshake of its own that must not work; gives the status that came instead).

const { once } = require('events');
const WebSocket = require('ws');
const { serve, told, blob } = require('../node/lines');

const PATIENCE = 10000;
const sockets = new Map();

/** Fails when nothing comes in time. */
function within(what, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no ${what} in ${PATIENCE} ms`)), PATIENCE);
  });
  return Promise.race([ promise, late ]).finally(() => clearTimeout(timer));
}

function open(command) {
  const url = `ws://${command.address}${command.path || '/'}`;
  const headers = { ...command.attachments, ...(command.host ? { host: command.host } : {}) };
  return new WebSocket(url, command.protocol ? [ command.protocol ] : [], { headers });
}

async function refused(command) {
  const socket = open(command);
  socket.on('error', () => {});
  try {
    const [ , response ] = await within('refusal', once(socket, 'unexpected-response'));
    return response.statusCode;
  } finally {
    socket.terminate();
  }
}

const caller = {
  async refer(name, command) {
    const socket = open(command);
    const hello = within('hello', once(socket, 'message'));
    const [ said ] = await hello;
    sockets.set(name, { socket, hello: JSON.parse(said.toString()) });
  },

  async close(name) {
    const { socket } = sockets.get(name);
    sockets.delete(name);
    const closed = within('close', once(socket, 'close'));
    socket.close(1000);
    const [ code ] = await closed;
    if (code !== 1000) throw new Error(`closed with ${code}`);
  },

  async call(command) {
    if (command.method === 'refused') return refused(command);
    const { socket, hello } = sockets.get(command.ref || 'default');
    const [ arg ] = command.args || [];
    switch (command.method || 'echo') {
      case 'hello':
        return hello;
      case 'protocol':
        return socket.protocol;
      case 'echo':
        return (await exchange(socket, arg)).toString();
      case 'blob':
        return told(await exchange(socket, blob(arg)));
      case 'ping': {
        const pong = within('pong', once(socket, 'pong'));
        socket.ping(arg);
        return (await pong)[0].toString();
      }
      case 'close': {
        const closed = within('close', once(socket, 'close'));
        socket.send(`close ${arg}`);
        return (await closed)[0];
      }
      default:
        throw new Error(`no such method: ${command.method}`);
    }
  },
};

async function exchange(socket, message) {
  const answer = within('answer', once(socket, 'message'));
  socket.send(message);
  return (await answer)[0];
}

serve(caller);
