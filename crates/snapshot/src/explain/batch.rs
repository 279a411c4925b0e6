//! A batch whose calls go to several routes: told part by part, in the proxy's order.

use pingora_http::RequestHeader;
use std::sync::Arc;

use portcullis_filter::ChainState;
use portcullis_policy::Params;
use portcullis_types::{ClusterName, ProxyError, Reason};

use super::finding::FilterStep;
use super::walk::{Stop, VirtualHost, Walk, unknown_cluster};
use crate::request::action;
use crate::route::{Action, RouteData};

/// The calls of one route.
struct Part {
    route: Arc<RouteData>,
    named: Vec<(Arc<str>, Box<str>)>,
    params: Params,
    calls: Vec<usize>,
    state: ChainState,
    head: RequestHeader,
    /// The cluster that a filter chose.
    cluster: Option<ClusterName>,
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
        // What the host's filters chose holds for each part whose route's filters choose nothing else.
        let by_host = self.notes.cluster.take();
        for part in &mut parts {
            self.enter(part);
            self.notes.cluster.clone_from(&by_host);
            let ran = self.route_filters().await;
            part.cluster = self.notes.cluster.take();
            let name = part.route.name.clone();
            let named = |step: FilterStep| FilterStep { filter: format!("{name}/{}", step.filter), ..step };
            steps.extend(std::mem::take(&mut self.told.route_filters).into_iter().map(named));
            changes.append(&mut self.told.route_changes);
            (self.told.route_filters, self.told.route_changes) = (steps.clone(), changes.clone());
            self.leave(part);
            ran?;
            self.own_answer(part)?;
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
        let sentences = parts.iter().map(|part| self.sentence(part)).collect::<Result<Vec<_>, _>>()?;
        Err(Stop::Parts(sentences.join("; ")))
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
            let (params, state, head) = (found.params, ChainState::default(), self.request.clone());
            parts.push(Part { route: route.clone(), params, named, calls: vec![at], state, head, cluster: None });
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

    /// A route that forwards nothing answers the batch.
    fn own_answer(&self, part: &Part) -> Result<(), Stop> {
        if part.cluster.is_some() {
            return Ok(());
        }
        let route = &part.route;
        let (action, response) = match &route.action {
            Action::Forward(_) => return Ok(()),
            Action::Respond(response) => ("respond", response.clone()),
            Action::Redirect(redirect) => {
                ("redirect", action::redirect(redirect, &part.params, route, &self.facts.view(&part.head))?)
            }
        };
        let because = format!("the route {} of a call answers by itself", route.name);
        Err(Stop::Answer { action, because, response: Box::new(response) })
    }

    fn sentence(&self, part: &Part) -> Result<String, Stop> {
        let calls: Vec<String> = part.calls.iter().map(ToString::to_string).collect();
        let to = match (&part.cluster, &part.route.action) {
            (Some(name), _) if self.snapshot.cluster_names.contains_key(name) => {
                format!(" to {name}, which a filter chose")
            }
            (Some(name), _) => return Err(unknown_cluster(name)),
            (None, Action::Forward(forward)) => {
                let view = self.facts.view(&part.head);
                let index = action::cluster(&forward.target, &view, &self.notes, self.facts.id);
                self.snapshot.cluster(index).map(|cluster| format!(" to {}", cluster.name)).unwrap_or_default()
            }
            (None, Action::Redirect(_) | Action::Respond(_)) => String::new(),
        };
        let noun = if calls.len() == 1 { "call" } else { "calls" };
        Ok(format!("{noun} {} by the route {}{to}", calls.join(", "), part.route.name))
    }
}
