//! What may be kept of a call's answer, and for how long.

use std::time::Duration;

use crate::json::{Cursor, JsonError, Kind, MAX_DEPTH};
use crate::solana::{Keep, Method, Params};

/// A slot of the chain, as long as it is meant to be.
const SLOT: Duration = Duration::from_millis(400);
/// What is confirmed is kept for two slots.
const CONFIRMED: Duration = Duration::from_millis(800);
/// What changes with the epoch or the node's release.
const SHORT: Duration = Duration::from_secs(10);

/// For how long an answer is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Retention {
    /// Until there is no room.
    Forever,
    /// So long.
    For(Duration),
}

/// For how long a result of this call is kept; `None` for not at all. Only where asked, blockhashes are.
pub(super) fn retention(method: &Method, params: &Params<'_>, blockhashes: bool) -> Option<Retention> {
    let config = params.config().copied().unwrap_or_default();
    if params.by_name() || config.unclear {
        return None;
    }
    let settled = match config.commitment {
        None | Some("finalized") => Some(Retention::Forever),
        Some("confirmed") => Some(Retention::For(CONFIRMED)),
        Some(_) => None,
    };
    match method.keep {
        Keep::Never => None,
        Keep::Forever => Some(Retention::Forever),
        Keep::Settled => settled,
        Keep::Epoch => settled.filter(|_| config.epoch),
        Keep::Short => Some(Retention::For(SHORT)),
        Keep::Slot => blockhashes.then_some(Retention::For(SLOT)),
    }
}

/// Whether a result says something: it is not null, nor a list in which something is.
pub(super) fn says_something(result: &[u8]) -> bool {
    let mut cursor = Cursor::within(result, MAX_DEPTH);
    let mut null = false;
    let mut element = |cursor: &mut Cursor<'_>| -> Result<(), JsonError> {
        null |= cursor.value()?.0 == Kind::Null;
        Ok(())
    };
    match cursor.kind() {
        Ok(Kind::Array) => cursor.elements(element).is_ok() && !null,
        Ok(_) => element(&mut cursor).is_ok() && !null,
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::solana::method;

    fn kept(name: &str, params: &str) -> Option<Retention> {
        retention(method(name).expect(name), &Params::read(Some(params.as_bytes())), false)
    }

    #[test]
    fn what_cannot_change_is_kept_for_ever_and_the_rest_as_long_as_the_table_says() {
        let (forever, two_slots, short) = (
            Some(Retention::Forever),
            Some(Retention::For(Duration::from_millis(800))),
            Some(Retention::For(Duration::from_secs(10))),
        );
        for (name, params, expected) in [
            ("getGenesisHash", "[]", forever),
            ("getBlock", "[5]", forever),
            ("getBlock", r#"[5,"json"]"#, forever),
            ("getBlock", r#"[5,{"commitment":"finalized"}]"#, forever),
            ("getBlock", r#"[5,{"commitment":"confirmed"}]"#, two_slots),
            ("getBlock", r#"[5,{"commitment":"recent"}]"#, None),
            ("getBlock", r#"[5,{"commitment":"finalized","commitment":"confirmed"}]"#, None),
            ("getBlock", r#"[5,{"c\u006fmmitment":"confirmed"}]"#, None),
            ("getBlock", r#"{"slot":5}"#, None),
            ("getTransaction", r#"["s",{"commitment":"confirmed"}]"#, two_slots),
            ("getTransaction", r#"["s"]"#, forever),
            ("getBlockTime", "[5]", forever),
            ("getInflationReward", r#"[["a"],{"epoch":5}]"#, forever),
            ("getInflationReward", r#"[["a"],{"epoch":5,"commitment":"confirmed"}]"#, two_slots),
            ("getInflationReward", r#"[["a"]]"#, None),
            ("getInflationReward", r#"[["a"],{"epoch":null}]"#, None),
            ("getEpochSchedule", "[]", short),
            ("getMinimumBalanceForRentExemption", "[0]", short),
            ("getVersion", "[]", short),
            ("getBalance", r#"["a"]"#, None),
            ("getSignatureStatuses", r#"[["a"]]"#, None),
            ("getLatestBlockhash", "[]", None),
            ("sendTransaction", r#"["AQ=="]"#, None),
            ("simulateTransaction", r#"["AQ=="]"#, None),
            ("requestAirdrop", r#"["a",1]"#, None),
        ] {
            assert_eq!(kept(name, params), expected, "{name} {params}");
        }
    }

    #[test]
    fn a_blockhash_is_kept_for_a_slot_where_that_is_asked_for() {
        let blockhash = retention(method("getLatestBlockhash").expect("it"), &Params::read(None), true);
        assert_eq!(blockhash, Some(Retention::For(Duration::from_millis(400))));
        assert_eq!(retention(method("getBalance").expect("it"), &Params::read(None), true), None);
    }

    #[test]
    fn null_says_nothing_nor_does_a_list_with_null_in_it() {
        for (result, expected) in [
            ("null", false),
            ("[1,null]", false),
            ("[]", true),
            ("{\"a\":null}", true),
            ("0", true),
            ("\"null\"", true),
        ] {
            assert_eq!(says_something(result.as_bytes()), expected, "{result}");
        }
    }
}
