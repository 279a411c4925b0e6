//! Handshakes in memory against the listeners of the examples.

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{CipherSuite, ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, version};
use std::sync::Arc;

use super::kit::{Rooted, World, conf};

fn pem(name: &str) -> Vec<u8> {
    std::fs::read(conf().join("certs").join(name)).unwrap()
}

fn chain(name: &str) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_slice_iter(&pem(name)).map(Result::unwrap).collect()
}

/// The TLS of an example's listener.
fn server(example: &str, listener: &str) -> Arc<ServerConfig> {
    let world = World::default();
    let loaded = world.check(example, &Rooted(conf()));
    let snapshot = world.activate(loaded.candidate.unwrap(), None).unwrap_or_else(|found| panic!("{found:?}"));
    let listener = snapshot.listeners.iter().find(|one| one.name.as_str() == listener).unwrap();
    listener.tls.as_ref().unwrap().server.clone()
}

/// The test CA.
fn roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add(chain("ca.pem").remove(0)).unwrap();
    roots
}

/// A client that trusts the test CA, with or without a certificate of its own.
fn client(certificate: Option<&str>) -> Arc<ClientConfig> {
    let builder = ClientConfig::builder_with_provider(Arc::new(crate::tls::provider()));
    let builder = builder.with_safe_default_protocol_versions().unwrap().with_root_certificates(roots());
    let mut config = match certificate {
        None => builder.with_no_client_auth(),
        Some(name) => {
            let key = PrivateKeyDer::from_pem_slice(&pem(&format!("{name}.key"))).unwrap();
            builder.with_client_auth_cert(chain(&format!("{name}.pem")), key).unwrap()
        }
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Arc::new(config)
}

/// Moves bytes both ways until nobody has any; the first failure ends it.
fn shake(
    server: &Arc<ServerConfig>,
    client: &Arc<ClientConfig>,
    name: &str,
) -> Result<(ServerConnection, ClientConnection), rustls::Error> {
    let mut server = ServerConnection::new(server.clone())?;
    let mut client = ClientConnection::new(client.clone(), ServerName::try_from(name.to_owned()).unwrap())?;
    while client.wants_write() || server.wants_write() {
        let mut bytes = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut bytes).unwrap();
        }
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            server.read_tls(&mut rest).unwrap();
            server.process_new_packets()?;
        }
        let mut bytes = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut bytes).unwrap();
        }
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            client.read_tls(&mut rest).unwrap();
            client.process_new_packets()?;
        }
    }
    Ok((server, client))
}

#[test]
fn the_server_name_picks_the_certificate() {
    let (server, client) = (server("tls.yaml", "edge-tls"), client(None));
    for (name, expected) in
        [("edge.example.com", "edge.pem"), ("www.example.com", "wildcard.pem"), ("localhost", "edge.pem")]
    {
        let (server, client) = shake(&server, &client, name).unwrap();
        assert_eq!(client.peer_certificates().unwrap()[0], chain(expected)[0], "{name}");
        assert_eq!(server.alpn_protocol(), Some(&b"http/1.1"[..]));
    }
    assert!(shake(&server, &client, "elsewhere.org").is_err());
}

#[test]
fn aes_128_is_taken_of_who_names_others_first() {
    let server = server("tls.yaml", "edge-tls");
    for (version, taken) in [
        (&version::TLS13, CipherSuite::TLS13_AES_128_GCM_SHA256),
        (&version::TLS12, CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256),
    ] {
        let mut provider = crate::tls::provider();
        provider.cipher_suites.reverse();
        let builder =
            ClientConfig::builder_with_provider(Arc::new(provider)).with_protocol_versions(&[version]).unwrap();
        let mut config = builder.with_root_certificates(roots()).with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let (_, client) = shake(&server, &Arc::new(config), "edge.example.com").unwrap();
        assert_eq!(client.negotiated_cipher_suite().unwrap().suite(), taken);
    }
}

#[test]
fn clients_are_verified_against_the_partners_ca() {
    let server = server("mtls.yaml", "partners");
    let seen = |certificate| {
        shake(&server, &client(certificate), "edge.example.com")
            .map(|(server, _)| server.peer_certificates().map(|chain| chain[0].clone()))
    };
    assert_eq!(seen(None).unwrap(), None);
    assert_eq!(seen(Some("partner-a")).unwrap(), Some(chain("partner-a.pem").remove(0)));
    assert!(seen(Some("edge")).is_err());
}
