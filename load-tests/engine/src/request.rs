//! What is asked: a mix of requests by weight, and what their answers mean. Pure.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use crate::answer::Answer;
use crate::drive::Source;
use crate::outcome::{Kind, Outcome};
use crate::template::{Template, Turn};

/// When an answer is a refusal: it has the status, and the field if one is named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The status.
    pub status: u16,
    /// A field that it must have.
    pub field: Option<String>,
}

/// How a request is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wire {
    /// HTTP/1.1, whole.
    Http1,
    /// A message on a WebSocket: the body alone.
    Message,
    /// Not at all: head and body are asked for by themselves, for HTTP/2.
    Parts,
}

/// One request of a mix.
#[derive(Debug, Clone)]
pub struct Request {
    /// Its name.
    pub name: String,
    /// How often it comes, beside the others.
    pub weight: u32,
    /// The method of HTTP.
    pub method: String,
    /// The target.
    pub target: Template,
    /// Further fields, in order.
    pub fields: Vec<(String, Template)>,
    /// The body.
    pub body: Option<Template>,
    /// Whether the body is JSON-RPC whose id is the request's number: the answer must have the same id, and a result or an
    /// error.
    pub json_rpc: bool,
    /// Statuses that are a success; none for 2xx, and 101 for a message.
    pub expect: Vec<u16>,
}

/// A request in its parts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Parts {
    /// The method.
    pub method: String,
    /// The host.
    pub authority: String,
    /// The target.
    pub target: Vec<u8>,
    /// Further fields.
    pub fields: Vec<(String, Vec<u8>)>,
    /// The body.
    pub body: Option<Vec<u8>>,
}

/// A mix of requests.
#[derive(Debug, Clone)]
pub struct Mix {
    seed: u64,
    wire: Wire,
    host: String,
    requests: Vec<Request>,
    refusals: Vec<Refusal>,
    /// Codes of JSON-RPC errors that are refusals.
    refused_codes: Vec<i64>,
    weights: usize,
    /// Requests without a place to fill in, written once.
    fixed: Vec<Option<Vec<u8>>>,
    body: Vec<u8>,
    outcomes: Vec<BTreeMap<&'static str, u64>>,
}

impl Mix {
    /// Of these requests to a host.
    #[must_use]
    pub fn new(requests: Vec<Request>, host: &str, wire: Wire, seed: u64) -> Self {
        let weights = requests.iter().map(|request| request.weight as usize).sum();
        let outcomes = vec![BTreeMap::new(); requests.len()];
        let mut mix = Self {
            seed,
            wire,
            host: host.to_owned(),
            fixed: vec![None; requests.len()],
            requests,
            refusals: vec![Refusal { status: 429, field: None }],
            refused_codes: Vec::new(),
            weights,
            body: Vec::new(),
            outcomes,
        };
        let written = (0..mix.requests.len()).map(|kind| mix.written_once(kind)).collect();
        mix.fixed = written;
        mix
    }

    /// What is a refusal, in place of 429 alone.
    #[must_use]
    pub fn refusing(mut self, refusals: Vec<Refusal>, codes: Vec<i64>) -> Self {
        (self.refusals, self.refused_codes) = (refusals, codes);
        self
    }

    /// The requests.
    #[must_use]
    pub fn requests(&self) -> &[Request] {
        &self.requests
    }

    /// How often each request came to each outcome, in the order of the requests.
    #[must_use]
    pub fn outcomes(&self) -> &[BTreeMap<&'static str, u64>] {
        &self.outcomes
    }

    fn written_once(&mut self, kind: usize) -> Option<Vec<u8>> {
        let request = self.requests.get(kind)?;
        let fixed = request.target.fixed().is_some()
            && request.fields.iter().all(|(_, value)| value.fixed().is_some())
            && request.body.as_ref().is_none_or(|body| body.fixed().is_some());
        let mut out = Vec::new();
        fixed.then(|| self.write_kind(kind, self.turn(0), &mut out))?;
        Some(out)
    }

    /// The turn of a number.
    #[must_use]
    pub const fn turn(&self, number: u64) -> Turn {
        Turn { number, seed: self.seed }
    }

    /// Which of the requests has its turn: the seed and the number decide.
    #[must_use]
    pub fn pick(&self, number: u64) -> usize {
        if self.requests.len() < 2 {
            return 0;
        }
        let mut left = Turn { number, seed: !self.seed }.random().below(self.weights);
        for (kind, request) in self.requests.iter().enumerate() {
            let weight = request.weight as usize;
            if left < weight {
                return kind;
            }
            left -= weight;
        }
        0
    }

    fn write_kind(&mut self, kind: usize, turn: Turn, out: &mut Vec<u8>) {
        let Some(request) = self.requests.get(kind) else { return };
        if self.wire == Wire::Message {
            if let Some(body) = &request.body {
                body.write(turn, out);
            }
            return;
        }
        out.extend_from_slice(request.method.as_bytes());
        out.push(b' ');
        request.target.write(turn, out);
        out.extend_from_slice(b" HTTP/1.1\r\nHost: ");
        out.extend_from_slice(self.host.as_bytes());
        out.extend_from_slice(b"\r\n");
        for (name, value) in &request.fields {
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b": ");
            value.write(turn, out);
            out.extend_from_slice(b"\r\n");
        }
        let Some(body) = &request.body else { return out.extend_from_slice(b"\r\n") };
        self.body.clear();
        body.write(turn, &mut self.body);
        out.extend_from_slice(format!("Content-Length: {}\r\n\r\n", self.body.len()).as_bytes());
        out.extend_from_slice(&self.body);
    }

    /// The request of a kind and a number in its parts.
    #[must_use]
    pub fn parts(&self, kind: usize, number: u64) -> Parts {
        let turn = self.turn(number);
        let text = |template: &Template| {
            let mut out = Vec::new();
            template.write(turn, &mut out);
            out
        };
        let Some(request) = self.requests.get(kind) else { return Parts::default() };
        Parts {
            method: request.method.clone(),
            authority: self.host.clone(),
            target: text(&request.target),
            fields: request.fields.iter().map(|(name, value)| (name.clone(), text(value))).collect(),
            body: request.body.as_ref().map(text),
        }
    }

    fn outcome(&self, kind: usize, number: u64, answer: &Answer<'_>) -> Outcome {
        let Some(request) = self.requests.get(kind) else { return Outcome::Failed(Kind::Mismatch) };
        let refused = self.refusals.iter().any(|refusal| {
            refusal.status == answer.status && refusal.field.as_ref().is_none_or(|name| answer.has_field(name))
        });
        if refused {
            return Outcome::Refused;
        }
        // A call of gRPC that was answered at all has a status of its own.
        match answer.grpc {
            Some(0) => return Outcome::Succeeded,
            Some(code) if self.refused_codes.contains(&i64::from(code)) => return Outcome::Refused,
            Some(_) => return Outcome::Failed(Kind::Status),
            None => {}
        }
        let expected = match (request.expect.is_empty(), self.wire) {
            (true, Wire::Message) => answer.status == 101,
            (true, Wire::Http1 | Wire::Parts) => (200..300).contains(&answer.status),
            (false, _) => request.expect.contains(&answer.status),
        };
        match (expected, request.json_rpc) {
            (false, _) => Outcome::Failed(Kind::Status),
            (true, false) => Outcome::Succeeded,
            (true, true) => self.of_json_rpc(number, answer.body),
        }
    }

    fn of_json_rpc(&self, number: u64, body: &[u8]) -> Outcome {
        let Ok(Json::Object(answer)) = serde_json::from_slice(body) else { return Outcome::Failed(Kind::Malformed) };
        if answer.get("id").and_then(Json::as_u64) != Some(number) {
            return Outcome::Failed(Kind::Mismatch);
        }
        let code = answer.get("error").map(|error| error.get("code").and_then(Json::as_i64));
        match code {
            None if answer.contains_key("result") => Outcome::Succeeded,
            Some(Some(code)) if self.refused_codes.contains(&code) => Outcome::Refused,
            Some(Some(_)) => Outcome::Failed(Kind::Status),
            None | Some(None) => Outcome::Failed(Kind::Malformed),
        }
    }
}

impl Source for Mix {
    fn write(&mut self, number: u64, out: &mut Vec<u8>) -> usize {
        let kind = self.pick(number);
        match self.fixed.get(kind) {
            Some(Some(fixed)) => out.extend_from_slice(fixed),
            _ => self.write_kind(kind, self.turn(number), out),
        }
        kind
    }

    fn looks(&self, kind: usize) -> bool {
        self.requests.get(kind).is_some_and(|request| request.json_rpc)
    }

    fn judge(&mut self, kind: usize, number: u64, answer: &Answer<'_>) -> Outcome {
        let outcome = self.outcome(kind, number, answer);
        if let Some(counts) = self.outcomes.get_mut(kind) {
            let name = match outcome {
                Outcome::Succeeded => "succeeded",
                Outcome::Refused => "refused",
                Outcome::Failed(kind) => kind.name(),
            };
            *counts.entry(name).or_default() += 1;
        }
        outcome
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::template::Values;

    fn request(name: &str, weight: u32) -> Request {
        let template = |text: &str| Template::parse(text, &Values::new()).unwrap();
        Request {
            name: name.to_owned(),
            weight,
            method: "GET".to_owned(),
            target: template("/a"),
            fields: vec![("X-A".to_owned(), template("b"))],
            body: None,
            json_rpc: false,
            expect: Vec::new(),
        }
    }

    fn mix(requests: Vec<Request>, wire: Wire) -> Mix {
        Mix::new(requests, "rig.test", wire, 3)
    }

    fn answer(status: u16, body: &str) -> Answer<'_> {
        let head = b"HTTP/1.1 503 No\r\nProxy-Status: edge; error=destination_unavailable";
        Answer { status, head, body: body.as_bytes(), length: 0, grpc: None }
    }

    #[test]
    fn writes_what_a_server_understands() {
        let write = |mut mix: Mix, number| {
            let mut out = Vec::new();
            mix.write(number, &mut out);
            String::from_utf8(out).unwrap()
        };
        let plain = mix(vec![request("a", 1)], Wire::Http1);
        assert!(plain.fixed[0].is_some(), "written once");
        assert_eq!(write(plain, 1), "GET /a HTTP/1.1\r\nHost: rig.test\r\nX-A: b\r\n\r\n");
        let body = Some(Template::parse("{\"id\":@{n}}", &Values::new()).unwrap());
        let post = Request { method: "POST".to_owned(), body, ..request("b", 1) };
        assert_eq!(
            write(mix(vec![post.clone()], Wire::Http1), 12),
            "POST /a HTTP/1.1\r\nHost: rig.test\r\nX-A: b\r\nContent-Length: 9\r\n\r\n{\"id\":12}"
        );
        assert_eq!(write(mix(vec![post], Wire::Message), 12), "{\"id\":12}");
    }

    #[test]
    fn mixes_by_weight_and_by_number_alone() {
        let mix = mix(vec![request("a", 3), request("b", 1), request("c", 0)], Wire::Http1);
        let picked: Vec<usize> = (1..=10_000).map(|number| mix.pick(number)).collect();
        let count = |kind| picked.iter().filter(|other| **other == kind).count();
        assert!(count(0).abs_diff(7500) < 200, "{}", count(0));
        assert_eq!((count(2), mix.pick(77)), (0, picked[76]));
    }

    #[test]
    fn tells_success_refusal_and_failure_apart() {
        let one_field = Refusal { status: 503, field: Some("proxy-status".to_owned()) };
        let mut mix = mix(vec![request("a", 1)], Wire::Http1)
            .refusing(vec![Refusal { status: 429, field: None }, one_field], Vec::new());
        for (status, expected) in [
            (200, Outcome::Succeeded),
            (204, Outcome::Succeeded),
            (429, Outcome::Refused),
            (503, Outcome::Refused),
            (500, Outcome::Failed(Kind::Status)),
            (302, Outcome::Failed(Kind::Status)),
        ] {
            assert_eq!(mix.judge(0, 1, &answer(status, "")), expected, "{status}");
        }
        let bare = Answer { head: b"HTTP/1.1 503 No", ..answer(503, "") };
        assert_eq!(mix.judge(0, 1, &bare), Outcome::Failed(Kind::Status), "a 503 without a reason is a failure");
        assert_eq!(mix.outcomes()[0], BTreeMap::from([("refused", 2), ("status", 3), ("succeeded", 2)]));
    }

    #[test]
    fn an_answer_of_json_rpc_has_the_id_of_its_request() {
        let rpc = Request { json_rpc: true, ..request("rpc", 1) };
        let mut mix = mix(vec![rpc], Wire::Http1).refusing(Vec::new(), vec![-32005]);
        assert!(mix.looks(0));
        for (body, expected) in [
            ("{\"id\":7,\"result\":1}", Outcome::Succeeded),
            ("{\"id\":8,\"result\":1}", Outcome::Failed(Kind::Mismatch)),
            ("{\"id\":\"7\",\"result\":1}", Outcome::Failed(Kind::Mismatch)),
            ("{\"id\":7,\"error\":{\"code\":-32005}}", Outcome::Refused),
            ("{\"id\":7,\"error\":{\"code\":-32603}}", Outcome::Failed(Kind::Status)),
            ("{\"id\":7}", Outcome::Failed(Kind::Malformed)),
            ("{\"id\":7,\"error\":{}}", Outcome::Failed(Kind::Malformed)),
            ("nonsense", Outcome::Failed(Kind::Malformed)),
        ] {
            assert_eq!(mix.judge(0, 7, &answer(200, body)), expected, "{body}");
        }
    }
}
