'use strict';

// A client of peer.api.Echo that carries out commands.
// Keys of `refer`: address, wire bolt|boltWithCrc|dubbo, version, group, timeout, heartbeat ms.
// Modes of `call`: sync, oneway, and over Dubbo generic.

const { RpcClient } = require('sofa-rpc-node').client;
const { logger, serve, blob } = require('./lines');
const wire = require('./wire');

const INTERFACE = 'peer.api.Echo';
/** Ids of one-way calls, apart from those that the framework gives to the others. */
let lastOneWay = 1 << 30;
const ways = new Map();

/** Java's types of the arguments, which the wire names and JavaScript does not know. */
function typed(arg) {
  if (typeof arg === 'number') return { $class: 'int', $: arg };
  if (arg && arg.octets !== undefined) return { $class: 'byte', isArray: true, $: blob(arg.octets) };
  if (arg && arg.text !== undefined) return { $class: 'java.lang.String', $: 'x'.repeat(arg.text) };
  return { $class: 'java.lang.String', $: arg };
}

/** The arguments of `$invoke`: the method, the names of its parameters' classes, their values. */
function generic(method, args) {
  const types = args.map(arg => typed(arg).$class);
  const array = (of, $) => ({ $class: `[${of}`, $abstractClass: `[${of}`, $ });
  return [ method, array('java.lang.String', types), array('java.lang.Object', args) ];
}

/** The framework has no such call, but its encoders write one: nobody waits for an answer. */
async function sendOneWay(consumer, method, args, options) {
  const request = consumer.createRequest(method, args, options);
  request.oneway = true;
  const connection = await consumer.getConnection(request);
  await new Promise((resolve, reject) => {
    connection._encoder.writeRequest(++lastOneWay, request, err => (err ? reject(err) : resolve()));
  });
  return null;
}

function options(kind, heartbeat) {
  const shared = { protocol: wire(kind), noDelay: true, connectTimeout: 3000 };
  return heartbeat ? { ...shared, maxIdleTime: heartbeat / 2 } : shared;
}

/** The framework does the same, but only every ten seconds. */
function beat(client, millis) {
  const timer = setInterval(() => {
    for (const connection of client.connectionManager.connections.values()) connection.heartbeat();
  }, millis);
  timer.unref();
}

serve({
  async refer(name, command) {
    const kind = command.wire || 'bolt';
    const client = new RpcClient({ logger, connectionOpts: options(kind, command.heartbeat) });
    if (command.heartbeat) beat(client, command.heartbeat);
    const scheme = kind === 'dubbo' ? 'dubbo' : 'bolt';
    const consumer = client.createConsumer({
      interfaceName: INTERFACE,
      // A provider that was exported without a group is found without one only.
      group: command.group || '',
      version: command.version === undefined ? '1.0' : command.version,
      serverHost: `${scheme}://${command.address}`,
      responseTimeout: command.timeout || 5000,
    });
    await consumer.ready();
    ways.set(name, { client, consumer });
  },

  async close(name) {
    await ways.get(name).client.close();
    ways.delete(name);
  },

  async call(command) {
    const { consumer } = ways.get(command.ref || 'default');
    const method = command.method || 'echo';
    const args = command.args || [];
    const options = { responseTimeout: command.timeout };
    const props = { ...(command.mode === 'generic' && { generic: 'true' }), ...command.attachments };
    if (Object.keys(props).length) options.requestProps = { service: consumer.id, ...props };
    switch (command.mode) {
      case 'oneway':
        return sendOneWay(consumer, method, args.map(typed), options);
      case 'generic':
        return consumer.invoke('$invoke', generic(method, args), options);
      default:
        return consumer.invoke(method, args.map(typed), options);
    }
  },
});
