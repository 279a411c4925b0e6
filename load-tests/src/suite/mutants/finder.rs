//! Who is meant to find which fault, and by which criterion.

use std::time::Duration;

use portcullis_mutants::Mutant;

use crate::Failure;
use crate::suite::{SCENES, Scene};

/// Who plays: a scene, or the tool itself, as CI calls it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Finder {
    /// A scene.
    Scene(&'static str),
    /// `judge`, against the same gateway without the fault.
    Judge,
    /// `instructions`, against the same gateway without the fault.
    Instructions,
}

impl Finder {
    /// Who is meant to find a fault.
    pub(super) const fn of(mutant: Mutant) -> Self {
        match mutant {
            Mutant::SlowLog => Self::Scene("records"),
            Mutant::LeakedBuffer => Self::Scene("soak"),
            Mutant::LeakedDescriptor => Self::Scene("churn"),
            Mutant::LostRetryBudget => Self::Scene("retries"),
            Mutant::DoubleCountedCap | Mutant::BurstOffByOne => Self::Scene("keys"),
            Mutant::ReloadResetsCounters | Mutant::FailsOnReload | Mutant::ReloadCutsWebsockets => {
                Self::Scene("reload")
            }
            Mutant::FailsOn5xx => Self::Scene("faults"),
            Mutant::FailsOnWebsocket => Self::Scene("fanout"),
            Mutant::Tail | Mutant::FatConnection => Self::Judge,
            Mutant::Cpu10 => Self::Instructions,
            Mutant::FlippedByte => Self::Scene("bodies"),
            Mutant::UnboundedUpstream => Self::Scene("pool"),
            Mutant::WaitsForRedis => Self::Scene("redis"),
            Mutant::GenerationKept => Self::Scene("storm"),
            Mutant::SpinningAccept => Self::Scene("descriptors"),
            Mutant::EndlessHead | Mutant::UnreadAnswerKept => Self::Scene("slow"),
            Mutant::UncountedHeads => Self::Scene("headers"),
            Mutant::LeakedBody => Self::Scene("allocator"),
        }
    }

    /// Who plays before it and is not meant to find it: a scene of counts, which no slowness of a machine makes tell what is not there.
    pub(super) const fn beside(mutant: Mutant) -> Self {
        match mutant {
            Mutant::LostRetryBudget | Mutant::FailsOn5xx => Self::Scene("keys"),
            Mutant::SlowLog
            | Mutant::LeakedBuffer
            | Mutant::LeakedDescriptor
            | Mutant::DoubleCountedCap
            | Mutant::BurstOffByOne
            | Mutant::ReloadResetsCounters
            | Mutant::FailsOnReload
            | Mutant::ReloadCutsWebsockets
            | Mutant::FailsOnWebsocket
            | Mutant::Tail
            | Mutant::FatConnection
            | Mutant::Cpu10
            | Mutant::FlippedByte
            | Mutant::UnboundedUpstream
            | Mutant::WaitsForRedis
            | Mutant::GenerationKept
            | Mutant::SpinningAccept
            | Mutant::EndlessHead
            | Mutant::UnreadAnswerKept
            | Mutant::UncountedHeads
            | Mutant::LeakedBody => Self::Scene("retries"),
        }
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Scene(name) => name,
            Self::Judge => "judge",
            Self::Instructions => "instructions",
        }
    }

    pub(super) fn scene(self) -> Result<Option<&'static Scene>, Failure> {
        let Self::Scene(name) = self else { return Ok(None) };
        let found = SCENES.iter().find(|scene| scene.name == name);
        found.map(Some).ok_or_else(|| format!("there is no scene `{name}`").into())
    }

    /// How long it may take; of a scene that is its own bound.
    pub(super) fn bound(self) -> Result<Duration, Failure> {
        let scene = self.scene()?.map(|scene| scene.bound);
        Ok(match (self, scene) {
            (_, Some([small, _])) => small,
            // Sixty pairs of two windows, each of which may be measured three times.
            (Self::Judge, None) => Duration::from_secs(900),
            (Self::Scene(_) | Self::Instructions, None) => Duration::from_secs(600),
        })
    }
}

/// Words of the criterion that is meant to find a fault.
pub(super) const fn meant(mutant: Mutant) -> &'static str {
    match mutant {
        Mutant::SlowLog => "more than without the gateway take longer",
        Mutant::LeakedDescriptor => "no descriptors stay behind",
        Mutant::LeakedBuffer => "left behind of a thousand requests",
        Mutant::LostRetryBudget => "more than clients send",
        Mutant::DoubleCountedCap => "a quota: exactly",
        Mutant::BurstOffByOne => "a saved burst: exactly",
        Mutant::ReloadResetsCounters => "over all reloads: exactly",
        Mutant::ReloadCutsWebsockets => "no WebSocket ends unasked",
        Mutant::FailsOnReload => "in flight while a config is loaded",
        Mutant::FailsOn5xx => "5xx: every failure is answered",
        Mutant::FailsOnWebsocket => "through a tunnel",
        Mutant::Tail => "beyond_slo",
        Mutant::FatConnection => "rss_per_connection",
        Mutant::Cpu10 => "instructions per request",
        Mutant::FlippedByte => "down: what arrives is what was sent",
        Mutant::UnboundedUpstream => "the upstream never has more than",
        Mutant::WaitsForRedis => "no request waits for Redis",
        Mutant::GenerationKept => "one generation lives in the end",
        Mutant::SpinningAccept => "it does not spin",
        Mutant::EndlessHead => "who trickles a head is left",
        Mutant::UnreadAnswerKept => "that do not read: memory",
        Mutant::UncountedHeads => "portcullis_failures_total has every attack",
        Mutant::LeakedBody => "more than the second",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mutant_has_a_scene_that_is_there_and_another() {
        for mutant in Mutant::ALL {
            for finder in [Finder::of(mutant), Finder::beside(mutant)] {
                assert_eq!(finder.scene().unwrap().is_some(), matches!(finder, Finder::Scene(_)), "{mutant:?}");
            }
            assert_ne!(Finder::of(mutant), Finder::beside(mutant), "{mutant:?}");
        }
    }
}
