'use strict';

const { WebSocketServer } = require('ws');

/**
 * Sends every message back. The first message of a connection is the server's label and what the handshake brought, as
 * JSON. The text `close N` asks for an end by the server, with that code.
 */
function takeWebSockets(server, label) {
  const sockets = new WebSocketServer({ server, handleProtocols: offered => [ ...offered ][0] });
  sockets.on('connection', (socket, request) => {
    const { method, url, headers } = request;
    socket.send(JSON.stringify({ label, method, url, headers }));
    socket.on('message', (data, binary) => {
      const wanted = !binary && /^close (\d+)$/.exec(data.toString());
      if (wanted) {
        socket.close(Number(wanted[1]), 'as asked');
      } else {
        socket.send(data, { binary });
      }
    });
  });
}

module.exports = { takeWebSockets };
