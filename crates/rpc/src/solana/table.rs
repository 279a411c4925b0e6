//! The table itself.

use super::{Effect, Keep, Method, Param, Shape};

const fn must(shape: Shape) -> Param {
    Param { shape, optional: false }
}

const fn may(shape: Shape) -> Param {
    Param { shape, optional: true }
}

const TEXT: Param = must(Shape::Text);
const NUMBER: Param = must(Shape::Number);
const LIST: Param = must(Shape::List);
/// What `getTokenAccountsByOwner` filters by.
const FILTER: Param = must(Shape::Config);
const CONFIG: Param = may(Shape::Config);
const CONFIG_OR_ENCODING: Param = may(Shape::ConfigOrText);
const NUMBER_OR_CONFIG: Param = may(Shape::NumberOrConfig);
const MAYBE_NUMBER: Param = may(Shape::Number);
const MAYBE_LIST: Param = may(Shape::List);

const fn read(name: &'static str, keep: Keep, params: &'static [Param]) -> Method {
    Method { name, effect: Effect::Read, keep, params, no_processed: false }
}

/// A read of the ledger, which the node answers at `confirmed` or `finalized` alone.
const fn ledger(name: &'static str, keep: Keep, params: &'static [Param]) -> Method {
    Method { name, effect: Effect::Read, keep, params, no_processed: true }
}

const fn send(name: &'static str, params: &'static [Param]) -> Method {
    Method { name, effect: Effect::Send, keep: Keep::Never, params, no_processed: false }
}

const fn simulate(name: &'static str, params: &'static [Param]) -> Method {
    Method { name, effect: Effect::Simulate, keep: Keep::Never, params, no_processed: false }
}

/// The methods, sorted by name.
pub static METHODS: [Method; 52] = [
    read("getAccountInfo", Keep::Never, &[TEXT, CONFIG]),
    read("getBalance", Keep::Never, &[TEXT, CONFIG]),
    ledger("getBlock", Keep::Settled, &[NUMBER, CONFIG_OR_ENCODING]),
    read("getBlockCommitment", Keep::Never, &[NUMBER]),
    read("getBlockHeight", Keep::Never, &[CONFIG]),
    read("getBlockProduction", Keep::Never, &[CONFIG]),
    read("getBlockTime", Keep::Forever, &[NUMBER]),
    ledger("getBlocks", Keep::Never, &[NUMBER, NUMBER_OR_CONFIG, CONFIG]),
    ledger("getBlocksWithLimit", Keep::Never, &[NUMBER, NUMBER, CONFIG]),
    read("getClusterNodes", Keep::Never, &[]),
    read("getEpochInfo", Keep::Never, &[CONFIG]),
    read("getEpochSchedule", Keep::Short, &[]),
    read("getFeeForMessage", Keep::Never, &[TEXT, CONFIG]),
    read("getFirstAvailableBlock", Keep::Never, &[]),
    read("getGenesisHash", Keep::Forever, &[]),
    read("getHealth", Keep::Never, &[]),
    read("getHighestSnapshotSlot", Keep::Never, &[]),
    read("getIdentity", Keep::Never, &[]),
    read("getInflationGovernor", Keep::Never, &[CONFIG]),
    read("getInflationRate", Keep::Never, &[]),
    read("getInflationReward", Keep::Epoch, &[LIST, CONFIG]),
    read("getLargestAccounts", Keep::Never, &[CONFIG]),
    read("getLatestBlockhash", Keep::Slot, &[CONFIG]),
    read("getLeaderSchedule", Keep::Never, &[NUMBER_OR_CONFIG, CONFIG]),
    read("getMaxRetransmitSlot", Keep::Never, &[]),
    read("getMaxShredInsertSlot", Keep::Never, &[]),
    read("getMinimumBalanceForRentExemption", Keep::Short, &[NUMBER, CONFIG]),
    read("getMultipleAccounts", Keep::Never, &[LIST, CONFIG]),
    read("getProgramAccounts", Keep::Never, &[TEXT, CONFIG]),
    read("getRecentPerformanceSamples", Keep::Never, &[MAYBE_NUMBER]),
    read("getRecentPrioritizationFees", Keep::Never, &[MAYBE_LIST]),
    read("getSignatureStatuses", Keep::Never, &[LIST, CONFIG]),
    ledger("getSignaturesForAddress", Keep::Never, &[TEXT, CONFIG]),
    read("getSlot", Keep::Never, &[CONFIG]),
    read("getSlotLeader", Keep::Never, &[CONFIG]),
    read("getSlotLeaders", Keep::Never, &[NUMBER, NUMBER]),
    read("getStakeMinimumDelegation", Keep::Never, &[CONFIG]),
    read("getSupply", Keep::Never, &[CONFIG]),
    read("getTokenAccountBalance", Keep::Never, &[TEXT, CONFIG]),
    read("getTokenAccountsByDelegate", Keep::Never, &[TEXT, FILTER, CONFIG]),
    read("getTokenAccountsByOwner", Keep::Never, &[TEXT, FILTER, CONFIG]),
    read("getTokenLargestAccounts", Keep::Never, &[TEXT, CONFIG]),
    read("getTokenSupply", Keep::Never, &[TEXT, CONFIG]),
    ledger("getTransaction", Keep::Settled, &[TEXT, CONFIG_OR_ENCODING]),
    read("getTransactionCount", Keep::Never, &[CONFIG]),
    read("getVersion", Keep::Short, &[]),
    read("getVoteAccounts", Keep::Never, &[CONFIG]),
    read("isBlockhashValid", Keep::Never, &[TEXT, CONFIG]),
    read("minimumLedgerSlot", Keep::Never, &[]),
    send("requestAirdrop", &[TEXT, NUMBER, CONFIG]),
    send("sendTransaction", &[TEXT, CONFIG]),
    simulate("simulateTransaction", &[TEXT, CONFIG]),
];
