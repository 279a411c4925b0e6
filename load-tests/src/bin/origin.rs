//! Sample origins. Usage: `origin NAME=ADDRESS ...`, each in its own thread, until the process ends.

use std::net::SocketAddr;

use portcullis_load::{Failure, origin};

fn main() -> Result<(), Failure> {
    let mut threads = Vec::new();
    for argument in std::env::args().skip(1) {
        let (name, address) = argument.split_once('=').ok_or("usage: origin NAME=ADDRESS ...")?;
        let (name, address): (String, SocketAddr) = (name.to_owned(), address.parse()?);
        threads.push(std::thread::spawn(move || origin::serve(&name, address)));
    }
    for thread in threads {
        thread.join().map_err(|_| "an origin panicked")??;
    }
    Ok(())
}
