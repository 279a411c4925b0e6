//! A toy wing: one small thing through each seam, outside `crates/`. It proves that a wing needs no change there.

mod cache;
mod calls;
mod certificates;
mod echo;
mod registry;
mod relay;
mod shout;
mod sites;
mod stamp;
mod streams;
mod toll;

use portcullis_filter::Registry;
use portcullis_filter::seam::Seams;
use std::process::ExitCode;
use std::sync::Arc;

fn main() -> ExitCode {
    portcullis::App::new().registry(filters).seams(plug).main()
}

fn filters(filters: Registry) -> Registry {
    filters
        .with::<shout::Shout>()
        .with::<stamp::Stamp>()
        .with::<toll::Listen>()
        .with::<toll::Toll>()
        .with::<toll::Meter>()
        .with::<echo::Echo>()
        .with::<relay::Relay>()
}

fn plug(seams: &mut Seams) {
    let echo = Arc::new(streams::Echo);
    seams.l4.insert("echo", echo.clone());
    seams.connect.insert("echo", Arc::new(streams::ConnectToEcho(echo)));
    seams.body = Some(Arc::new(calls::Calls));
    seams.hosts = Some(Arc::new(sites::Sites));
    seams.certificates = Some(Arc::new(certificates::SelfSigned::default()));
    seams.endpoints.insert("registry", Arc::new(registry::Registry));
    seams.caches.insert("toy", Arc::new(cache::ToyCache::default()));
}
