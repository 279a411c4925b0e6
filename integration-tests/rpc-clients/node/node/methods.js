// The HTTP methods of a Solana node, as far as clients need them here. Unknown ones are answered as agave does.

import { getBase58Decoder, getBase58Encoder, isAddress } from "@solana/kit";
import { DEPTH, RpcError } from "./chain.js";

/** What a method gets: the ledger, and the face it is asked at, whose slots may lag. */
const METHODS = {
  getAccountInfo: (at, [address, config]) => at.withContext(config, encode(at.chain.account(key(address)), config)),
  getBalance: (at, [address, config]) => at.withContext(config, at.chain.account(key(address))?.lamports ?? 0),
  getBlockHeight: (at, [config]) => at.slot(config),
  getEpochInfo: (at, [config]) => {
    const slot = at.slot(config);
    return { absoluteSlot: slot, blockHeight: slot, epoch: 0, slotIndex: slot, slotsInEpoch: 432000, transactionCount: 0 };
  },
  getGenesisHash: () => "4uhcVJyU9pJkvQyS88uRDiswHXSCkY3zQawwpjk2NsNY",
  getHealth: (at) => {
    if (at.lag === 0) return "ok";
    throw new RpcError(-32005, `Node is behind by ${at.lag} slots`, { numSlotsBehind: at.lag });
  },
  getIdentity: () => ({ identity: "11111111111111111111111111111112" }),
  getLatestBlockhash: (at, [config]) => at.withContext(config, at.chain.blockhash()),
  getMaxShredInsertSlot: (at) => at.chain.slot,
  getMinimumBalanceForRentExemption: (at, [size]) => at.chain.rent(size),
  getMultipleAccounts: (at, [addresses, config]) =>
    at.withContext(config, addresses.map((address) => encode(at.chain.account(key(address)), config))),
  getSignatureStatuses: (at, [signatures]) => at.withContext({}, signatures.map((signature) => at.status(signature))),
  getSlot: (at, [config]) => at.slot(config),
  getVersion: () => ({ "feature-set": 1, "solana-core": "3.1.0" }),
  isBlockhashValid: (at, [hash, config]) => at.withContext(config, at.chain.knowsBlockhash(hash)),
  requestAirdrop: (at, [address, lamports]) => at.chain.airdrop(key(address), BigInt(lamports)),
  sendTransaction: (at, [text, config]) => {
    at.slot({ commitment: config?.preflightCommitment, minContextSlot: config?.minContextSlot });
    return at.chain.send(decode(text, config), config);
  },
  simulateTransaction: (at, [text, config]) =>
    at.withContext(config, { accounts: null, returnData: null, ...at.chain.simulate(decode(text, config)) }),
};

/** A ledger as one endpoint shows it. */
export class View {
  lag = 0;

  constructor(chain) {
    this.chain = chain;
  }

  /** The slot of a commitment; throws when a request wants one that is not reached. */
  slot({ commitment = "finalized", minContextSlot = 0 } = {}) {
    if (!(commitment in DEPTH)) throw new RpcError(-32602, `Invalid params: unknown variant \`${commitment}\``);
    const slot = this.chain.slot - this.lag - DEPTH[commitment];
    if (slot >= minContextSlot) return slot;
    throw new RpcError(-32016, "Minimum context slot has not been reached", { contextSlot: slot });
  }

  withContext(config, value) {
    return { context: { apiVersion: "3.1.0", slot: this.slot(config ?? {}) }, value };
  }

  status(signature) {
    const transaction = this.chain.signatures.get(signature);
    const age = this.chain.slot - this.lag - (transaction?.slot ?? Infinity);
    const reached = ["finalized", "confirmed", "processed"].find((commitment) => age >= DEPTH[commitment]);
    if (!reached) return null;
    const { slot, err } = transaction;
    const confirmations = reached === "finalized" ? null : age;
    return { slot, confirmations, err, status: err ? { Err: err } : { Ok: null }, confirmationStatus: reached };
  }
}

export function key(text) {
  if (typeof text !== "string" || !isAddress(text)) throw new RpcError(-32602, "Invalid param: Invalid");
  return text;
}

/** Accounts are base64 unless base58 was asked for; nothing is parsed. */
export function encode(account, config) {
  if (!account) return null;
  const encoding = config?.encoding === "base58" ? "base58" : "base64";
  const text = encoding === "base58" ? getBase58Decoder().decode(account.data) : Buffer.from(account.data).toString("base64");
  const { lamports, executable, programAddress: owner, space } = account;
  return { data: [text, encoding], executable, lamports, owner, rentEpoch: 18446744073709551615n, space };
}

function decode(text, config) {
  if (typeof text !== "string") throw new RpcError(-32602, "Invalid params: invalid type");
  if (config?.encoding === "base64") return new Uint8Array(Buffer.from(text, "base64"));
  return getBase58Encoder().encode(text);
}

/** Answers a parsed request: a call, or a batch of them. `undefined` when there is nothing to answer. */
export function answer(view, request) {
  if (!Array.isArray(request)) return call(view, request);
  if (request.length === 0) return failure(null, new RpcError(-32600, "Invalid request"));
  return request.map((item) => call(view, item)).filter((item) => item !== undefined);
}

function call(view, request) {
  const { id, method, params = [] } = request ?? {};
  if (typeof method !== "string") return failure(id ?? null, new RpcError(-32600, "Invalid request"));
  if (id === undefined) return undefined;
  try {
    if (!(method in METHODS)) throw new RpcError(-32601, "Method not found");
    return { jsonrpc: "2.0", result: METHODS[method](view, params), id };
  } catch (error) {
    return failure(id, error);
  }
}

export function failure(id, error) {
  const { code = -32603, message, data } = error;
  return { jsonrpc: "2.0", error: { code, message, data }, id };
}

/** JSON in which large integers are numbers, as a node writes them. */
export function write(value) {
  const text = JSON.stringify(value, (_, item) => (typeof item === "bigint" ? `@integer:${item}` : item));
  return text.replace(/"@integer:(\d+)"/g, "$1");
}
