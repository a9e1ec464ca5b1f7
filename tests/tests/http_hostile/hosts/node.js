'use strict';

// Tells in `x-saw` what Node's parser makes of each request: method, target and the body in hexadecimal.

const http = require('http');

const server = http.createServer({ maxHeaderSize: 1 << 17, keepAliveTimeout: 60000 }, (request, response) => {
  const body = [];
  request.on('data', data => body.push(data));
  request.on('end', () => {
    const told = `${request.method} ${request.url} ${Buffer.concat(body).toString('hex')}`;
    response.writeHead(200, { 'x-saw': told, 'content-length': 0 });
    response.end();
  });
});
server.listen(0, '127.0.0.1', () => console.log(`READY ${server.address().port}`));
process.stdin.on('end', () => process.exit(0)).resume();
