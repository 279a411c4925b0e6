//! The least a Pingora proxy can be: every request goes to one upstream. The floor of the rig's measurements.
//!
//! Usage: `bare <listen-port> <upstream-address>`. Same allocator and same build profile as the gateway; Pingora
//! as published, without the gateway's changes to it. One worker thread.

use std::{env, error::Error, net::SocketAddr, sync::Arc};

use async_trait::async_trait;
use pingora_core::{Result, prelude::*, server::configuration::ServerConf};
use pingora_proxy::{ProxyHttp, Session, http_proxy_service};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

struct PassThrough(SocketAddr);

#[async_trait]
impl ProxyHttp for PassThrough {
    type CTX = ();
    fn new_ctx(&self) -> Self::CTX {}
    async fn upstream_peer(&self, _: &mut Session, (): &mut ()) -> Result<Box<HttpPeer>> {
        Ok(Box::new(HttpPeer::new(self.0, false, String::new())))
    }
}

fn main() -> std::result::Result<(), Box<dyn Error>> {
    let mut args = env::args().skip(1);
    let port: u16 = args.next().ok_or("listen port missing")?.parse()?;
    let upstream: SocketAddr = args.next().ok_or("upstream address missing")?.parse()?;
    let conf = ServerConf { threads: 1, upstream_keepalive_pool_size: 512, ..ServerConf::default() };
    let mut server = Server::new_with_opt_and_conf(None, conf);
    let mut service = http_proxy_service(&Arc::clone(&server.configuration), PassThrough(upstream));
    service.add_tcp(&format!("127.0.0.1:{port}"));
    server.add_service(service);
    server.run_forever()
}
