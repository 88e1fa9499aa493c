// wampy.js behind the commands of peers.mjs.

import { pathToFileURL } from "node:url";

import { Failure, FAILURE_URI, UNAVAILABLE_URI } from "./failure.mjs";
import { load } from "./modules.mjs";
import { fromTagged, toTagged } from "./values.mjs";

const WebSocket = load("ws");
const { Wampy } = load("wampy");
const { JsonSerializer } = load("wampy/JsonSerializer.js");
const { MsgpackSerializer } = load("wampy/MsgpackSerializer.js");
const { CborSerializer } = load("wampy/CborSerializer.js");

const nacl = load("tweetnacl");
const cryptosign = load("wampy/cryptosign.js");
// This module of wampy.js can only be imported.
const wampcra = await import(pathToFileURL(load.resolve("wampy/cryptosign.js").replace(/dist.*$/, "dist/esm/auth/wampcra/wampy-cra.js")));

const SERIALIZERS = {
  json: () => new JsonSerializer(),
  msgpack: () => new MsgpackSerializer(),
  cbor: () => new CborSerializer(),
};

export class WampyPeer {
  #client;
  #socket;
  #nextId = 1;
  #subscriptions = new Map();
  #registrations = new Map();
  #calls = new Map();

  constructor(notify) {
    this.notify = notify;
  }

  async join({ target, serializer, realm, login }) {
    const peer = this;
    let reason = null;
    this.#client = new Wampy(target.url, {
      realm,
      ...identity(login),
      serializer: SERIALIZERS[serializer](),
      payloadSerializers: Object.fromEntries(Object.entries(SERIALIZERS).map(([name, make]) => [name, make()])),
      uriValidation: "loose",
      autoReconnect: false,
      ws: class extends WebSocket {
        constructor(url, protocols) {
          super(url, protocols);
          peer.#socket = this;
        }
      },
      onError: (error) => {
        reason = error.errorUri ?? reason;
      },
      onClose: () => this.notify("closed", { reason }),
    });
    await this.#ask(this.#client.connect());
    return { session: this.#client.getSessionId() };
  }

  async subscribe({ topic, options }) {
    const id = this.#nextId++;
    this.notify("subscribed", { subscription: id });
    const handler = ({ argsList, argsDict }) => this.notify("event", { subscription: id, args: argsList ?? [], kwargs: argsDict ?? {} });
    const { subscriptionKey } = await this.#ask(this.#client.subscribe(topic, handler, options ?? undefined));
    this.#subscriptions.set(id, subscriptionKey);
    return id;
  }

  async unsubscribe({ subscription }) {
    await this.#ask(this.#client.unsubscribe(this.#subscriptions.get(subscription)));
  }

  // wampy.js always asks for an acknowledgement.
  async publish({ topic, args, kwargs, options }) {
    await this.#ask(this.#client.publish(topic, { argsList: args, argsDict: kwargs }, options));
  }

  async register({ procedure, behaviour, options }) {
    const id = this.#nextId++;
    const handler = behaviour === "name" ? () => ({ argsList: [this.#client.getSessionId()] }) : BEHAVIOURS[behaviour];
    await this.#ask(this.#client.register(procedure, handler, options ?? undefined));
    this.#registrations.set(id, procedure);
    return id;
  }

  async unregister({ registration }) {
    await this.#ask(this.#client.unregister(this.#registrations.get(registration)));
  }

  async call({ procedure, args, kwargs, options, progress, handle }) {
    const onProgress = (result) => this.notify("event", { subscription: progress, ...payloadOf(result) });
    if (progress) options = { ...options, progress_callback: onProgress };
    const call = this.#client.call(procedure, { argsList: args, argsDict: kwargs }, options ?? undefined);
    if (handle) this.#calls.set(handle, this.#client.getOpStatus().reqId);
    return payloadOf(await this.#ask(call));
  }

  async call_in_chunks({ procedure, args: [first, ...rest] }) {
    const { result, sendData } = this.#client.progressiveCall(procedure, first);
    rest.forEach((chunk, index) => sendData(chunk, { progress: index + 1 < rest.length }));
    return payloadOf(await this.#ask(result));
  }

  async cancel({ handle, mode }) {
    this.#client.cancel(this.#calls.get(handle), mode ? { mode } : undefined);
  }

  async leave() {
    await this.#client.disconnect();
  }

  async drop() {
    this.#socket.terminate();
  }

  async #ask(promise) {
    try {
      return await promise;
    } catch (error) {
      const uri = typeof error.error === "string" ? error.error : error.errorUri;
      if (uri) throw new Failure(uri, error.argsList, error.argsDict);
      throw error;
    }
  }
}

// What a client says of who it is, and how it answers challenges.
function identity(login) {
  if (!login) return {};
  const { method, authid, secret } = login;
  const plugins = {
    ticket: () => () => secret,
    wampcra: () => wampcra.sign(secret),
    cryptosign: () => cryptosign.sign(secret),
  };
  const key = method === "cryptosign" ? nacl.sign.keyPair.fromSeed(Buffer.from(secret, "hex")) : null;
  return {
    authid,
    authmethods: [method],
    authextra: key ? { pubkey: cryptosign.bytes2hex(key.publicKey) } : {},
    authMode: "auto",
    authPlugins: { [method]: plugins[method]() },
  };
}

function payloadOf({ argsList, argsDict }) {
  return { args: argsList ?? [], kwargs: argsDict ?? {} };
}

// What wampy.js hands out, to be sent again. Its CBOR decoder yields octets as Uint8Array, which its encoder would write
// as a typed array (tag 64); as a Buffer they go out as the byte string that they were.
function sendable({ argsList, argsDict }) {
  return { argsList: fromTagged(toTagged(argsList ?? [])), argsDict: fromTagged(toTagged(argsDict ?? {})) };
}

const SEALED = { ppt_scheme: "x_example", ppt_serializer: "cbor", ppt_keyid: "key of the answer" };

const BEHAVIOURS = {
  echo: sendable,
  // Answers in payload passthru mode.
  sealed: (payload) => ({ ...sendable(payload), options: SEALED }),
  count: ({ argsList: [number], details, result_handler }) => {
    for (let n = 0; n < number && details.receive_progress; n++) result_handler({ argsList: [n], options: { progress: true } });
    return { argsList: ["done"] };
  },
  details: ({ details: { procedure, caller, caller_authid, caller_authrole } }) => ({
    argsList: [procedure ?? null, caller ?? null, caller_authid ?? null, caller_authrole ?? null],
  }),
  unavailable: () => {
    throw { error: UNAVAILABLE_URI };
  },
  // Answers through result_handler and returns as well: wampy.js then sends a second YIELD for the same invocation.
  echo_twice: ({ result_handler, ...payload }) => {
    result_handler(sendable(payload));
    return sendable(payload);
  },
  fail: (payload) => {
    throw { error: FAILURE_URI, ...sendable(payload) };
  },
  hold: () => new Promise(() => {}),
};
