// @solana/kit as an application uses it.
//
//   node clients/kit.js journey|watch URL WEBSOCKET_URL [FIELD=VALUE…]
//   node clients/kit.js calls [call|unknown NAME URL]…

import * as kit from "@solana/kit";
import { getTransferSolInstruction } from "@solana-program/system";
import { check, dismissed, eachCall, say } from "./report.js";

const [scene, url, wsUrl, ...fields] = process.argv.slice(2);
const open = (url, headers) => kit.createSolanaRpcFromTransport(kit.createDefaultRpcTransport({ url, headers }));
const commitment = "confirmed";

async function signed(rpc, payer, destination, amount) {
  const { value } = await rpc.getLatestBlockhash({ commitment }).send();
  const message = kit.pipe(
    kit.createTransactionMessage({ version: 0 }),
    (message) => kit.setTransactionMessageFeePayerSigner(payer, message),
    (message) => kit.setTransactionMessageLifetimeUsingBlockhash(value, message),
    (message) => kit.appendTransactionMessageInstruction(getTransferSolInstruction({ source: payer, destination, amount }), message),
  );
  return kit.signTransactionMessageWithSigners(message);
}

async function journey(rpc, rpcSubscriptions) {
  const [payer, other] = await Promise.all([kit.generateKeyPairSigner(), kit.generateKeyPairSigner()]);
  const balance = async (address) => (await rpc.getBalance(address, { commitment }).send()).value;
  await check("airdrop", async () => {
    const airdrop = kit.airdropFactory({ rpc, rpcSubscriptions });
    await airdrop({ recipientAddress: payer.address, lamports: kit.lamports(2_000_000_000n), commitment });
    return { err: null, balance: await balance(payer.address) };
  });
  const sendAndConfirm = kit.sendAndConfirmTransactionFactory({ rpc, rpcSubscriptions });
  await check("transfer", async () => {
    const transaction = await signed(rpc, payer, other.address, 5_000_000n);
    await sendAndConfirm(transaction, { commitment });
    const { value } = await rpc.getSignatureStatuses([kit.getSignatureFromTransaction(transaction)]).send();
    return { err: value[0].err, balance: await balance(other.address) };
  });
  await check("logs", async () => sendAndConfirm(await signed(rpc, payer, other.address, 9_000_000_000_000n), { commitment }));
}

async function watch(_, rpcSubscriptions) {
  const { address } = await kit.generateKeyPairSigner();
  const abortSignal = new AbortController().signal;
  const follow = async (kind, request, facts) => {
    try {
      for await (const notification of await request.subscribe({ abortSignal })) say(kind, facts(notification));
      say("closed", { kind });
    } catch (error) {
      say("closed", { kind, error: { message: error.message, cause: error.cause?.message } });
    }
  };
  follow("account", rpcSubscriptions.accountNotifications(address, { commitment, encoding: "base64" }), ({ context, value }) => ({
    lamports: value.lamports,
    slot: context.slot,
  }));
  follow("slot", rpcSubscriptions.slotNotifications(), ({ slot }) => ({ slot }));
  say("watching", { address });
  await dismissed();
}

const CALLS = {
  call: async (rpc) => (await rpc.getBalance("11111111111111111111111111111111").send()).value,
  unknown: (rpc) => rpc.getNothing().send(),
};

if (scene === "calls") {
  await eachCall((kind, name, url) => check(name, () => CALLS[kind](open(url))));
} else {
  const headers = Object.fromEntries(fields.map((field) => field.split("=")));
  await { journey, watch }[scene](open(url, headers), kit.createSolanaRpcSubscriptions(wsUrl));
}
process.exit(0);
