//! Where each endpoint stands, in words: for `explain`, the admin API and people on call.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use portcullis_types::{EndpointName, Reason};

use crate::endpoint::{Endpoint, EndpointIdx};
use crate::health::{CheckFailure, HealthPolicy, seconds};
use crate::height::{HeightPolicy, HeightStanding};
use crate::outlier::EjectionCause;
use crate::rotation::{Resort, Rotation};
use crate::set::EndpointSet;
use crate::signals::Stamp;
use crate::state::{Health, HealthRecord, Totals};
use crate::tuning::SlowStart;

/// Why an endpoint is in or out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// It takes requests.
    InUse,
    /// It takes requests that the endpoints of the gateway's own zone are too few or too full for.
    Overflow,
    /// It takes requests although checks fail or have not ended: too few endpoints are available, so health is
    /// ignored.
    Panic,
    /// It could take requests; those go to another priority.
    Standby {
        /// The priority in use.
        using: u8,
    },
    /// It could take requests; those stay with the endpoints of the gateway's own zone.
    OtherZone,
    /// Its weight is 0.
    Drained,
    /// Checks fail.
    Unhealthy(Option<CheckFailure>),
    /// No check has ended, and the cluster wants one first.
    Unchecked,
    /// Outlier detection has taken it out.
    Ejected(EjectionCause),
    /// It said itself that it wants no requests for now.
    Away,
    /// It is behind the others, or so far ahead that it is not believed.
    OffHeight(HeightStanding),
    /// It takes requests although it is behind: all are, and it is one of the highest.
    Highest(HeightStanding),
}

impl Place {
    /// The metric label and the word in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InUse => "in_use",
            Self::Overflow => "overflow",
            Self::Panic => "panic",
            Self::Standby { .. } => "standby",
            Self::OtherZone => "other_zone",
            Self::Drained => "drained",
            Self::Unhealthy(_) => "unhealthy",
            Self::Unchecked => "unchecked",
            Self::Ejected(_) => "ejected",
            Self::Away => "away",
            Self::OffHeight(height) => height.bearing.as_str(),
            Self::Highest(_) => "highest",
        }
    }

    /// Whether requests may go there now.
    #[must_use]
    pub const fn takes_requests(self) -> bool {
        matches!(self, Self::InUse | Self::Overflow | Self::Panic | Self::Highest(_))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InUse => f.write_str("takes requests"),
            Self::Overflow => f.write_str("takes the requests that are too many for the gateway's zone"),
            Self::Panic => {
                f.write_str("takes requests although it is not known to be healthy, since too few endpoints are")
            }
            Self::Standby { using } => write!(f, "stands by: requests go to priority {using}"),
            Self::OtherZone => f.write_str("stands by: requests stay in the gateway's zone"),
            Self::Drained => f.write_str("takes no requests: its weight is 0"),
            Self::Unhealthy(Some(failure)) => write!(f, "takes no requests: health checks fail, {failure}"),
            Self::Unhealthy(None) => f.write_str("takes no requests: health checks fail"),
            Self::Unchecked => f.write_str("takes no requests: its first health check has not ended"),
            Self::Ejected(cause) => write!(f, "takes no requests: {cause}"),
            Self::Away => f.write_str("takes requests only when no other can: it asked to be left alone"),
            Self::OffHeight(height) => write!(f, "takes no requests: {height}"),
            Self::Highest(height) => {
                write!(f, "takes requests although it is not well, since none is better: {height}")
            }
        }
    }
}

/// Everything there is to say of one endpoint at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct EndpointStanding {
    /// Its place in the set.
    pub index: EndpointIdx,
    /// Its name.
    pub name: EndpointName,
    /// Its address.
    pub address: SocketAddr,
    /// Its priority.
    pub priority: u8,
    /// Its weight.
    pub weight: u32,
    /// Its zone.
    pub zone: Option<Arc<str>>,
    /// Whether it takes requests, and why or why not. Its `Display` is a sentence about the endpoint.
    pub place: Place,
    /// For how long that has been so.
    pub lasted: Duration,
    /// What would change it, as a sentence.
    pub would_change: String,
    /// What active checks say.
    pub health: Health,
    /// Requests in flight, of all generations.
    pub in_flight: u32,
    /// The counters.
    pub totals: Totals,
    /// The mean latency of late; `None` before the first success.
    pub latency: Option<Duration>,
    /// The latest failed request: why, and how long ago.
    pub last_failure: Option<(Reason, Duration)>,
    /// The share of answers of late that were failures, 0 to 1.
    pub trouble: f32,
    /// How full it says that it is, 0 to 2, as far as that is still believed.
    pub utilisation: f32,
    /// The part of its weight that it has in slow start; 1 outside.
    pub ramp: f32,
    /// Where it is beside the others; `None` where heights are not followed, or nothing was heard.
    pub height: Option<HeightStanding>,
}

impl fmt::Display for EndpointStanding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, address, place, would_change, .. } = self;
        write!(f, "{name} ({address}) {place}, for {}. {would_change}", seconds(self.lasted))
    }
}

impl EndpointSet {
    /// Where each endpoint stands, in the order of the specs; of a subset, those that belong to it. Allocates; not for the request path.
    #[must_use]
    pub fn explain(&self, now: Instant) -> Vec<EndpointStanding> {
        let rotation = self.rotation();
        let one =
            |(index, endpoint): (u32, &Arc<Endpoint>)| self.standing(&rotation, EndpointIdx(index), endpoint, now);
        (0_u32..).zip(self.endpoints()).filter(|(_, endpoint)| self.selects(endpoint.spec())).map(one).collect()
    }

    fn standing(&self, rotation: &Rotation, index: EndpointIdx, endpoint: &Endpoint, now: Instant) -> EndpointStanding {
        let (spec, state) = (endpoint.spec(), endpoint.state());
        let record = state.record();
        let out = state.watch().record().out;
        let (utilisation, away) = state.reported(now);
        let height = self.height_of(endpoint, now);
        let mut place = self.place(rotation, index, endpoint, &record);
        place = off_height(place, height, rotation, index);
        if matches!(place, Place::InUse | Place::Overflow) && away.is_some() {
            place = Place::Away;
        }
        let since = match out {
            Some(out) if matches!(place, Place::Ejected(_)) => out.since,
            _ if matches!(place, Place::OffHeight(_)) => endpoint.state().mark().bearing().1.unwrap_or(record.since),
            Some(_) | None => since(place, rotation, endpoint, &record).max(self.turned(rotation, index)),
        };
        let next = match (place, out, away) {
            (Place::Ejected(_), Some(out), _) => returns(out.until.saturating_duration_since(now)),
            (Place::Away, _, Some(left)) => {
                format!("In {} it is asked again, or when it says so.", seconds(left))
            }
            _ => would_change(place, &record, self.options().health.as_ref(), self.tuning().heights.as_ref()),
        };
        let ramped = |slow: &SlowStart| match state.signals().ramp() {
            0 => 1.0,
            began => slow.share(state.lineage().stamp(now).seconds_since(began)),
        };
        let ramp = self.tuning().slow_start.as_ref().map_or(1.0, ramped);
        let ago = |then: Instant| now.saturating_duration_since(then);
        EndpointStanding {
            index,
            name: spec.name.clone(),
            address: spec.address,
            priority: spec.priority,
            weight: spec.weight,
            zone: spec.zone.clone(),
            place,
            lasted: ago(since),
            would_change: next,
            health: record.health,
            in_flight: state.in_flight(),
            totals: state.totals(),
            latency: state.latency(),
            last_failure: state.last_failure().map(|(reason, then)| (reason, ago(then))),
            trouble: state.trouble(),
            utilisation,
            ramp,
            height,
        }
    }

    /// When the own zone's requests began to come to an endpoint of another, or ceased to; else the beginning of time.
    fn turned(&self, rotation: &Rotation, index: EndpointIdx) -> Instant {
        let holds = rotation.tiers.iter().position(|tier| tier.contains(index.0));
        let turned = holds.and_then(|at| self.overflow(rotation, at)).map_or(Stamp(0), |(_, turned)| turned);
        self.lineage().instant(turned)
    }

    fn place(&self, rotation: &Rotation, index: EndpointIdx, endpoint: &Endpoint, record: &HealthRecord) -> Place {
        if endpoint.spec().weight == 0 {
            return Place::Drained;
        }
        let out = endpoint.state().watch().record().out.filter(|_| self.tuning().outliers.is_some());
        let allowed = self.allows(record.health);
        let holds = rotation.tiers.iter().enumerate().find(|(_, tier)| tier.contains(index.0));
        let overflow = holds.and_then(|(at, _)| self.overflow(rotation, at));
        let used = holds.is_some_and(|(_, tier)| tier.share > 0.0) || overflow.is_some_and(|(runs, _)| runs);
        match (rotation.tiers.first(), out) {
            (Some(_), None) if used && allowed && overflow.is_some() => return Place::Overflow,
            (Some(_), None) if used && allowed => return Place::InUse,
            (Some(_), _) if used => return Place::Panic,
            (_, Some(out)) if allowed => return Place::Ejected(out.cause),
            (Some(_) | None, Some(_) | None) => {}
        }
        match rotation.tiers.first() {
            Some(tier) if allowed && tier.priority == endpoint.spec().priority => Place::OtherZone,
            Some(tier) if allowed => Place::Standby { using: tier.priority },
            Some(_) | None if record.health == Health::Unhealthy => Place::Unhealthy(record.failure),
            Some(_) | None => Place::Unchecked,
        }
    }
}

/// The place with a look at the height: what keeps an endpoint out, or why it is used all the same.
fn off_height(place: Place, height: Option<HeightStanding>, rotation: &Rotation, index: EndpointIdx) -> Place {
    let Some(height) = height.filter(|height| height.bearing.is_out()) else { return place };
    let held = rotation.tiers.iter().any(|tier| tier.contains(index.0));
    match place {
        Place::InUse | Place::Overflow if rotation.resort == Resort::Behind => Place::Highest(height),
        Place::Standby { .. } | Place::OtherZone | Place::Unchecked if !held => Place::OffHeight(height),
        Place::InUse
        | Place::Overflow
        | Place::Panic
        | Place::Standby { .. }
        | Place::OtherZone
        | Place::Drained
        | Place::Unhealthy(_)
        | Place::Unchecked
        | Place::Ejected(_)
        | Place::Away
        | Place::OffHeight(_)
        | Place::Highest(_) => place,
    }
}

fn since(place: Place, rotation: &Rotation, endpoint: &Endpoint, record: &HealthRecord) -> Instant {
    match place {
        Place::Drained => endpoint.since(),
        Place::InUse
        | Place::Overflow
        | Place::Panic
        | Place::Highest(_)
        | Place::Standby { .. }
        | Place::OtherZone => record.since.max(rotation.since),
        Place::Unhealthy(_) | Place::Unchecked | Place::Ejected(_) | Place::Away | Place::OffHeight(_) => record.since,
    }
}

fn would_change(
    place: Place,
    record: &HealthRecord,
    policy: Option<&HealthPolicy>,
    heights: Option<&HeightPolicy>,
) -> String {
    match place {
        Place::InUse => leaves(record, policy),
        Place::Overflow => "It takes none when the endpoints of the zone can carry all of them again.".to_owned(),
        Place::Panic => "It takes its normal share again when enough endpoints pass their health checks.".to_owned(),
        Place::Standby { using } => {
            format!(
                "It takes requests when priority {using} has too few available endpoints, or none that was not tried."
            )
        }
        Place::OtherZone => {
            "It takes requests when the endpoints of the zone cannot carry all of them, or none is left that was not tried."
                .to_owned()
        }
        Place::Drained => "A weight above 0 in the config brings it back.".to_owned(),
        Place::Unhealthy(_) => comes_back(record, policy),
        Place::Unchecked => "The next health check decides.".to_owned(),
        Place::Highest(_) => "It takes its normal share again when it keeps up, and none when others do.".to_owned(),
        Place::OffHeight(height) => {
            let half = heights.map_or(0, |policy| policy.max_lag / 2);
            format!("It takes requests when it is within {half} {}s of the reference and says that it is well.", height.unit)
        }
        Place::Ejected(_) | Place::Away => "It is tried again after a while.".to_owned(),
    }
}

fn returns(left: Duration) -> String {
    format!("In {} it is tried again, with a small share first; failing then takes it out for longer.", seconds(left))
}

fn leaves(record: &HealthRecord, policy: Option<&HealthPolicy>) -> String {
    match (policy, record.health) {
        (None, _) => "A weight of 0 or its removal takes it out; it is not checked.".to_owned(),
        (Some(_), Health::Unknown) => "Its first health check, when it fails, takes it out.".to_owned(),
        (Some(policy), Health::Healthy | Health::Unhealthy) => {
            let left = policy.unhealthy_after.get().saturating_sub(record.fails).max(1);
            format!("{} take it out.", in_a_row(left, "failing", policy.interval))
        }
    }
}

fn comes_back(record: &HealthRecord, policy: Option<&HealthPolicy>) -> String {
    let left = |policy: &HealthPolicy| policy.healthy_after.get().saturating_sub(record.passes).max(1);
    policy.map_or_else(
        || "It is not checked any more.".to_owned(),
        |policy| format!("{} bring it back.", in_a_row(left(policy), "passing", policy.interval)),
    )
}

fn in_a_row(checks: u32, kind: &str, interval: Duration) -> String {
    if checks == 1 {
        return format!("1 more {kind} health check would");
    }
    format!("{checks} more {kind} health checks in a row, one every {}, would", seconds(interval))
}
