//! A Solana node for the client tests: surfpool, offline, on loopback.
//!
//! Usage: `portcullis-surfpool [SLOT_MILLISECONDS=100]`. It prints one line of JSON with its addresses, such as
//! `{"rpc":"127.0.0.1:41001","pubsub":"127.0.0.1:41002"}`, and ends when its standard input does. Nothing is asked of any
//! other node: accounts that are not made here do not exist.

use std::{env, error::Error, io};

use surfpool_sdk::{BlockProductionMode, Surfnet};

/// The address in a URL without a path.
fn address(url: &str) -> Option<&str> {
    url.split_once("://").map(|(_, address)| address)
}

// A start waits by a blocking client, so it wants more than one thread.
#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let slot = env::args().nth(1).map_or(Ok(100), |text| text.parse())?;
    let mut node = Surfnet::builder()
        .offline(true)
        // As on a chain: slots pass whether or not anybody sends something.
        .block_production_mode(BlockProductionMode::Clock)
        .slot_time_ms(slot)
        .start()
        .await
        .map_err(|error| error.to_string())?;
    let addresses = serde_json::json!({ "rpc": address(node.rpc_url()), "pubsub": address(node.ws_url()) });
    println!("{addresses}");
    io::copy(&mut io::stdin(), &mut io::sink())?;
    node.stop().map_err(|error| error.to_string().into())
}
