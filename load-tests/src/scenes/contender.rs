//! Who plays in the scenes.

use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::ValueEnum;

use crate::Failure;
use crate::contenders::{self, Gateway, Place, gateway};
use crate::process::free_address;

use super::configs::{self, Setting};

/// A proxy with a way to choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Player {
    /// The gateway as it is by default.
    Portcullis,
    /// `HAProxy`, `balance random(2)`.
    HaproxyRandom,
    /// `HAProxy`, `balance leastconn`.
    HaproxyLeastconn,
    /// Envoy, least-request with outlier detection.
    Envoy,
}

impl fmt::Display for Player {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Portcullis => "Portcullis",
            Self::HaproxyRandom => "HAProxy random(2)",
            Self::HaproxyLeastconn => "HAProxy leastconn",
            Self::Envoy => "Envoy least-request",
        })
    }
}

impl Player {
    /// The program, if it is installed.
    #[must_use]
    pub fn program(self) -> Option<PathBuf> {
        match self {
            Self::Portcullis => gateway(),
            Self::HaproxyRandom | Self::HaproxyLeastconn => contenders::Contender::Haproxy.program(),
            Self::Envoy => contenders::Contender::Envoy.program(),
        }
    }

    /// Starts it in front of a fleet.
    pub(super) fn start(
        self,
        place: &Place,
        replicas: &[SocketAddr],
        patience: u32,
        knobs: &[String],
    ) -> Result<Gateway, Failure> {
        let address = free_address()?;
        let setting = Setting { address, replicas, patience, knobs };
        let (name, text, flags): (_, _, &[&str]) = match self {
            Self::Portcullis => ("scene.yaml", configs::portcullis(&setting)?, &["run", "-c"]),
            Self::HaproxyRandom => ("random.cfg", configs::haproxy(&setting, "random(2)")?, &["-db", "-f"]),
            Self::HaproxyLeastconn => ("leastconn.cfg", configs::haproxy(&setting, "leastconn")?, &["-db", "-f"]),
            Self::Envoy => (
                "scene-envoy.yaml",
                configs::envoy(&setting)?,
                &["--concurrency", "1", "--disable-hot-restart", "--log-level", "error", "-c"],
            ),
        };
        let file = place.folder.join(name);
        fs::write(&file, text)?;
        let program = self.program().ok_or_else(|| format!("{self} is not installed"))?;
        let flags = flags.iter().copied().map(OsString::from);
        let words = [program.into()].into_iter().chain(flags).chain([file.into()]).collect();
        contenders::start(place, words, address, &format!("{self:?}"))
    }
}
