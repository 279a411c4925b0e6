// The subscriptions of one WebSocket: account, signature, logs, slot and root.

import { DEPTH, RpcError } from "./chain.js";
import { answer, encode, failure, key, write } from "./methods.js";

let nextId = 1;

/** What a subscription of a kind wants to hear of a transaction: a value, or `undefined`. */
const KINDS = {
  account: ([address, config]) => {
    key(address);
    return { ...config, hears: ({ accounts }) => (accounts.has(address) ? encode(accounts.get(address), config) : undefined) };
  },
  logs: ([filter, config]) => {
    const mentions = filter?.mentions?.map(key);
    const wants = ({ accounts }) => !mentions || mentions.some((address) => accounts.has(address));
    const hears = (transaction) => {
      const { signature, err, logs } = transaction;
      return wants(transaction) ? { signature, err, logs } : undefined;
    };
    return { ...config, hears };
  },
  signature: ([wanted, config]) => ({
    ...config,
    once: true,
    hears: ({ signature, err }) => (signature === wanted ? { err } : undefined),
  }),
  slot: () => ({ slots: (slot) => ({ slot, parent: slot - 1, root: slot - DEPTH.finalized }) }),
  root: () => ({ slots: (slot) => slot - DEPTH.finalized }),
};

export class Subscriptions {
  #all = new Map();

  /** `send` takes a text; `view` is the face's. */
  constructor(view, send) {
    this.view = view;
    this.send = send;
    this.onSlot = (slot) => this.#pass(slot);
    this.onTransaction = (transaction) => this.#tell(transaction, "processed");
    view.chain.on("slot", this.onSlot).on("transaction", this.onTransaction);
  }

  close() {
    this.view.chain.off("slot", this.onSlot).off("transaction", this.onTransaction);
    this.#all.clear();
  }

  /** Answers a message. Everything that is no subscription is answered as over HTTP. */
  receive(text) {
    let request;
    try {
      request = JSON.parse(text);
    } catch {
      return this.send(write(failure(null, new RpcError(-32700, "Parse error"))));
    }
    const [, kind, what] = /^(\w+?)(Subscribe|Unsubscribe)$/.exec(request?.method) ?? [];
    if (!what || !(kind in KINDS)) {
      const said = answer(this.view, request);
      if (said !== undefined) this.send(write(said));
      return;
    }
    const { id, params = [] } = request;
    try {
      if (what === "Unsubscribe") return this.send(write({ jsonrpc: "2.0", result: this.#end(params[0]), id }));
      const subscription = { kind, id: nextId++, commitment: "finalized", ...KINDS[kind](params) };
      this.#all.set(subscription.id, subscription);
      this.send(write({ jsonrpc: "2.0", result: subscription.id, id }));
      this.#tellPast(subscription, params);
    } catch (error) {
      this.send(write(failure(id, error)));
    }
  }

  #end(id) {
    if (this.#all.delete(id)) return true;
    throw new RpcError(-32602, "Invalid subscription id.");
  }

  /** A signature that has reached its commitment already is told at once. */
  #tellPast(subscription, [signature]) {
    const known = subscription.kind === "signature" && this.view.chain.signatures.get(signature);
    if (known && known.slot + DEPTH[subscription.commitment] <= this.view.chain.slot) this.#notify(subscription, known);
  }

  #pass(slot) {
    for (const commitment of ["confirmed", "finalized"]) {
      for (const transaction of this.view.chain.recent) {
        if (transaction.slot + DEPTH[commitment] === slot) this.#tell(transaction, commitment);
      }
    }
    for (const subscription of this.#all.values()) {
      if (subscription.slots) this.#say(subscription, subscription.slots(slot - this.view.lag));
    }
  }

  #tell(transaction, commitment) {
    for (const subscription of this.#all.values()) {
      if (subscription.hears && subscription.commitment === commitment) this.#notify(subscription, transaction);
    }
  }

  #notify(subscription, transaction) {
    const value = subscription.hears(transaction);
    if (value === undefined) return;
    this.#say(subscription, { context: { apiVersion: "3.1.0", slot: transaction.slot }, value });
    if (subscription.once) this.#all.delete(subscription.id);
  }

  #say({ kind, id }, result) {
    if (this.view.silent) return;
    this.send(write({ jsonrpc: "2.0", method: `${kind}Notification`, params: { result, subscription: id } }));
  }
}
