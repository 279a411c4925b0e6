//! Contenders that terminate TLS, asked on a new connection each time: what a handshake costs.

use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::Failure;
use crate::client::{Answer, Client};
use crate::handshaking;
use crate::process::free_address;
use crate::wrk::{self, Load, Window};
use portcullis_engine::tls::{Group, Tls};

use super::configs::Work;
use super::{Contender, Entrant, Gateway, PATH, Place, configs, nginx_arguments, start_asking};

/// A certificate of the rig's own (ECDSA with P-256), as files.
#[derive(Debug, Clone)]
pub struct Certificate {
    cert: PathBuf,
    key: PathBuf,
    /// Both in one file, as `HAProxy` wants them.
    both: PathBuf,
}

impl Certificate {
    /// Makes one in a folder.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn new(folder: &Path) -> Result<Self, Failure> {
        let made = rcgen::generate_simple_self_signed(["rig.test".to_owned()])?;
        let (cert, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        let this = Self { cert: folder.join("rig.pem"), key: folder.join("rig.key"), both: folder.join("rig.both") };
        fs::write(&this.cert, &cert)?;
        fs::write(&this.key, &key)?;
        fs::write(&this.both, cert + &key)?;
        Ok(this)
    }
}

/// A contender with a certificate, before an origin without.
#[derive(Debug, Clone)]
pub struct Terminating {
    /// The contender: the gateway, nginx or `HAProxy`.
    pub contender: Contender,
    /// The origin.
    pub origin: SocketAddr,
    /// What it shows.
    pub certificate: Certificate,
    /// Who comes.
    pub sessions: Sessions,
}

/// Whether a connection goes on with a session of before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sessions {
    /// As `wrk` does, by the ticket of its last connection.
    Resumed,
    /// Never: every client is new, and exchanges keys by this group.
    New(Group),
}

impl fmt::Display for Terminating {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.contender.fmt(f)
    }
}

impl Entrant for Terminating {
    fn start(&self, place: &Place, under: &[OsString]) -> Result<Gateway, Failure> {
        let address = free_address()?;
        let program = self.contender.program().ok_or_else(|| format!("{self} is not installed"))?;
        let mut words = under.to_vec();
        words.push(program.into());
        words.extend(self.arguments(&place.folder, address)?);
        // Versions cost differently: TLS 1.2 resumes a session without an exchange of keys.
        let connects = || -> Result<Answer, Failure> {
            let group = Group::X25519;
            handshaking::once(address, PATH, &Tls::stranger("rig.test", group)?, group)?;
            Ok(Answer { status: 200, body: Vec::new(), closes: true })
        };
        start_asking(place, words, address, &format!("Tls{:?}", self.contender), &connects)
    }

    fn script(&self) -> Option<&Path> {
        None
    }

    fn handshakes(&self) -> bool {
        true
    }

    fn load(&self, window: &Window<'_>) -> Result<Load, Failure> {
        match self.sessions {
            Sessions::Resumed => wrk::run(window),
            Sessions::New(group) => handshaking::run(window, group),
        }
    }

    fn ask(&self, _: &mut Client, _: u32) -> Result<Answer, Failure> {
        Err("the rig's own client speaks no TLS".into())
    }
}

impl Terminating {
    fn arguments(&self, folder: &Path, address: SocketAddr) -> Result<Vec<OsString>, Failure> {
        let Certificate { cert, key, both } = &self.certificate;
        let (cert, key, both) = (cert.display(), key.display(), both.display());
        let file = |name: &str, config: &str, plain: String, secure: String| -> Result<OsString, Failure> {
            let text = config.replacen(&plain, &secure, 1);
            if text == config {
                return Err(format!("the config of {self} has no line `{plain}`").into());
            }
            let path = folder.join(name);
            fs::write(&path, text)?;
            Ok(path.into())
        };
        let gateway = |name: &str, config: &str| -> Result<Vec<OsString>, Failure> {
            let bind = format!("    bind: \"{address}\"\n");
            let tls = format!("{bind}    tls: {{ certificates: [{{ cert: {cert}, key: {key} }}] }}\n");
            Ok(vec!["run".into(), "-c".into(), file(name, config, bind, tls)?])
        };
        match self.contender {
            Contender::Plain => gateway("tls-plain.yaml", &configs::plain(address, self.origin)),
            Contender::Usual => gateway("tls-usual.yaml", &configs::usual(address, self.origin)),
            Contender::Full => gateway("tls-full.yaml", &configs::full(address, self.origin)?),
            Contender::Nginx => {
                let own = folder.join("tls-nginx");
                fs::create_dir_all(&own)?;
                let config = configs::nginx(&own, address, self.origin, Work::Bare);
                // Left to itself, 1.22 speaks nothing newer than TLS 1.2.
                let keys = format!(
                    "    ssl_certificate {cert};\n    ssl_certificate_key {key};\n    ssl_protocols TLSv1.2 TLSv1.3;"
                );
                let tls = format!("listen {address} ssl;\n{keys}");
                let config = file("tls-nginx.conf", &config, format!("listen {address};"), tls)?;
                Ok(nginx_arguments(&own, config))
            }
            Contender::Haproxy => {
                let config = configs::haproxy(address, self.origin, Work::Bare);
                let bind = format!("  bind {address}");
                let tls = format!("{bind} ssl crt {both}");
                Ok(vec!["-db".into(), "-f".into(), file("tls-haproxy.cfg", &config, bind, tls)?])
            }
            Contender::Bare
            | Contender::Counted
            | Contender::Logged
            | Contender::Watched
            | Contender::Envoy
            | Contender::Pingap
            | Contender::Praxis
            | Contender::NginxLogged
            | Contender::HaproxyLogged
            | Contender::EnvoyLogged => Err(format!("the rig has no config of {self} with TLS").into()),
        }
    }
}
