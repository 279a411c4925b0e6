//! Calls that are no subscriptions: passed on with a number of ours in place of the client's id.

use tokio::time::Instant;

use super::{Call, Due, MAX_CALLS, Request, Table};
use crate::ws::message::{self, Failure, error};

impl Table {
    /// A client calls.
    pub fn call(&mut self, call: Call, now: Instant) {
        let Call { client, id, method, params, grant } = call;
        if self.calls >= MAX_CALLS {
            client.answer(error(&id, &Failure::overloaded()));
            return;
        }
        let request = Request::Call { client, id, _grant: grant };
        self.calls += 1;
        if self.heard.is_some() {
            self.request(request, &method, &params, now);
            return;
        }
        let number = self.number();
        self.requests.insert(number, request);
        self.due.push_back((now + self.terms.timeout, Due::Request(number)));
        self.to_call.push_back((number, message::call(number, &method, &params)));
    }

    /// Sends the calls that waited for an upstream and were not given up meanwhile.
    pub(super) fn call_waiting(&mut self) {
        for (number, text) in std::mem::take(&mut self.to_call) {
            if self.requests.contains_key(&number) {
                self.out.push(text);
            }
        }
    }
}
