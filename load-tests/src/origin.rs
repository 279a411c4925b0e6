//! Sample origins: named JSON, a slow answer, server-sent events, a WebSocket echo. A thread per connection.
//!
//! They are for trying the gateway by hand and for the reload rig, not for measuring: the rig's origin is nginx.

mod request;
mod websocket;

use std::io::{BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use crate::Failure;

use request::Request;

/// The longest that `/slow` waits, whatever it is asked for.
const SLOWEST: Duration = Duration::from_secs(60);

/// Events of `/sse` before it ends.
const EVENTS: u32 = 600;

/// Serves until the process ends.
///
/// # Errors
///
/// When the address cannot be bound, or accepting fails.
pub fn serve(name: &str, address: SocketAddr) -> Result<(), Failure> {
    let listener = TcpListener::bind(address).map_err(|error| format!("{address}: {error}"))?;
    let name: Arc<str> = name.into();
    for stream in listener.incoming() {
        let (name, stream) = (Arc::clone(&name), stream?);
        // A client that goes away ends its own thread and nothing else.
        std::thread::spawn(move || drop(connection(&name, stream)));
    }
    Ok(())
}

fn connection(name: &str, stream: TcpStream) -> Result<(), Failure> {
    stream.set_nodelay(true)?;
    let mut out = stream.try_clone()?;
    let mut reader = BufReader::new(stream);
    while let Some(request) = Request::read(&mut reader, &mut out)? {
        match request.path() {
            "/ws" if request.upgrades() => return websocket::serve(&request, &mut reader, &mut out),
            "/sse" => return events(name, &mut out),
            "/slow" => {
                let milliseconds = request.number("ms").unwrap_or(3000);
                std::thread::sleep(Duration::from_millis(milliseconds).min(SLOWEST));
            }
            _ => {}
        }
        let status = request.number("status").filter(|status| (200..600).contains(status)).unwrap_or(200);
        out.write_all(&answer(name, &request, status))?;
        if request.is_last() {
            break;
        }
    }
    Ok(())
}

fn answer(name: &str, request: &Request, status: u64) -> Vec<u8> {
    let body = request.as_json(name);
    let bodiless = request.method == "HEAD" || status == 204 || status == 304;
    let shown = if bodiless { "" } else { body.as_str() };
    let length = if status == 204 { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
    format!("HTTP/1.1 {status} Sample\r\nContent-Type: application/json\r\n{length}\r\n{shown}").into_bytes()
}

fn events(name: &str, out: &mut TcpStream) -> Result<(), Failure> {
    let head =
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\nConnection: close\r\n\r\n";
    out.write_all(head.as_bytes())?;
    for n in 0..EVENTS {
        out.write_all(format!("event: tick\ndata: {{\"origin\":\"{name}\",\"n\":{n}}}\n\n").as_bytes())?;
        std::thread::sleep(Duration::from_secs(1));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
