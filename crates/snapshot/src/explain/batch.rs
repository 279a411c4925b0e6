//! A batch whose calls go to several routes: told part by part, in the proxy's order.

use pingora_http::RequestHeader;
use std::sync::Arc;

use portcullis_filter::ChainState;
use portcullis_types::{ProxyError, Reason};

use super::finding::FilterStep;
use super::walk::{Stop, VirtualHost, Walk};
use crate::request::action;
use crate::route::{Action, RouteData};

/// The calls of one route.
struct Part {
    route: Arc<RouteData>,
    named: Vec<(Arc<str>, Box<str>)>,
    calls: Vec<usize>,
    state: ChainState,
    head: RequestHeader,
}

impl Walk<'_> {
    /// Walks the parts, if the body is a batch for several routes; what stops one stops all.
    pub(super) async fn parts(&mut self, host: &VirtualHost) -> Result<(), Stop> {
        let mut parts = self.grouped(host)?;
        if parts.len() < 2 {
            return Ok(());
        }
        let before = self.request.clone();
        let (mut steps, mut changes) = (Vec::new(), Vec::new());
        for part in &mut parts {
            self.enter(part);
            let ran = self.route_filters().await;
            let name = part.route.name.clone();
            let named = |step: FilterStep| FilterStep { filter: format!("{name}/{}", step.filter), ..step };
            steps.extend(std::mem::take(&mut self.told.route_filters).into_iter().map(named));
            changes.append(&mut self.told.route_changes);
            (self.told.route_filters, self.told.route_changes) = (steps.clone(), changes.clone());
            self.leave(part);
            ran?;
            own_answer(&part.route)?;
        }
        (self.request, self.route) = (before, None);
        (self.facts.route, self.facts.calls) = (None, None);
        self.admission().await?;
        let mut told = std::mem::take(&mut self.told.admission);
        for part in &mut parts {
            self.enter(part);
            // The host's word was asked for the whole.
            let host = self.host.take();
            let ran = self.admission().await;
            self.host = host;
            told.append(&mut self.told.admission);
            self.leave(part);
            if let Err(stop) = ran {
                self.told.admission = told;
                return Err(stop);
            }
        }
        self.told.admission = told;
        Err(Stop::Parts(parts.iter().map(|part| self.sentence(part)).collect::<Vec<_>>().join("; ")))
    }

    fn grouped(&mut self, host: &VirtualHost) -> Result<Vec<Part>, Stop> {
        let Some(body) = self.facts.body.clone() else { return Ok(Vec::new()) };
        let Some(batch) = body.batch().filter(|_| host.needs_body(&self.facts.view(&self.request))) else {
            return Ok(Vec::new());
        };
        let mut parts: Vec<Part> = Vec::new();
        for at in 0..body.calls().unwrap_or_default() {
            self.facts.body = batch.call(at);
            let view = self.facts.view(&self.request);
            let found = host
                .find(&view)
                .ok_or_else(|| ProxyError::with_detail(Reason::NoRoute, format!("call {at} of the batch")));
            let found = match found {
                Ok(found) => found,
                Err(error) => {
                    self.facts.body = Some(body.clone());
                    return Err(error.into());
                }
            };
            let route = found.route.data();
            if let Some(part) = parts.iter_mut().find(|part| Arc::ptr_eq(&part.route, route)) {
                part.calls.push(at);
                continue;
            }
            let named = action::captured(&found, view.path);
            let (state, head) = (ChainState::default(), self.request.clone());
            parts.push(Part { route: route.clone(), named, calls: vec![at], state, head });
        }
        self.facts.body = Some(body.clone());
        Ok(parts)
    }

    fn enter(&mut self, part: &mut Part) {
        self.route = Some(part.route.clone());
        self.facts.route = Some(part.route.name.clone());
        self.facts.params.clone_from(&part.named);
        self.facts.calls = Some(part.calls.as_slice().into());
        std::mem::swap(&mut self.request, &mut part.head);
        std::mem::swap(&mut self.route_state, &mut part.state);
    }

    fn leave(&mut self, part: &mut Part) {
        std::mem::swap(&mut self.request, &mut part.head);
        std::mem::swap(&mut self.route_state, &mut part.state);
    }

    fn sentence(&self, part: &Part) -> String {
        let calls: Vec<String> = part.calls.iter().map(ToString::to_string).collect();
        let to = match &part.route.action {
            Action::Forward(forward) => {
                let view = self.facts.view(&part.head);
                let index = action::cluster(&forward.target, &view, &self.notes, self.facts.id);
                self.snapshot.cluster(index).map(|cluster| format!(" to {}", cluster.name)).unwrap_or_default()
            }
            Action::Redirect(_) | Action::Respond(_) => String::new(),
        };
        let noun = if calls.len() == 1 { "call" } else { "calls" };
        format!("{noun} {} by the route {}{to}", calls.join(", "), part.route.name)
    }
}

/// A route that forwards nothing answers the batch.
fn own_answer(route: &RouteData) -> Result<(), Stop> {
    match &route.action {
        Action::Forward(_) => Ok(()),
        Action::Respond(response) => Err(Stop::Answer {
            action: "respond",
            because: format!("the route {} of a call answers by itself", route.name),
            response: Box::new(response.clone()),
        }),
        Action::Redirect(_) => {
            Err(ProxyError::with_detail(Reason::NoRoute, "a call of the batch is redirected").into())
        }
    }
}
