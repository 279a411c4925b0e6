//! A certificate source: signs a certificate for any name under `sites.test` when it is first asked for.

use async_trait::async_trait;
use parking_lot::Mutex;
use portcullis_filter::seam::{CertificatePem, CertificateSource};
use std::collections::HashMap;
use std::sync::Arc;

/// How many names are remembered.
const MAX: usize = 1_000;

/// Self-signed certificates, made on a miss.
#[derive(Default)]
pub(crate) struct SelfSigned {
    made: Mutex<HashMap<String, Arc<CertificatePem>>>,
}

#[async_trait]
impl CertificateSource for SelfSigned {
    async fn certificate(&self, server_name: &str) -> Option<Arc<CertificatePem>> {
        if !server_name.ends_with(".sites.test") {
            return None;
        }
        if let Some(known) = self.made.lock().get(server_name) {
            return Some(known.clone());
        }
        let signed = rcgen::generate_simple_self_signed([server_name.to_owned()]).ok()?;
        let pem = Arc::new(CertificatePem { chain: signed.cert.pem(), key: signed.signing_key.serialize_pem() });
        let mut made = self.made.lock();
        if made.len() < MAX {
            made.insert(server_name.to_owned(), pem.clone());
        }
        Some(pem)
    }
}
