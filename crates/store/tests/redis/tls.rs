//! TLS to Redis: who is trusted, under which name, and what the gateway shows of itself.

use std::path::Path;
use std::time::Duration;

use portcullis_store::{LinkState, RedisOptions, RedisTls};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose};

use crate::faults;
use crate::kit::Gateway;
use crate::server::{Redis, free_port};

/// A CA, and what it vouches for.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    /// Names differ, since OpenSSL takes what is named as its issuer is for signed by itself.
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.key_usages.push(KeyUsagePurpose::KeyCertSign);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self { issuer: CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap() }
    }

    /// A certificate for names, and its key.
    fn vouch(&self, names: &[&str]) -> (rcgen::Certificate, KeyPair) {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name.push(DnType::CommonName, "end");
        (params.signed_by(&key, &self.issuer).unwrap(), key)
    }

    /// How a gateway trusts this CA, with a certificate of its own.
    fn trusted(&self) -> RedisTls {
        let (certificate, key) = self.vouch(&["gateway.internal"]);
        let client = (vec![certificate.der().to_vec()], key.serialize_der());
        RedisTls { server_name: None, authorities: vec![self.issuer.der().to_vec()], client: Some(client) }
    }

    /// A server with a certificate for names, which wants one of each client.
    fn server(&self, directory: &Path, names: &[&str], more: &[&str]) -> Redis {
        let (certificate, key) = self.vouch(names);
        let file = |name: &str, text: String| {
            let path = directory.join(name);
            std::fs::write(&path, text).unwrap();
            path.display().to_string()
        };
        let cert = file("server.pem", certificate.pem());
        let key = file("server.key", key.serialize_pem());
        let ca = file("ca.pem", self.issuer.pem());
        let files = ["--tls-cert-file", &cert, "--tls-key-file", &key, "--tls-ca-cert-file", &ca];
        Redis::with_tls(&[&files[..], &["--tls-auth-clients", "yes"], more].concat())
    }
}

fn options(redis: &Redis, tls: RedisTls) -> RedisOptions {
    RedisOptions { tls, ..RedisOptions::at(&redis.url()) }
}

/// Waits for the state that the link comes to, and returns what is said of it.
fn trouble(options: RedisOptions, state: LinkState) -> String {
    let mut gateway = Gateway::with(options);
    gateway.until_out(state);
    gateway.keeper.shutdown().redis.unwrap().last_error.unwrap()
}

#[test]
fn leases_come_by_tls_with_a_certificate_and_a_login() {
    let (directory, authority) = (tempfile::tempdir().unwrap(), Authority::new("one"));
    let redis = authority.server(directory.path(), &["127.0.0.1"], &[]);
    redis.command(&format!("ACL SETUSER portcullis {}", faults::rights("secret")));
    let (user, password) = (Some("portcullis".to_owned()), Some("secret".to_owned()));
    let mut gateway =
        Gateway::with(RedisOptions { user, password: password.clone(), ..options(&redis, authority.trusted()) });
    gateway.until_leased("leases");
    assert_eq!(gateway.keeper.shutdown().redis.unwrap().last_error, None);
    let stranger = RedisOptions { user: Some("stranger".to_owned()), password, ..options(&redis, authority.trusted()) };
    let said = trouble(stranger, LinkState::Denied);
    assert!(said.contains("authentication failed"), "{said}");
}

#[test]
fn a_server_of_tls_that_is_killed_and_started_again() {
    let (directory, authority) = (tempfile::tempdir().unwrap(), Authority::new("one"));
    let mut redis = authority.server(directory.path(), &["127.0.0.1"], &[]);
    let options = options(&redis, authority.trusted());
    faults::outage_of(options, &mut redis, LinkState::Unreachable, Redis::kill, Redis::start_again);
}

#[test]
fn whoever_cannot_be_verified_gets_no_word() {
    let (directory, authority, other) = (tempfile::tempdir().unwrap(), Authority::new("one"), Authority::new("other"));
    let redis = authority.server(directory.path(), &["redis.internal"], &[]);
    let good = authority.trusted();
    let named = RedisTls { server_name: Some("redis.internal".to_owned()), ..good.clone() };
    Gateway::with(options(&redis, named.clone())).until_leased("leases under the name that was said");
    let anonymous = RedisTls { client: None, ..named.clone() };
    let stranger = RedisTls { client: other.trusted().client, ..named.clone() };
    for (tls, expected) in [
        (good, "not valid for name"),
        (RedisTls { server_name: Some("other.internal".to_owned()), ..named.clone() }, "not valid for name"),
        (RedisTls { authorities: other.trusted().authorities, ..named.clone() }, "UnknownIssuer"),
        (RedisTls::default(), "UnknownIssuer"),
    ] {
        let said = trouble(options(&redis, tls), LinkState::Tls);
        assert!(said.contains(expected), "{expected}: {said}");
    }
    // What the server says of a client's certificate comes when it has closed already, and may be lost with that.
    for tls in [anonymous, stranger] {
        let mut gateway = Gateway::with(options(&redis, tls));
        gateway.load_until("a refusal", Duration::from_secs(20), |gateway, seen| {
            !seen.refuse && matches!(gateway.link().state, LinkState::Tls | LinkState::Unreachable)
        });
        assert_eq!(gateway.link().grants, 0);
    }
    trouble(RedisOptions::at(&redis.url().replace("rediss://", "redis://")), LinkState::Unreachable);
}

/// A cluster names its servers by their addresses, which need not be in their certificates.
#[test]
fn servers_that_a_cluster_names_are_verified_by_the_name_that_was_said() {
    let (directory, authority) = (tempfile::tempdir().unwrap(), Authority::new("one"));
    let bus = free_port().to_string();
    let clustered = ["--cluster-enabled", "yes", "--tls-cluster", "yes", "--cluster-port", &bus];
    let named = ["--cluster-announce-ip", "127.0.0.1"];
    let redis = authority.server(directory.path(), &["redis.internal"], &[&clustered[..], &named].concat());
    redis.command("CLUSTER ADDSLOTSRANGE 0 16383");
    let tls = RedisTls { server_name: Some("redis.internal".to_owned()), ..authority.trusted() };
    let url = redis.url().replace("127.0.0.1", "localhost");
    let mut gateway = Gateway::with(RedisOptions { tls, ..RedisOptions::at(&url) });
    gateway.until_leased("leases");
    let link = gateway.link();
    let used: Vec<&str> = link.nodes.iter().filter(|node| node.used).map(|node| node.address.as_str()).collect();
    assert_eq!((link.cluster, used), (true, vec![format!("127.0.0.1:{}", redis.port).as_str()]), "{link:?}");
}
