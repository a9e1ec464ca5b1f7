'use strict';

// A provider of peer.api.Echo. Options: --wire bolt|dubbo, --label, --port, --version (one or more with commas
// between), --idle ms after which a silent connection is closed.

const net = require('net');
const { RpcServer } = require('sofa-rpc-node').server;
const { options, logger, ready, endWith, told, blob } = require('./lines');
const wire = require('./wire');

const given = options(process.argv);
const label = given.label || 'v1';
const text = $ => ({ $class: 'java.lang.String', $ });
const number = $ => ({ $class: 'int', $ });
let fired = 0;

const service = {
  async echo(said) {
    return text(said);
  },
  async who() {
    return text(label);
  },
  async headers() {
    const props = this.req.data.requestProps || this.req.data.attachments || {};
    return { $class: 'java.util.HashMap', $: props };
  },
  async fail(said) {
    throw new Error(said);
  },
  async sleep(millis) {
    await new Promise(resolve => setTimeout(resolve, millis));
    return text(label);
  },
  async blob(size) {
    return { $class: 'byte', isArray: true, $: blob(size) };
  },
  async size(octets) {
    return number(told(octets).octets);
  },
  /** One-way calls are answered as well, and over Dubbo the framework cannot read its own void answer. */
  async fire() {
    fired++;
    return text('');
  },
  async fired() {
    return number(fired);
  },
};

/** The framework's own listens on every interface, and gives a method no sight of its request. */
class LoopbackServer extends RpcServer {
  createContext(req) {
    return { req };
  }

  _startServer(port) {
    const server = net.createServer();
    server.once('error', err => this.emit('error', err));
    server.on('connection', socket => this._handleSocket(socket));
    server.listen(port, '127.0.0.1', () => {
      this.publishPort = server.address().port;
    });
    return server;
  }
}

async function main() {
  const server = new LoopbackServer({
    logger,
    port: Number(given.port || 0),
    protocol: wire(given.wire || 'bolt'),
    killTimeout: 1000,
    maxIdleTime: Number(given.idle || 90000),
  });
  const versions = given.version === undefined ? '1.0' : given.version;
  for (const version of versions.split(',')) {
    server.addService({ interfaceName: 'peer.api.Echo', version }, service);
  }
  await server.start();
  ready(server.publishPort);
  endWith(() => server.close());
}

main().catch(err => {
  console.error(err);
  process.exit(1);
});
