'use strict';

// The protocols as the framework takes them, by the name that a command gives.

const bolt = require('sofa-bolt-node');
const dubbo = require('dubbo-remoting');

/** Bolt v2 with a CRC is decoded by default but can only be written with an encoder that was told so. */
const boltWithCrc = {
  ...bolt,
  name: 'bolt',
  encoder(options) {
    const encoder = bolt.encoder(options);
    encoder.protocolType = 'bolt2';
    encoder.boltVersion = 2;
    encoder.crcEnable = true;
    return encoder;
  },
  decoder: options => bolt.decoder(options),
};

/** The bit of a Dubbo header that asks for an answer. */
const TWO_WAY = 0x40;

/** Encodes a request that says `oneway`, as the encoder of Bolt does, without the bit. */
const dubboWithOneWay = {
  ...dubbo,
  encoder(options) {
    const encoder = dubbo.encoder(options);
    const encode = encoder._requestEncode.bind(encoder);
    encoder._requestEncode = packet => {
      const octets = encode(packet);
      if (packet.req.oneway) octets[2] &= ~TWO_WAY;
      return octets;
    };
    return encoder;
  },
};

const wires = { bolt, boltWithCrc, dubbo: dubboWithOneWay };

module.exports = name => {
  const wire = wires[name];
  if (!wire) throw new Error(`no such wire: ${name}`);
  return wire;
};
