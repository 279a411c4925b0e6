//! Keys, and the requests that bear them. The same in every run.

use std::path::Path;

use crate::random::Random;

/// Keys, a consumer each.
const COUNT: usize = 100_000;

/// The secret that the gateway's file has them hashed with.
pub(super) const SECRET: [u8; 32] = *b"the rig's secret guards nothing.";

/// Methods of the load, in turns. Blocks go to the archive, the others do not.
const METHODS: [&str; 4] = ["getBalance", "getAccountInfo", "getBlock", "getSlot"];

/// All keys, of 48 bytes each.
pub(super) fn all() -> Vec<String> {
    let mut random = Random::new(2026);
    let mut digits = |count: usize| -> String {
        (0..count).filter_map(|_| char::from_digit(u32::try_from(random.below(16)).ok()?, 16)).collect()
    };
    (0..COUNT).map(|_| format!("rig-key-{}", digits(40))).collect()
}

/// The id of the consumer that has the key of a number.
pub(super) fn consumer(number: usize) -> String {
    format!("consumer-{number}")
}

/// The hash of a key as a file of consumers has it.
pub(crate) fn hash(key: &str) -> String {
    format!("b3:{}", blake3::keyed_hash(&SECRET, key.as_bytes()).to_hex())
}

/// The secret in the form that the gateway reads.
pub(crate) fn secret() -> String {
    SECRET.map(|byte| format!("{byte:02x}")).concat()
}

/// The method of the request of a number.
pub(super) fn method(number: usize) -> &'static str {
    METHODS.get(number % METHODS.len()).copied().unwrap_or_default()
}

fn body(method: &str) -> String {
    // An address of base58, as most reads have one.
    let address = "4Nd1mBQtrMJVYVfKf2PJy9NZUZdTAsp7D4xWLs4gDB4T";
    let first = if method == "getBlock" { "417".to_owned() } else { format!("\"{address}\"") };
    format!(
        "{{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"{method}\",\"params\":[{first},{{\"commitment\":\"confirmed\"}}]}}"
    )
}

/// A request, whole.
pub(super) fn request(key: &str, method: &str) -> Vec<u8> {
    let body = body(method);
    format!(
        "POST / HTTP/1.1\r\nHost: rig.test\r\nX-Api-Key: {key}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// The script of `wrk`: the same requests, all keys in turns.
pub(super) fn script(list: &Path) -> String {
    let bodies: String = METHODS.iter().map(|method| format!("  '{}',\n", body(method))).collect();
    format!(
        "local bodies = {{\n{bodies}}}
local requests, turn = {{}}, 0
function init()
  for key in io.lines('{}') do
    local fields = {{ ['Host'] = 'rig.test', ['X-Api-Key'] = key, ['Content-Type'] = 'application/json' }}
    requests[#requests + 1] = wrk.format('POST', '/', fields, bodies[#requests % #bodies + 1])
  end
end
function request()
  turn = turn % #requests + 1
  return requests[turn]
end
",
        list.display()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_many_and_all_different() {
        let mut keys = all();
        assert!(keys.iter().all(|key| key.len() == 48), "{:?}", keys.first());
        keys.sort();
        keys.dedup();
        assert_eq!(keys.len(), COUNT);
    }

    #[test]
    fn a_request_says_its_length() {
        for number in 0..4 {
            let text = String::from_utf8(request("k", method(number))).unwrap();
            let (head, body) = text.split_once("\r\n\r\n").unwrap();
            assert!(head.ends_with(&format!("Content-Length: {}", body.len())), "{head}");
            assert!(body.contains(method(number)), "{body}");
        }
    }
}
