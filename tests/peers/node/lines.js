'use strict';

// The line protocol of every peer: one JSON object a line in, one a line out, in order. See ../README.md.

const readline = require('readline');

const MESSAGE_LIMIT = 2000;

/** Reads `--name value` pairs. */
function options(argv) {
  const found = {};
  for (let i = 2; i + 1 < argv.length; i += 2) {
    found[argv[i].slice(2)] = argv[i + 1];
  }
  return found;
}

/** What the frameworks want to say goes to the error stream: standard output carries answers alone. */
const logger = {
  info() {},
  debug() {},
  warn: (...words) => console.error(...words),
  error: (...words) => console.error(...words),
};

function ready(port) {
  console.log(`READY ${port}`);
}

/** Ends the process when the input ends or a SIGTERM comes. */
function endWith(stop) {
  let ending = false;
  const end = async () => {
    if (ending) return;
    ending = true;
    await stop();
    process.exit(0);
  };
  process.stdin.resume();
  process.stdin.on('end', end);
  process.on('SIGTERM', end);
}

/** Carries out commands one after the other. */
async function serve(caller) {
  ready(0);
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const start = Date.now();
    let answer;
    try {
      answer = { ok: true, value: await carryOut(caller, JSON.parse(line)), attachments: {} };
    } catch (err) {
      answer = describe(err);
    }
    answer.millis = Date.now() - start;
    console.log(JSON.stringify(answer));
  }
  process.exit(0);
}

async function carryOut(caller, command) {
  switch (command.op || 'call') {
    case 'refer':
      await caller.refer(command.ref || 'default', command);
      return null;
    case 'close':
      await caller.close(command.ref || 'default');
      return null;
    case 'call':
      return told(await caller.call(command));
    case 'concurrent':
      return concurrent(caller, command);
    default:
      throw new Error(`no such op: ${command.op}`);
  }
}

/** `n` calls from `threads` loops with a `pause` after each; `unique` gives each a text of its own and counts answers that are not it. */
async function concurrent(caller, command) {
  const counts = { answers: {}, failures: {}, messages: {}, wrong: 0, slowest: 0 };
  let next = 0;
  const loop = async () => {
    while (next < command.n) {
      const text = `unique-${next++}`;
      const call = command.unique ? { ...command, args: [ text ] } : command;
      const start = Date.now();
      try {
        const value = await caller.call(call);
        if (command.unique && value !== text) counts.wrong++;
        const key = command.unique ? 'echo' : String(value);
        counts.answers[key] = (counts.answers[key] || 0) + 1;
      } catch (err) {
        const failure = describe(err);
        const key = `${failure.exception}/${failure.code}`;
        counts.failures[key] = (counts.failures[key] || 0) + 1;
        counts.messages[key] = counts.messages[key] || failure.message;
      }
      counts.slowest = Math.max(counts.slowest, Date.now() - start);
      if (command.pause) await new Promise(resolve => setTimeout(resolve, command.pause));
    }
  };
  const loops = command.mode === 'async' ? command.n : command.threads || 1;
  await Promise.all(Array.from({ length: loops }, loop));
  return counts;
}

function describe(err) {
  const message = String(err.message || '');
  return {
    ok: false,
    exception: err.name || 'Error',
    code: err.resultCode === undefined ? -1 : Number(err.resultCode),
    message: message.slice(0, MESSAGE_LIMIT),
    causes: [],
  };
}

/** Octets as the test sees them, or the number of the first wrong one. */
function told(value) {
  if (!Buffer.isBuffer(value)) return value;
  for (let i = 0; i < value.length; i++) {
    if (value[i] !== octet(i)) throw new Error(`octet ${i} of ${value.length} is wrong`);
  }
  return { octets: value.length };
}

/** Octets that tell whether any of them was lost, moved or changed on the way. */
function blob(size) {
  const octets = Buffer.alloc(size);
  for (let i = 0; i < size; i++) octets[i] = octet(i);
  return octets;
}

function octet(i) {
  return (i * 31 + (i >>> 8)) & 0xff;
}

module.exports = { options, logger, ready, endWith, serve, told, blob };
