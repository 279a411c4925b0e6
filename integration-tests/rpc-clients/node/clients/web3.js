// @solana/web3.js as an application uses it.
//
//   node clients/web3.js journey|watch URL WEBSOCKET_URL [FIELD=VALUE…]
//   node clients/web3.js calls [call|batch|unknown NAME URL]…

import web3 from "@solana/web3.js";
import { check, dismissed, eachCall, say } from "./report.js";

const { Connection, Keypair, PublicKey, SystemProgram, Transaction, sendAndConfirmTransaction } = web3;

const [scene, url, wsEndpoint, ...fields] = process.argv.slice(2);
const open = (url, more) => new Connection(url, { commitment: "confirmed", ...more });

async function journey(connection) {
  const [payer, other] = [Keypair.generate(), Keypair.generate()];
  const pay = (lamports) =>
    new Transaction().add(SystemProgram.transfer({ fromPubkey: payer.publicKey, toPubkey: other.publicKey, lamports }));
  await check("airdrop", async () => {
    const signature = await connection.requestAirdrop(payer.publicKey, 2_000_000_000);
    const latest = await connection.getLatestBlockhash();
    const { value } = await connection.confirmTransaction({ signature, ...latest });
    return { err: value.err, balance: await connection.getBalance(payer.publicKey) };
  });
  await check("transfer", async () => {
    const signature = await sendAndConfirmTransaction(connection, pay(5_000_000), [payer]);
    const { value } = await connection.getSignatureStatuses([signature]);
    return { err: value[0].err, balance: await connection.getBalance(other.publicKey) };
  });
  await check("batch", () => batch(connection, ["getSlot", []], ["getBalance", [other.publicKey.toBase58()]]));
  await check("logs", () => sendAndConfirmTransaction(connection, pay(9_000_000_000_000), [payer]));
}

/** What getTransactions and its like send. */
function batch(connection, ...calls) {
  return connection._rpcBatchRequest(calls.map(([methodName, args]) => ({ methodName, args })));
}

async function watch(connection) {
  const socket = connection._rpcWebSocket;
  socket.on("open", () => say("open", {}));
  socket.on("close", (code) => say("closed", { code }));
  const address = Keypair.generate().publicKey;
  connection.onAccountChange(address, ({ lamports }, { slot }) => say("account", { lamports, slot }), { commitment: "confirmed" });
  connection.onSlotChange(({ slot }) => say("slot", { slot }));
  say("watching", { address: address.toBase58() });
  await dismissed();
}

const CALLS = {
  call: (connection) => connection.getBalance(PublicKey.default),
  batch: (connection) => batch(connection, ["getSlot", []], ["getBalance", [PublicKey.default.toBase58()]], ["getHealth", []]),
  unknown: (connection) => batch(connection, ["getNothing", []]),
};

if (scene === "calls") {
  await eachCall((kind, name, url) => check(name, () => CALLS[kind](open(url))));
} else {
  const httpHeaders = Object.fromEntries(fields.map((field) => field.split("=")));
  await { journey, watch }[scene](open(url, { wsEndpoint, httpHeaders }));
}
process.exit(0);
