// Runs JavaScript WAMP clients on command. Each line of standard input is one command in JSON, each line of standard
// output one answer (with the id of its command) or one notice (an event, or the end of a session).

import "./quiet.mjs";

import readline from "node:readline";

import { AutobahnPeer } from "./autobahn_peer.mjs";
import { fromTagged, toTagged } from "./values.mjs";
import { WampyPeer } from "./wampy_peer.mjs";

const CLIENTS = { autobahn_js: AutobahnPeer, wampy: WampyPeer };

const peers = new Map();

function write(message) {
  process.stdout.write(JSON.stringify(message) + "\n");
}

function notifier(peer) {
  return (notice, fields) => {
    const { args, kwargs, ...plain } = fields;
    const payload = notice === "event" ? { args: toTagged(args), kwargs: toTagged(kwargs) } : {};
    write({ notice, peer, ...plain, ...payload });
  };
}

async function run({ command, peer: name, client, args, kwargs, ...fields }) {
  if (command === "ready" || command === "probe") return null;
  if (command === "join") peers.set(name, new CLIENTS[client](notifier(name)));
  const peer = peers.get(name);
  const payload = args === undefined ? {} : { args: fromTagged(args), kwargs: fromTagged(kwargs) };
  const result = await peer[command]({ ...fields, ...payload });
  return toTagged(result);
}

async function answer(line) {
  const { id, ...request } = JSON.parse(line);
  try {
    write({ id, result: await run(request) });
  } catch (error) {
    const { uri, args, kwargs } = error;
    write({ id, error: { uri, args: toTagged(args), kwargs: toTagged(kwargs), message: String(error?.stack ?? error) } });
  }
}

// A client that throws in a callback must not take the others with it; the test sees the session end.
process.on("uncaughtException", () => {});
process.on("unhandledRejection", () => {});

readline.createInterface({ input: process.stdin, crlfDelay: Infinity }).on("line", answer).on("close", () => process.exit(0));
