// wampy.js behind the commands of peers.mjs.

import { Failure, FAILURE_URI } from "./failure.mjs";
import { load } from "./modules.mjs";
import { fromTagged, toTagged } from "./values.mjs";

const WebSocket = load("ws");
const { Wampy } = load("wampy");
const { JsonSerializer } = load("wampy/JsonSerializer.js");
const { MsgpackSerializer } = load("wampy/MsgpackSerializer.js");
const { CborSerializer } = load("wampy/CborSerializer.js");

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

  constructor(notify) {
    this.notify = notify;
  }

  async join({ target, serializer, realm }) {
    const peer = this;
    let reason = null;
    this.#client = new Wampy(target.url, {
      realm,
      serializer: SERIALIZERS[serializer](),
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

  async register({ procedure, behaviour }) {
    const id = this.#nextId++;
    await this.#ask(this.#client.register(procedure, BEHAVIOURS[behaviour]));
    this.#registrations.set(id, procedure);
    return id;
  }

  async unregister({ registration }) {
    await this.#ask(this.#client.unregister(this.#registrations.get(registration)));
  }

  async call({ procedure, args, kwargs }) {
    const result = await this.#ask(this.#client.call(procedure, { argsList: args, argsDict: kwargs }));
    return { args: result.argsList ?? [], kwargs: result.argsDict ?? {} };
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

// What wampy.js hands out, to be sent again. Its CBOR decoder yields octets as Uint8Array, which its encoder would write
// as a typed array (tag 64); as a Buffer they go out as the byte string that they were.
function sendable({ argsList, argsDict }) {
  return { argsList: fromTagged(toTagged(argsList ?? [])), argsDict: fromTagged(toTagged(argsDict ?? {})) };
}

const BEHAVIOURS = {
  echo: sendable,
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
