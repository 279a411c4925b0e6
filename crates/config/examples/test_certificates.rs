//! Makes the certificates under `conf/certs`: `cargo run -p portcullis-config --example test_certificates -- DIR`.
//!
//! They are public test keys. The example is kept so that anyone can see what is in them and make others.

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use std::error::Error;
use std::path::Path;

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

fn main() -> Outcome {
    let folder = std::env::args().nth(1).ok_or("expected the folder to write to")?;
    let folder = Path::new(&folder);
    std::fs::create_dir_all(folder)?;
    let ca = authority("Portcullis test CA")?;
    std::fs::write(folder.join("ca.pem"), ca.pem())?;
    let partners = authority("Portcullis test partners CA")?;
    std::fs::write(folder.join("partners.pem"), partners.pem())?;
    let server = ExtendedKeyUsagePurpose::ServerAuth;
    for (file, names, until) in [
        ("edge", &["edge.example.com", "localhost"][..], 2120),
        ("wildcard", &["*.example.com", "example.com"], 2120),
        ("origin", &["origin.internal", "localhost"], 2120),
        ("expired", &["edge.example.com"], 2021),
    ] {
        leaf(folder, file, long_lived(names, until)?, &server, &ca)?;
    }
    let partner = long_lived(&["partner-a.example.net"], 2120)?;
    leaf(folder, "partner-a", partner, &ExtendedKeyUsagePurpose::ClientAuth, &partners)
}

/// Parameters with the first name as the common name, valid from 2020.
fn long_lived(names: &[&str], until: i32) -> Outcome<CertificateParams> {
    let mut params = CertificateParams::new(names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>())?;
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(until, 1, 1);
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, names.first().copied().unwrap_or_default());
    Ok(params)
}

fn authority(name: &str) -> Outcome<CertifiedIssuer<'static, KeyPair>> {
    let mut params = long_lived(&[], 2120)?;
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(CertifiedIssuer::self_signed(params, KeyPair::generate()?)?)
}

fn leaf(
    folder: &Path,
    file: &str,
    mut params: CertificateParams,
    usage: &ExtendedKeyUsagePurpose,
    issuer: &CertifiedIssuer<'static, KeyPair>,
) -> Outcome {
    params.extended_key_usages = vec![usage.clone()];
    params.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate()?;
    let certificate = params.signed_by(&key, issuer)?;
    std::fs::write(folder.join(format!("{file}.pem")), certificate.pem() + &issuer.pem())?;
    std::fs::write(folder.join(format!("{file}.key")), key.serialize_pem())?;
    Ok(())
}
