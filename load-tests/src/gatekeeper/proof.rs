//! That each keeper does its work, before it is measured.

use std::fs;
use std::time::{Duration, Instant};

use crate::Failure;
use crate::client::Client;
use crate::contenders::{Entrant as _, Gateway, Place};
use crate::report::{Table, progress};

use super::{Keeper, RATE, keys};

/// Requests of one key in a row, far faster than its rate.
const FLOOD: u32 = RATE * 6;

/// How long a line of the log may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Asks each of them, and writes down what it answered.
///
/// # Errors
///
/// When one does not do its work: then there is nothing to compare.
pub fn prove(keepers: &[Keeper], place: &Place) -> Result<Table, Failure> {
    let mut table = Table::new(&[
        "",
        "wrong key, no key",
        "getBalance, getBlock go to",
        "of one key's flood answered with 200, 429",
        "another key meanwhile",
        "the log names consumer and method",
    ]);
    for keeper in keepers {
        progress(&format!("{keeper} proves its work"));
        let gateway = keeper.start(place, &[])?;
        let mut client = Client::connect(gateway.address)?;
        let refused = refuses(keeper, &gateway)?;
        let routes = routes(keeper, &mut client)?;
        let [good, over, other] = limits(keeper, &mut client)?;
        let line = logs(keeper, &gateway)?;
        table.row([keeper, &refused, &routes, &format!("{good}, {over}"), &other, &line]);
    }
    Ok(table)
}

fn status(keeper: &Keeper, gateway: &Gateway, key: &str) -> Result<u16, Failure> {
    let mut client = Client::connect(gateway.address)?;
    client.send_bytes(&keys::request(key, "getBalance"))?;
    let status = client.answer()?.status;
    if matches!(status, 401 | 403) {
        Ok(status)
    } else {
        Err(format!("{keeper} answers {status} to no good key").into())
    }
}

fn refuses(keeper: &Keeper, gateway: &Gateway) -> Result<String, Failure> {
    let wrong = keeper.work.keys.first().ok_or("no keys")?.replacen("rig", "gir", 1);
    Ok(format!("{}, {}", status(keeper, gateway, &wrong)?, status(keeper, gateway, "")?))
}

fn routes(keeper: &Keeper, client: &mut Client) -> Result<String, Failure> {
    let key = keeper.work.keys.get(1).ok_or("no keys")?;
    let mut went = Vec::new();
    for (method, origin) in [("getBalance", "rpc"), ("getBlock", "archive"), ("getTransaction", "archive")] {
        client.send_bytes(&keys::request(key, method))?;
        let answer = client.answer()?;
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        if answer.status != 200 || !text.contains(&format!("\"{origin}\"")) {
            return Err(format!("{keeper} sends {method} elsewhere: {} {text}", answer.status).into());
        }
        went.push(origin);
    }
    went.dedup();
    Ok(went.join(", "))
}

/// A flood of one key: what it gets, and another key right after it.
fn limits(keeper: &Keeper, client: &mut Client) -> Result<[u32; 3], Failure> {
    let key = keeper.work.keys.get(2).ok_or("no keys")?;
    let (mut good, mut over) = (0, 0);
    let start = Instant::now();
    for _ in 0..FLOOD {
        client.send_bytes(&keys::request(key, "getBalance"))?;
        match client.answer()?.status {
            200 => good += 1,
            429 => over += 1,
            other => return Err(format!("{keeper} answers {other} to a flood").into()),
        }
    }
    // The burst, and what came back meanwhile.
    let allowed = f64::from(RATE) * (2.0 + start.elapsed().as_secs_f64());
    if over == 0 || f64::from(good) > allowed {
        return Err(format!("{keeper} let {good} of {FLOOD} through, {allowed:.0} at most were right").into());
    }
    let other = keeper.ask(client, 3)?.status;
    if other == 200 {
        Ok([good, over, other.into()])
    } else {
        Err(format!("{keeper} answers {other} to another key").into())
    }
}

fn logs(keeper: &Keeper, gateway: &Gateway) -> Result<&'static str, Failure> {
    let start = Instant::now();
    let wanted = [keys::consumer(1), "getTransaction".to_owned()];
    loop {
        let text = fs::read_to_string(gateway.log())?;
        if text.lines().any(|line| wanted.iter().all(|word| line.contains(word.as_str()))) {
            return Ok("yes");
        }
        if start.elapsed() > PATIENCE {
            return Err(format!("{keeper} logs no line with {wanted:?}").into());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}
