//! The origin of the measurements: an nginx, which costs little.

use std::fs;
use std::net::SocketAddr;

use super::{Gateway, Place, configs, nginx_arguments, start};
use crate::Failure;
use crate::process::{find, free_address};

/// An origin that costs little: nginx, which answers 123 bytes.
///
/// # Errors
///
/// When nginx is not installed or does not start.
pub fn origin(place: &Place) -> Result<Gateway, Failure> {
    let body = "0123456789abcdef".repeat(8);
    let body = body.get(..123).unwrap_or(&body).to_owned();
    start_origin(place, &[(free_address()?, "text/plain", body)])
}

/// The same with a body of so many bytes, out of a file.
///
/// # Errors
///
/// When nginx is not installed or does not start.
pub fn origin_of(place: &Place, bytes: usize) -> Result<Gateway, Failure> {
    let folder = place.folder.join("origin");
    fs::create_dir_all(&folder)?;
    let body: Vec<u8> = b"0123456789abcdef".iter().copied().cycle().take(bytes).collect();
    fs::write(folder.join("body"), body)?;
    let address = free_address()?;
    run_origin(place, address, configs::file_origin(&folder, address))
}

/// Two of them in one process, which answer JSON-RPC with their name.
pub(crate) fn origins(place: &Place, names: [&str; 2]) -> Result<(Gateway, [SocketAddr; 2]), Failure> {
    let addresses = [free_address()?, free_address()?];
    let body = |name| {
        format!("{{\"jsonrpc\":\"2.0\",\"result\":{{\"context\":{{\"slot\":1}},\"value\":\"{name}\"}},\"id\":7}}")
    };
    let servers: Vec<_> =
        addresses.iter().zip(names).map(|(address, name)| (*address, "application/json", body(name))).collect();
    Ok((start_origin(place, &servers)?, addresses))
}

fn start_origin(place: &Place, servers: &[(SocketAddr, &str, String)]) -> Result<Gateway, Failure> {
    let (address, ..) = servers.first().ok_or("an origin of nothing")?;
    run_origin(place, *address, configs::origin(&place.folder.join("origin"), servers))
}

fn run_origin(place: &Place, address: SocketAddr, text: String) -> Result<Gateway, Failure> {
    let folder = place.folder.join("origin");
    fs::create_dir_all(&folder)?;
    let config = folder.join("nginx.conf");
    fs::write(&config, text)?;
    let program = find("nginx").ok_or("nginx is not installed: scripts/setup bench")?;
    let mut words = vec![program.into()];
    words.extend(nginx_arguments(&folder, config.into()));
    start(&Place { core: place.other, ..place.clone() }, words, address, "Origin")
}
