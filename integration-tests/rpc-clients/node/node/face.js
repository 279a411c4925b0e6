// One endpoint of the node: HTTP and WebSocket on one port, with faults to order.
//
// Faults: `lag` (slots it says it is behind), `hang` (requests are taken and not answered), `silent` (subscriptions stay
// and say nothing), `status` (every request is answered so), `delay` (milliseconds before an answer), `dead` (the port is
// closed and every connection cut, until it is false again).

import { createServer } from "node:http";
import { WebSocketServer } from "ws";
import { RpcError } from "./chain.js";
import { answer, failure, View, write } from "./methods.js";
import { Subscriptions } from "./subscriptions.js";

/** agave's bounds. */
const LONGEST_BODY = 50 * 1024;
const LONGEST_FRAME = 4096;

/** Requests that are remembered for who asks what came. */
const REMEMBERED = 500;

export class Face {
  faults = { lag: 0, hang: false, silent: false, status: 0, delay: 0, dead: false };
  seen = [];
  #sockets = new Set();
  #server;

  constructor(chain, host) {
    this.host = host;
    this.view = new View(chain);
    this.#server = createServer((request, response) => this.#serve(request, response));
    this.#server.on("connection", (socket) => {
      this.#sockets.add(socket);
      socket.on("close", () => this.#sockets.delete(socket));
    });
    const upgrades = new WebSocketServer({ noServer: true, maxPayload: LONGEST_FRAME });
    this.#server.on("upgrade", (request, socket, head) => {
      this.#note(request, []);
      upgrades.handleUpgrade(request, socket, head, (websocket) => this.#attend(websocket));
    });
  }

  /** Listens, at first on a free port and then always on that. */
  async listen() {
    await new Promise((done) => this.#server.listen(this.port ?? 0, this.host, done));
    this.port = this.#server.address().port;
    return this.port;
  }

  async order(faults) {
    const was = this.faults.dead;
    Object.assign(this.faults, faults);
    this.view.lag = this.faults.lag;
    this.view.silent = this.faults.silent;
    if (this.faults.dead && !was) {
      const closed = new Promise((done) => this.#server.close(done));
      for (const socket of this.#sockets) socket.resetAndDestroy();
      await closed;
    }
    if (was && !this.faults.dead) await this.listen();
  }

  /** Connections that are upgraded, requests that came, and how often each method. */
  state() {
    const methods = {};
    for (const method of this.seen.flatMap((request) => request.methods)) methods[method] = (methods[method] ?? 0) + 1;
    return { port: this.port, slot: this.view.chain.slot, faults: this.faults, methods, seen: this.seen };
  }

  #note({ method, url, headers }, methods) {
    this.seen.push({ method, url, headers, methods });
    if (this.seen.length > REMEMBERED) this.seen.shift();
  }

  async #serve(request, response) {
    const body = await read(request).catch(() => null);
    if (request.method === "GET") this.#note(request, []);
    if (this.faults.hang) return;
    if (this.faults.delay > 0) await new Promise((done) => setTimeout(done, this.faults.delay));
    if (this.faults.status) return say(response, this.faults.status, "text/plain", "as ordered");
    if (request.method === "GET" && request.url === "/health") {
      return say(response, 200, "text/plain", this.faults.lag === 0 ? "ok" : "behind");
    }
    if (request.method !== "POST") return say(response, 405, "text/plain", "Used HTTP Method is not allowed. POST or OPTIONS is required\n");
    if (body === null) return say(response, 413, "text/plain", "Payload too large");
    this.#answer(request, response, body);
  }

  #answer(request, response, body) {
    let parsed;
    try {
      parsed = JSON.parse(body);
    } catch {
      const text = write(failure(null, new RpcError(-32700, "Parse error")));
      return say(response, 200, "application/json", text);
    }
    this.#note(request, [parsed].flat().map((item) => String(item?.method)));
    const said = answer(this.view, parsed);
    say(response, 200, "application/json", said === undefined ? "" : write(said));
  }

  #attend(websocket) {
    const subscriptions = new Subscriptions(this.view, (text) => websocket.send(text));
    websocket.on("message", (data) => {
      if (this.faults.hang) return;
      const text = data.toString();
      this.#note({ method: "WS", url: "/", headers: {} }, [/"method"\s*:\s*"(\w+)"/.exec(text)?.[1]].filter(Boolean));
      subscriptions.receive(text);
    });
    websocket.on("close", () => subscriptions.close());
    websocket.on("error", () => websocket.terminate());
  }
}

async function read(request) {
  const parts = [];
  let length = 0;
  for await (const part of request) {
    length += part.length;
    if (length <= LONGEST_BODY) parts.push(part);
  }
  return length <= LONGEST_BODY ? Buffer.concat(parts).toString() : null;
}

function say(response, status, type, text) {
  response.writeHead(status, { "content-type": type, "content-length": Buffer.byteLength(text) });
  response.end(text);
}
