//! The load tool: `wrk`, a window at a time.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use crate::Failure;

/// What a window of load brought.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Load {
    /// Requests that were answered.
    pub requests: u64,
    /// Requests a second.
    pub rate: f64,
    /// The slowest one in a hundred took this long, in milliseconds.
    pub p99: f64,
}

/// One window of load.
#[derive(Debug, Clone, Copy)]
pub struct Window<'a> {
    /// Where it goes.
    pub to: SocketAddr,
    /// The path that is asked for.
    pub path: &'a str,
    /// A script of `wrk` that says what is asked for instead.
    pub script: Option<&'a Path>,
    /// Connections, kept alive.
    pub connections: u32,
    /// Whether every request has a connection of its own instead, over TLS.
    pub handshakes: bool,
    /// Its length in seconds.
    pub seconds: u32,
    /// The core that the load tool runs on.
    pub core: u32,
}

/// The words that start a window; the core is for whoever starts it.
pub(crate) fn words(window: &Window<'_>) -> Vec<OsString> {
    let scheme = if window.handshakes { "https" } else { "http" };
    let mut words: Vec<OsString> = ["wrk", "--latency", "-t1"].map(OsString::from).to_vec();
    words.extend([format!("-c{}", window.connections).into(), format!("-d{}", window.seconds).into()]);
    words.extend(window.handshakes.then_some(["-H", "Connection: close"]).into_iter().flatten().map(OsString::from));
    words.extend(window.script.into_iter().flat_map(|script| ["-s".into(), script.as_os_str().to_owned()]));
    words.push(format!("{scheme}://{}{}", window.to, window.path).into());
    words
}

/// Runs a window. Fails when a single request did.
///
/// # Errors
///
/// When `wrk` cannot be run, or when a request was not answered with 2xx or 3xx.
pub fn run(window: &Window<'_>) -> Result<Load, Failure> {
    let output = Command::new("taskset").args(["-c", &window.core.to_string()]).args(words(window)).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        return Err(format!("wrk: {}{text}", String::from_utf8_lossy(&output.stderr)).into());
    }
    parse(&text)
}

/// What it says at its end.
///
/// # Errors
///
/// When a request was not answered with 2xx or 3xx, or it says something else.
pub(crate) fn parse(text: &str) -> Result<Load, Failure> {
    let trouble = text.lines().find(|line| line.contains("Socket errors") || line.contains("Non-2xx"));
    if let Some(trouble) = trouble {
        return Err(format!("requests failed: {}", trouble.trim()).into());
    }
    let load = || {
        let requests = text.lines().find_map(|line| line.trim().split_once(" requests in ")?.0.parse().ok())?;
        let rate = text.lines().find_map(|line| line.strip_prefix("Requests/sec:")?.trim().parse().ok())?;
        let p99 = text.lines().find_map(|line| milliseconds(line.trim().strip_prefix("99%")?.trim()))?;
        Some(Load { requests, rate, p99 })
    };
    load().ok_or_else(|| format!("wrk says what is not understood:\n{text}").into())
}

fn milliseconds(text: &str) -> Option<f64> {
    let (number, unit) = text.split_at(text.find(|letter: char| letter.is_ascii_alphabetic())?);
    let factor = match unit {
        "us" => 0.001,
        "ms" => 1.0,
        "s" => 1000.0,
        "m" => 60_000.0,
        _ => return None,
    };
    Some(number.parse::<f64>().ok()? * factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "Running 2s test @ http://127.0.0.1:1/
  1 threads and 32 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     1.01ms  283.88us   7.78ms   92.06%
    Req/Sec    31.83k     1.86k   34.62k    80.00%
  Latency Distribution
     50%    0.98ms
     75%    1.07ms
     90%    1.20ms
     99%  812.00us
  63356 requests in 2.00s, 17.58MB read
Requests/sec:  31665.43
Transfer/sec:      8.79MB
";

    #[test]
    fn reads_what_wrk_says() {
        assert_eq!(parse(GOOD).unwrap(), Load { requests: 63356, rate: 31665.43, p99: 0.812 });
    }

    #[test]
    fn fails_when_a_request_did() {
        for trouble in ["  Socket errors: connect 0, read 3, write 0, timeout 0", "  Non-2xx or 3xx responses: 12"] {
            let found = parse(&format!("{GOOD}{trouble}\n")).unwrap_err().to_string();
            assert_eq!(found, format!("requests failed: {}", trouble.trim()));
        }
        assert!(parse("").is_err());
    }
}
