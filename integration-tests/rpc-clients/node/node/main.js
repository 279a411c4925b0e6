// A Solana node for tests: one ledger, several endpoints, and a port to order faults at.
//
//   node node/main.js [ENDPOINTS=1] [SLOT_MILLISECONDS=100] [ADDRESS=127.0.0.1]
//
// It prints one line of JSON with its ports. `GET /0` on the control port says what endpoint 0 has seen, `POST /0` with
// `{"lag": 20}` orders faults (see face.js) and answers when they are in force. It ends when its standard input does.

import { createServer } from "node:http";
import { Chain } from "./chain.js";
import { Face } from "./face.js";
import { write } from "./methods.js";

const [count = "1", slot = "100", host = "127.0.0.1"] = process.argv.slice(2);
const chain = new Chain();
const faces = Array.from({ length: Number(count) }, () => new Face(chain, host));

const control = createServer(async (request, response) => {
  const face = faces[Number(request.url.slice(1))];
  if (!face) return response.writeHead(404).end();
  let body = "";
  for await (const part of request) body += part;
  if (request.method === "POST") await face.order(JSON.parse(body));
  const text = write(face.state());
  response.writeHead(200, { "content-type": "application/json", "content-length": Buffer.byteLength(text) }).end(text);
});

const ports = await Promise.all(faces.map((face) => face.listen()));
await new Promise((done) => control.listen(0, host, done));
setInterval(() => chain.tick(), Number(slot));
console.log(JSON.stringify({ control: control.address().port, endpoints: ports }));
process.stdin.resume().on("end", () => process.exit(0));
