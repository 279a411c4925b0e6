//! The table of methods, and the shapes of their params.

use super::*;

fn check(name: &str, params: &str) -> Result<(), BadParams> {
    let params = Some(params.as_bytes()).filter(|params| !params.is_empty());
    method(name).expect(name).check(&Params::read(params))
}

#[test]
fn the_table_is_sorted_and_finds_each_by_its_exact_name() {
    assert!(METHODS.is_sorted_by(|a, b| a.name < b.name));
    assert!(METHODS.iter().all(|each| method(each.name) == Some(each) && each.params.len() <= MAX_LEADING));
    for name in ["", "getblock", "getBlock ", "zzz", "accountSubscribe"] {
        assert_eq!(method(name), None, "{name}");
    }
}

#[test]
fn an_optional_param_is_never_followed_by_one_that_must_be_there() {
    for method in &METHODS {
        assert!(method.params.is_sorted_by_key(|param| param.optional), "{}", method.name);
    }
}

#[test]
fn nothing_that_is_sent_or_simulated_is_kept_and_balances_are_not() {
    for method in &METHODS {
        assert!(method.effect == Effect::Read || method.keep == Keep::Never, "{}", method.name);
    }
    let kept: Vec<_> = METHODS.iter().filter(|method| method.keep != Keep::Never).map(|method| method.name).collect();
    let expected = [
        "getBlock",
        "getBlockTime",
        "getEpochSchedule",
        "getGenesisHash",
        "getInflationReward",
        "getLatestBlockhash",
        "getMinimumBalanceForRentExemption",
        "getTransaction",
        "getVersion",
    ];
    assert_eq!(kept, expected);
}

#[test]
fn params_of_the_right_shape_pass() {
    for (name, params) in [
        ("getSlot", ""),
        ("getSlot", "[]"),
        ("getSlot", "[null]"),
        ("getSlot", r#"[{"commitment":"processed","minContextSlot":5}]"#),
        ("getBalance", r#"["11111111111111111111111111111111"]"#),
        ("getBalance", r#"["11111111111111111111111111111111",null]"#),
        ("getBlock", r#"[430,"json"]"#),
        ("getBlock", r#"[430,{"commitment":"confirmed"}]"#),
        ("getBlocks", "[5,10]"),
        ("getBlocks", r#"[5,null,{"commitment":"confirmed"}]"#),
        ("getBlocks", r#"[5,{"commitment":"confirmed"}]"#),
        ("getLeaderSchedule", "[null]"),
        ("getTokenAccountsByOwner", r#"["1",{"mint":"1"},{"encoding":"jsonParsed"}]"#),
        ("sendTransaction", r#"["AQ==",{"encoding":"base64","maxRetries":0}]"#),
    ] {
        assert_eq!(check(name, params), Ok(()), "{name} {params}");
    }
}

#[test]
fn params_that_a_node_would_refuse_do_not() {
    let shape = |place, shape| Err(BadParams::Shape { place, shape });
    for (name, params, expected) in [
        ("getBalance", "", Err(BadParams::Missing { place: 0, shape: Shape::Text })),
        ("getBalance", "[null]", Err(BadParams::Shape { place: 0, shape: Shape::Text })),
        ("getBalance", "[5]", shape(0, Shape::Text)),
        ("getBalance", r#"["1","confirmed"]"#, shape(1, Shape::Config)),
        ("getBalance", r#"["1",{},1]"#, Err(BadParams::TooMany { given: 3, most: 2 })),
        ("getBalance", r#"{"address":"1"}"#, Err(BadParams::ByName)),
        ("getGenesisHash", "[1]", Err(BadParams::TooMany { given: 1, most: 0 })),
        ("getBlock", "[-1]", shape(0, Shape::Number)),
        ("getBlock", "[1.0]", shape(0, Shape::Number)),
        ("getBlock", r#"["1"]"#, shape(0, Shape::Number)),
        ("getMultipleAccounts", r#"["1"]"#, shape(0, Shape::List)),
        ("getTokenAccountsByOwner", r#"["1"]"#, Err(BadParams::Missing { place: 1, shape: Shape::Config })),
    ] {
        assert_eq!(check(name, params), expected, "{name} {params}");
    }
    assert_eq!(
        check("getBalance", "[5]").expect_err("refused").to_string(),
        "param 1: expected a string",
        "places are counted from 1 for people"
    );
}

#[test]
fn processed_is_refused_where_the_node_refuses_it_and_nowhere_else() {
    let refused: Vec<_> = METHODS.iter().filter(|method| method.no_processed).map(|method| method.name).collect();
    assert_eq!(refused, ["getBlock", "getBlocks", "getBlocksWithLimit", "getSignaturesForAddress", "getTransaction"]);
    let processed = r#"{"commitment":"processed"}"#;
    for (name, params) in [
        ("getBlock", format!("[1,{processed}]")),
        ("getBlocks", format!("[1,2,{processed}]")),
        ("getBlocks", format!("[1,{processed}]")),
        ("getBlocksWithLimit", format!("[1,2,{processed}]")),
        ("getSignaturesForAddress", format!("[\"1\",{processed}]")),
        ("getTransaction", format!("[\"1\",{processed}]")),
    ] {
        assert_eq!(check(name, &params), Err(BadParams::Processed), "{name}");
    }
    assert_eq!(check("getBalance", &format!("[\"1\",{processed}]")), Ok(()));
}

#[test]
fn what_a_config_says_is_read_and_what_may_be_read_in_two_ways_is_unclear() {
    let config = |text: &'static str| *Params::read(Some(text.as_bytes())).config().expect("a config");
    let plain = config(r#"["a",{"commitment":"confirmed","minContextSlot":7,"epoch":3}]"#);
    let expected = Config { commitment: Some("confirmed"), min_context_slot: Some(7), epoch: true, unclear: false };
    assert_eq!(plain, expected);
    assert_eq!(config(r#"[{"commitment":null,"minContextSlot":null}]"#), Config::default());
    assert_eq!(config(r#"[{"minContextSlot":7,"minContextSlot":9}]"#).min_context_slot, Some(9));
    for text in [
        r#"[{"commitment":"confirmed","commitment":"finalized"}]"#,
        r#"[{"\u0063ommitment":"confirmed"}]"#,
        r#"[{"commitment":"\u0063onfirmed"}]"#,
        r#"[{"commitment":1}]"#,
        r#"[{"minContextSlot":-7}]"#,
        r#"[{"minContextSlot":7,"minContextSlot":7}]"#,
    ] {
        assert!(config(text).unclear, "{text}");
    }
}
