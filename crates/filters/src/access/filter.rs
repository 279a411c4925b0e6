//! Takes the first rule that names the request, else the default.

use portcullis_filter::{BuildCx, ConfiguredFilter, Filter, Phase, Phases, RequestCx, Verdict};
use portcullis_types::{ProxyError, Reason, RequestView};

use super::config::{AccessConfig, Conditions, Rule, Verb};

/// The `access` filter.
pub struct Access {
    rules: Box<[Rule]>,
    default: Verb,
}

impl Filter for Access {
    type Ctx = ();

    fn phases(&self) -> Phases {
        Phases::of(Phase::RequestFilter)
    }

    async fn request_filter(&self, cx: &mut RequestCx<'_>, _ctx: &mut ()) -> Result<Verdict, ProxyError> {
        let view = cx.view();
        let rule = self.rules.iter().find(|rule| names(&rule.conditions, &view));
        let (verb, name) = rule.map_or((self.default, "default"), |rule| (rule.verb, &rule.name));
        match verb {
            Verb::Allow => Ok(Verdict::Continue),
            Verb::Deny => {
                cx.notes.annotate("access", name);
                Err(ProxyError::with_detail(Reason::Denied, format!("access rule `{name}`")))
            }
        }
    }
}

/// Whether a request meets every condition.
fn names(conditions: &Conditions, view: &RequestView<'_>) -> bool {
    let method = conditions.methods.is_empty() || conditions.methods.contains(view.method);
    let path = conditions.path.as_ref().is_none_or(|prefix| prefix.covers(view.path));
    method && path && conditions.networks.as_ref().is_none_or(|networks| networks.contain(view.client))
}

impl ConfiguredFilter for Access {
    const NAME: &'static str = "access";

    type Config = AccessConfig;

    fn build(config: AccessConfig, _cx: &BuildCx<'_>) -> Result<Self, String> {
        Ok(Self { rules: config.rules.into(), default: config.default })
    }
}
