'use strict';

// A client of peer.api.Echo that carries out commands.
// Keys of `refer`: address, wire bolt|boltWithCrc|dubbo, version, timeout, heartbeat ms.

const { RpcClient } = require('sofa-rpc-node').client;
const { logger, serve, blob } = require('./lines');
const wire = require('./wire');

const INTERFACE = 'peer.api.Echo';
const ways = new Map();

/** Java's types of the arguments, which the wire names and JavaScript does not know. */
function typed(arg) {
  if (typeof arg === 'number') return { $class: 'int', $: arg };
  if (arg && arg.octets !== undefined) return { $class: 'byte', isArray: true, $: blob(arg.octets) };
  if (arg && arg.text !== undefined) return { $class: 'java.lang.String', $: 'x'.repeat(arg.text) };
  return { $class: 'java.lang.String', $: arg };
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
    const args = (command.args || []).map(typed);
    const options = { responseTimeout: command.timeout };
    if (command.attachments) {
      options.requestProps = { service: consumer.id, ...command.attachments };
    }
    return consumer.invoke(command.method || 'echo', args, options);
  },
});
