// autobahn-js behind the commands of peers.mjs.

import { Failure, FAILURE_URI, UNAVAILABLE_URI } from "./failure.mjs";
import { load } from "./modules.mjs";

const WebSocket = load("ws");

// autobahn-js takes the WebSocket of the browser, and for RawSocket the `connect` of Node's module `net`.
// Remember what each connection opened, so that a test can cut it.
let newestSocket = null;
globalThis.WebSocket = class extends WebSocket {
  constructor(url, protocols) {
    super(url, protocols);
    newestSocket = this;
  }
};

const nacl = load("tweetnacl");
const net = load("net");
const connect = net.connect;
net.connect = (...args) => {
  newestSocket = connect(...args);
  return newestSocket;
};

const autobahn = load("autobahn");
autobahn.log?.debug?.(false);

const SERIALIZERS = {
  json: () => new autobahn.serializer.JSONSerializer(),
  msgpack: () => new autobahn.serializer.MsgpackSerializer(),
  cbor: () => new autobahn.serializer.CBORSerializer(),
};

export class AutobahnPeer {
  #connection;
  #session;
  #socket;
  #nextId = 1;
  #subscriptions = new Map();
  #registrations = new Map();
  #calls = new Map();

  constructor(notify) {
    this.notify = notify;
  }

  async join({ target, serializer, realm, login }) {
    const transport = target.url
      ? { type: "websocket", url: target.url, serializers: [SERIALIZERS[serializer]()] }
      : { type: "rawsocket", ...target };
    this.#connection = new autobahn.Connection({
      transports: [transport],
      realm,
      ...identity(login),
      max_retries: 0,
      on_user_error: () => {},
      on_internal_error: () => {},
    });
    await new Promise((resolve, reject) => {
      this.#connection.onopen = (session) => {
        this.#session = session;
        resolve();
      };
      this.#connection.onclose = (how, details) => {
        if (!this.#session) reject(new Failure(details.reason, [], {}, `closed: ${how}`));
        this.notify("closed", { reason: details.reason });
        return true;
      };
      this.#connection.open();
      this.#socket = newestSocket;
    });
    return { session: this.#session.id };
  }

  async subscribe({ topic, options }) {
    const id = this.#nextId++;
    this.notify("subscribed", { subscription: id });
    const handler = (args, kwargs) => this.notify("event", { subscription: id, args, kwargs });
    this.#subscriptions.set(id, await this.#ask(this.#session.subscribe(topic, handler, options ?? undefined)));
    return id;
  }

  async unsubscribe({ subscription }) {
    await this.#ask(this.#session.unsubscribe(this.#subscriptions.get(subscription)));
  }

  async publish({ topic, args, kwargs, acknowledge, options }) {
    await this.#ask(this.#session.publish(topic, args, kwargs, acknowledge ? { ...options, acknowledge: true } : options));
  }

  async register({ procedure, behaviour, options }) {
    const id = this.#nextId++;
    const handler = behaviour === "name" ? () => this.#session.id : BEHAVIOURS[behaviour];
    this.#registrations.set(id, await this.#ask(this.#session.register(procedure, handler, options ?? undefined)));
    return id;
  }

  async unregister({ registration }) {
    await this.#ask(this.#session.unregister(this.#registrations.get(registration)));
  }

  async call({ procedure, args, kwargs, options, progress, handle }) {
    if (progress) options = { ...options, receive_progress: true };
    const call = this.#session.call(procedure, args, kwargs, options ?? undefined);
    if (handle) this.#calls.set(handle, call);
    const onProgress = (result) => this.notify("event", { subscription: progress, ...payloadOf(result) });
    return payloadOf(await this.#ask(progress ? call.then(undefined, undefined, onProgress) : call));
  }

  async cancel({ handle, mode }) {
    this.#calls.get(handle).cancel(mode ? { mode } : undefined);
  }

  async leave() {
    this.#connection.close();
  }

  async drop() {
    if (this.#socket instanceof WebSocket) this.#socket.terminate();
    else this.#socket.destroy();
  }

  async #ask(promise) {
    try {
      return await promise;
    } catch (error) {
      if (error instanceof autobahn.Error) throw new Failure(error.error, error.args, error.kwargs);
      throw error;
    }
  }
}

// What a connection says of who it is, and how it answers challenges.
function identity(login) {
  if (!login) return {};
  const { method, authid, secret } = login;
  const key = method === "cryptosign" ? nacl.sign.keyPair.fromSeed(Buffer.from(secret, "hex")) : null;
  const answers = {
    ticket: () => secret,
    wampcra: ({ challenge, salt, iterations, keylen }) =>
      autobahn.auth_cra.sign(salt ? autobahn.auth_cra.derive_key(secret, salt, iterations, keylen) : secret, challenge),
    cryptosign: (extra) => autobahn.auth_cryptosign.sign_challenge(key, extra),
  };
  return {
    authmethods: [method],
    authid: authid ?? undefined,
    authextra: key ? { pubkey: autobahn.auth_cryptosign.public_key(key) } : undefined,
    onchallenge: (_session, asked, extra) => answers[asked](extra),
  };
}

function payloadOf(result) {
  if (result instanceof autobahn.Result) return { args: result.args, kwargs: result.kwargs };
  return { args: result === null || result === undefined ? [] : [result], kwargs: {} };
}

const BEHAVIOURS = {
  count: ([number], _kwargs, details) => {
    for (let n = 0; n < number; n++) details.progress?.([n]);
    return "done";
  },
  details: (_args, _kwargs, { procedure, caller, caller_authid, caller_authrole }) =>
    new autobahn.Result([procedure, caller ?? null, caller_authid ?? null, caller_authrole ?? null]),
  unavailable: () => {
    throw new autobahn.Error(UNAVAILABLE_URI, [], {});
  },
  echo: (args, kwargs) => new autobahn.Result(args, kwargs),
  fail: (args, kwargs) => {
    throw new autobahn.Error(FAILURE_URI, args, kwargs);
  },
  hold: () => new Promise(() => {}),
};
