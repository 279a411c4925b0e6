// A ledger that litesvm executes: slots that pass, blockhashes that age, transactions with their logs.
//
// A slot is `processed` at once, `confirmed` one slot later and `finalized` FINALITY slots later. What happened is kept
// for as long as the process lives, which is a test.

import { EventEmitter } from "node:events";
import { LiteSVM } from "litesvm";
import { getBase58Decoder, getCompiledTransactionMessageDecoder, getTransactionDecoder } from "@solana/kit";

/** Slots until a commitment is reached. */
export const DEPTH = { processed: 0, confirmed: 1, finalized: 4 };

/** Slots that a blockhash is good for. */
const BLOCKHASH_LIFE = 150;

/** An error that the node answers; `code` and `data` are those of agave. */
export class RpcError extends Error {
  constructor(code, message, data) {
    super(message);
    this.code = code;
    this.data = data;
  }
}

/** A failed execution's error, in the form that RPC has for it, from what litesvm prints: its numbers have no names. */
function transactionError(failed) {
  const text = failed.toString();
  const inner = /err: InstructionError\((\d+), (?:Custom\((\d+)\)|(\w+))/.exec(text);
  if (!inner) return /err: (\w+)/.exec(text)[1];
  const [, index, custom, name] = inner;
  return { InstructionError: [Number(index), custom === undefined ? name : { Custom: Number(custom) }] };
}

function describe(error) {
  const inner = error.InstructionError;
  if (!inner) return { BlockhashNotFound: "Blockhash not found" }[error] ?? error;
  const what = inner[1].Custom === undefined ? inner[1] : `custom program error: 0x${inner[1].Custom.toString(16)}`;
  return `Error processing Instruction ${inner[0]}: ${what}`;
}

/** Emits `slot` with each new slot, and `transaction` with each that was executed. */
export class Chain extends EventEmitter {
  slot = 1000;
  signatures = new Map();
  /** Transactions that some commitment has reached just now, or has yet to reach. */
  recent = [];
  #blockhashes = new Map();
  #svm = new LiteSVM().withBlockhashCheck(false);

  constructor() {
    super();
    this.setMaxListeners(0);
    this.#enter();
  }

  tick() {
    this.slot += 1;
    this.#svm.expireBlockhash();
    this.#enter();
    this.recent = this.recent.filter(({ slot }) => slot + DEPTH.finalized >= this.slot);
    this.emit("slot", this.slot);
  }

  #enter() {
    this.#svm.warpToSlot(BigInt(this.slot));
    this.#blockhashes.set(this.#svm.latestBlockhash(), this.slot);
    for (const [hash, slot] of this.#blockhashes) {
      if (slot + BLOCKHASH_LIFE >= this.slot) break;
      this.#blockhashes.delete(hash);
    }
  }

  blockhash() {
    return { blockhash: this.#svm.latestBlockhash(), lastValidBlockHeight: this.slot + BLOCKHASH_LIFE };
  }

  knowsBlockhash(hash) {
    return this.#blockhashes.has(hash);
  }

  account(address) {
    const account = this.#svm.getAccount(address);
    return account.exists ? account : null;
  }

  rent(size) {
    return this.#svm.minimumBalanceForRentExemption(BigInt(size));
  }

  /** Gives lamports. litesvm signs with the blockhash, so that the same gift twice in a slot needs a new one. */
  airdrop(address, lamports) {
    let done = this.#svm.airdrop(address, lamports);
    if (done.err?.() !== undefined) {
      this.#svm.expireBlockhash();
      this.#enter();
      done = this.#svm.airdrop(address, lamports);
    }
    if (done.err?.() !== undefined) throw new RpcError(-32603, "airdrop failed");
    return this.#record(getBase58Decoder().decode(done.signature()), null, done.logs(), [address]);
  }

  /** Executes a transaction, or throws what sendTransaction answers. */
  send(bytes, { skipPreflight = false } = {}) {
    const { transaction, message, signature } = this.#decode(bytes);
    if (!skipPreflight) {
      const { err, logs, unitsConsumed } = this.simulate(bytes);
      if (err) {
        const data = { accounts: null, err, logs, returnData: null, unitsConsumed };
        throw new RpcError(-32002, `Transaction simulation failed: ${describe(err)}`, data);
      }
    }
    if (!this.knowsBlockhash(message.lifetimeToken)) return signature;
    const done = this.#svm.sendTransaction(transaction);
    const err = done.err?.() === undefined ? null : transactionError(done);
    const logs = (err ? done.meta() : done).logs();
    return this.#record(signature, err, logs, message.staticAccounts);
  }

  simulate(bytes) {
    const { transaction, message } = this.#decode(bytes);
    if (!this.knowsBlockhash(message.lifetimeToken)) return { err: "BlockhashNotFound", logs: [], unitsConsumed: 0 };
    const done = this.#svm.simulateTransaction(transaction);
    const meta = done.meta();
    const err = done.err?.() === undefined ? null : transactionError(done);
    if (err === "SignatureFailure") throw new RpcError(-32003, "Transaction signature verification failure");
    return { err, logs: meta.logs(), unitsConsumed: meta.computeUnitsConsumed() };
  }

  #decode(bytes) {
    try {
      const transaction = getTransactionDecoder().decode(bytes);
      const message = getCompiledTransactionMessageDecoder().decode(transaction.messageBytes);
      const [first] = Object.values(transaction.signatures);
      if (Object.values(transaction.signatures).some((signature) => signature === null)) {
        throw new RpcError(-32003, "Transaction signature verification failure");
      }
      return { transaction, message, signature: getBase58Decoder().decode(first) };
    } catch (error) {
      if (error instanceof RpcError) throw error;
      throw new RpcError(-32602, `failed to deserialize solana transaction: ${error.message}`);
    }
  }

  /** Notes what happened. Accounts are kept as they are now: a later transaction of the slot may change them again. */
  #record(signature, err, logs, addresses) {
    const known = this.signatures.get(signature);
    if (known) return signature;
    const accounts = new Map(addresses.map((address) => [address, this.account(address)]));
    const transaction = { signature, slot: this.slot, err, logs, accounts };
    this.signatures.set(signature, transaction);
    this.recent.push(transaction);
    this.emit("transaction", transaction);
    return signature;
  }
}
