//! From what stands in the file to what can be run, with everything that cannot be meant.

use std::time::Duration;

use portcullis_yaml::{Diagnostic, Diagnostics, Json, Span, Spanned};
use serde_json::json;

use crate::request::{Refusal, Request};
use crate::template::{Template, Values};
use crate::tls::Trust;

use super::{File, Part, Plan, Protocol, RefusalSpec, RequestSpec, Target, TlsSettings, When};

/// The code of what cannot be meant.
const CODE: &str = "plan";

/// The most that a load may last, so that a slip of a unit is seen.
const LONGEST: Duration = Duration::from_secs(7 * 24 * 3600);

pub(super) fn compile(file: &File, diags: &mut Diagnostics) -> Plan {
    // What could not be read was left out: that a list is empty, or a load short, would be no news then.
    let whole = !diags.has_errors();
    let mut wrong = |span: Span, message: String| diags.push(Diagnostic::error(CODE, span, message));
    if file.version.value != 1 {
        wrong(file.version.span, format!("version {} is not known, only 1", file.version.value));
    }
    for (number, name) in [(file.in_flight, "in_flight"), (file.connections, "connections")] {
        if let Some(number) = number.filter(|number| number.value == 0) {
            wrong(number.span, format!("`{name}: 0` would send nothing"));
        }
    }
    if let Some(timeout) = file.timeout.filter(|timeout| timeout.is_zero()) {
        wrong(timeout.span, "with `timeout: 0` no answer could come in time".to_owned());
    }
    let to = file.to.as_ref().and_then(|to| match to.value.parse::<Target>() {
        Ok(target) => Some(target),
        Err(why) => {
            wrong(to.span, format!("`{}` is not a URL of a server: {why}", to.value));
            None
        }
    });
    let when = when(file, whole, &mut wrong);
    let values = file.values.iter().map(|(name, list)| (name.clone(), list.as_slice().into())).collect();
    if !whole {
        // Told already.
    } else if file.requests.value.is_empty() {
        wrong(file.requests.span, "no requests".to_owned());
    } else if file.requests.value.iter().all(|request| request.weight == 0) {
        wrong(file.requests.span, "every weight is 0: nothing would be sent".to_owned());
    }
    let requests = file.requests.value.iter().map(|spec| request(spec, file.protocol, &values, &mut wrong)).collect();
    Plan {
        seed: file.seed,
        to,
        protocol: file.protocol,
        trust: trust(file.tls.as_ref()),
        tls_name: file.tls.as_ref().and_then(|tls| tls.name.clone()),
        websocket: file.websocket.clone(),
        connections: file.connections.map_or(4, |number| number.value as usize),
        when,
        warm_up: file.warm_up.map_or(Duration::ZERO, |warm_up| warm_up.value),
        in_flight: file.in_flight.map_or(4000, |number| number.value as usize),
        timeout: file.timeout.map_or(Duration::from_secs(5), |timeout| timeout.value),
        objective: file.objective,
        requests,
        refusals: file.refused.as_ref().map_or_else(usual_refusals, |list| list.iter().map(refusal).collect()),
        refused_codes: file.refused_codes.clone(),
        pass: file.pass.clone(),
    }
}

fn when(file: &File, whole: bool, wrong: &mut impl FnMut(Span, String)) -> When {
    let parts = &file.load.value;
    let length: Duration = parts.iter().map(|part| part.length()).fold(Duration::ZERO, Duration::saturating_add);
    if !whole {
        // Told already.
    } else if parts.is_empty() {
        wrong(file.load.span, "no load".to_owned());
    } else if length > LONGEST {
        wrong(file.load.span, "the load would last for more than a week".to_owned());
    } else if let Some(warm_up) = file.warm_up.filter(|warm_up| warm_up.value >= length) {
        wrong(warm_up.span, "the warm-up is as long as the load: nothing would be counted".to_owned());
    }
    for part in parts.iter().filter(|part| part.length().is_zero()) {
        wrong(part.span, "a part that lasts for no time".to_owned());
    }
    let closed = parts.iter().find_map(|part| match part.value {
        Part::Closed { connections, length } => Some((part.span, connections, length)),
        Part::Constant { .. } | Part::Poisson { .. } | Part::Ramp { .. } | Part::Steps { .. } => None,
    });
    match closed {
        Some((span, ..)) if parts.len() > 1 => {
            wrong(span, "a closed loop is the whole load, and stands beside nothing else".to_owned());
        }
        Some((span, 0, _)) => wrong(span, "a closed loop of nobody".to_owned()),
        Some((_, connections, length)) => {
            return When::Closed { connections: connections as usize, length };
        }
        None => {}
    }
    let segments: Vec<_> = parts.iter().flat_map(|part| part.segments()).collect();
    if !segments.iter().any(|segment| segment.from > 0.0 || segment.to > 0.0)
        && closed.is_none()
        && !parts.is_empty()
        && whole
    {
        wrong(file.load.span, "every rate is 0: nothing would be sent".to_owned());
    }
    When::Open(segments)
}

fn request(
    spec: &Spanned<RequestSpec>,
    protocol: Protocol,
    values: &Values,
    wrong: &mut impl FnMut(Span, String),
) -> Request {
    let span = spec.span;
    let mut template = |text: &str, what: &str| match Template::parse(text, values) {
        Ok(template) => template,
        Err(why) => {
            wrong(span, format!("request `{}`, {what}: {why}", spec.name));
            Template::default()
        }
    };
    let target = template(&spec.path, "path");
    let mut fields: Vec<_> = spec.headers.iter().map(|(name, value)| (name.clone(), template(value, name))).collect();
    let body = match (&spec.jsonrpc, &spec.body) {
        (Some(call), _) => Some(template(&call_text(&call.method, call.params.as_ref()), "jsonrpc")),
        (None, Some(body)) => Some(template(body, "body")),
        (None, None) => None,
    };
    let mut fail = |message: &str| wrong(span, format!("request `{}`: {message}", spec.name));
    if spec.jsonrpc.is_some() && spec.body.is_some() {
        fail("`jsonrpc` and `body` are two bodies");
    }
    if protocol == Protocol::Websocket && body.is_none() {
        fail("a message on a WebSocket needs `body` or `jsonrpc`");
    }
    if protocol == Protocol::Websocket && (spec.method.is_some() || !spec.headers.is_empty()) {
        fail("a message on a WebSocket has neither `method` nor `headers`");
    }
    if !spec.path.starts_with('/') && spec.path != "*" {
        fail("`path` begins with `/`");
    }
    let is_field = |name: &str| {
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    let own = ["host", "content-length", "transfer-encoding", "connection"];
    for (name, value) in &spec.headers {
        if !is_field(name) || own.contains(&name.to_ascii_lowercase().as_str()) {
            fail(&format!("`{name}` is no field that can be set here"));
        }
        if value.contains(['\r', '\n']) {
            fail(&format!("the value of `{name}` has a line break"));
        }
    }
    let method = match &spec.method {
        Some(method) if method.value.bytes().all(|byte| byte.is_ascii_uppercase()) && !method.value.is_empty() => {
            method.value.clone()
        }
        Some(method) => {
            wrong(method.span, format!("`{}` is no method", method.value));
            String::new()
        }
        None if body.is_some() => "POST".to_owned(),
        None => "GET".to_owned(),
    };
    let named =
        |fields: &[(String, Template)], wanted: &str| fields.iter().any(|(name, _)| name.eq_ignore_ascii_case(wanted));
    if spec.jsonrpc.is_some() && !named(&fields, "content-type") {
        fields.extend(Template::parse("application/json", values).map(|kind| ("Content-Type".to_owned(), kind)));
    }
    Request {
        name: spec.name.clone(),
        weight: spec.weight,
        method,
        target,
        fields,
        body,
        json_rpc: spec.jsonrpc.is_some(),
        expect: spec.expect.clone(),
    }
}

/// The id is the request's number, written into the text: as JSON it would be a string.
fn call_text(method: &str, params: Option<&Json>) -> String {
    let params = params.map(|params| format!(",\"params\":{params}")).unwrap_or_default();
    format!("{{\"jsonrpc\":\"2.0\",\"id\":@{{n}},\"method\":{}{params}}}", json!(method))
}

fn refusal(spec: &RefusalSpec) -> Refusal {
    match spec {
        RefusalSpec::Status(status) => Refusal { status: *status, field: None },
        RefusalSpec::With(with) => Refusal { status: with.status, field: Some(with.field.clone()) },
    }
}

fn usual_refusals() -> Vec<Refusal> {
    let with = |field: &str| Refusal { status: 503, field: Some(field.to_owned()) };
    vec![Refusal { status: 429, field: None }, with("proxy-status"), with("retry-after")]
}

fn trust(tls: Option<&TlsSettings>) -> Trust {
    match tls {
        Some(TlsSettings { insecure: true, .. }) => Trust::Anybody,
        Some(TlsSettings { ca: Some(path), .. }) => Trust::File(path.into()),
        _ => Trust::System,
    }
}
