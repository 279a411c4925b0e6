//! What a client asks, and what is done for it.

use std::time::Duration;
use tokio::time::Instant;

use portcullis_identity::check::check_rpc_method;

use super::Session;
use crate::filter::OnHost;
use crate::ws::client::Client;
use crate::ws::close::Close;
use crate::ws::hub::next_number;
use crate::ws::kind::Kind;
use crate::ws::line::Command;
use crate::ws::message::{Ask, Asked, Failure, MAX_DEPTH, canonical, error, read, unsubscribed};
use crate::ws::table::{Call, Key, Subscribe};
use std::sync::Arc;

/// Messages in a row that are no request, after which the connection is closed.
const MAX_MALFORMED: u32 = 16;
/// Requests in a row that are refused, after which less is read.
const MAX_REFUSED: u32 = 8;
/// How much less with each refusal more: nothing is read for so long.
const PAUSE: Duration = Duration::from_millis(100);
/// The longest of these pauses, in such steps.
const LONGEST_PAUSE: u32 = 10;
/// What a request has upstream besides its method and params.
const ENVELOPE: usize = 64;

impl Session {
    /// Acts on a message.
    pub(super) fn request(&mut self, text: &[u8], now: Instant) {
        match read(text) {
            // A notification asks for nothing.
            Ok(None) => {}
            Ok(Some(asked)) => {
                self.malformed = 0;
                match self.asked(&asked) {
                    Ok(()) => self.refused = 0,
                    Err(failure) => self.refuse(asked.id, &failure, now),
                }
            }
            Err((id, failure)) => {
                self.malformed += 1;
                self.client.push(error(id, &failure));
                if self.malformed >= MAX_MALFORMED {
                    self.client.close(Close::MALFORMED);
                }
            }
        }
    }

    /// Tells the client that nothing comes of its request. Some clients ask again at once, for ever: the more is refused in
    /// a row, the slower they are read.
    fn refuse(&mut self, id: &str, failure: &Failure, now: Instant) {
        self.client.push(error(id, failure));
        self.refused = self.refused.saturating_add(1);
        if let Some(more @ 1..) = self.refused.checked_sub(MAX_REFUSED) {
            self.pause(now, PAUSE * more.min(LONGEST_PAUSE));
        }
    }

    fn asked(&mut self, asked: &Asked<'_>) -> Result<(), Failure> {
        match asked.ask {
            Ask::Unsubscribe(number) => self.unsubscribe(asked, number),
            Ask::Subscribe(kind, params) => {
                self.may(asked.method)?;
                self.subscribe(asked, kind, params)
            }
            Ask::Call(_) if !self.offers(asked.method) => Err(Failure::unknown_method()),
            Ask::Call(params) => {
                self.may(asked.method)?;
                self.call(asked, params)
            }
        }
    }

    /// Whether a call is offered, by the filter and by the host.
    fn offers(&self, method: &str) -> bool {
        let by_host = || self.notes.get::<OnHost>().is_none_or(|host| host.0.offers(method));
        self.settings.calls.has(method) && by_host()
    }

    fn may(&self, method: &str) -> Result<(), Failure> {
        if self.notes.get::<OnHost>().is_some_and(|host| host.0.denies(method)) {
            return Err(Failure::denied());
        }
        let consumer = self.caller.as_ref().and_then(|caller| caller.consumer.as_ref());
        consumer.map_or(Ok(()), |consumer| check_rpc_method(consumer, method)).map_err(|_| Failure::forbidden())
    }

    /// A request that is larger upstream than the client's may be is one that a node may close the connection for.
    fn fits(&self, method: &str, params: &str) -> Result<(), Failure> {
        let fits = ENVELOPE + method.len() + params.len() <= self.settings.frame;
        if fits { Ok(()) } else { Err(Failure::too_large()) }
    }

    fn subscribe(&mut self, asked: &Asked<'_>, kind: Kind, params: &[u8]) -> Result<(), Failure> {
        let params = canonical(params, MAX_DEPTH).ok_or_else(|| Failure::params("the params nest too deep"))?;
        self.fits(asked.method, &params)?;
        let most = self.settings.subscriptions;
        if self.client.subscriptions() >= most as usize {
            return Err(Failure::subscriptions(most));
        }
        let grant = self.spending.hold(asked.method)?;
        let key = Key { kind, params: params.into() };
        let (number, line) = (next_number(), self.hub.line_of(&key));
        self.client.hold(number, line, grant);
        let client: Arc<Client> = Arc::clone(&self.client);
        self.hub.send(line, Command::Subscribe(Subscribe { client, number, id: asked.id.into(), key }));
        Ok(())
    }

    /// A client may always end what it has, whatever its caps say.
    fn unsubscribe(&mut self, asked: &Asked<'_>, number: Option<u64>) -> Result<(), Failure> {
        let _counted = self.spending.call(asked.method);
        let held = number.and_then(|number| Some((number, self.client.unsubscribe(number)?)));
        let (number, held) = held.ok_or_else(|| Failure::params("Invalid subscription id."))?;
        self.hub.unsubscribe(held.line, number);
        self.client.push(unsubscribed(asked.id));
        Ok(())
    }

    fn call(&mut self, asked: &Asked<'_>, params: &[u8]) -> Result<(), Failure> {
        let params = String::from_utf8_lossy(params);
        self.fits(asked.method, &params)?;
        let grant = self.spending.call(asked.method)?;
        self.client.wait();
        let call = Call {
            client: Arc::clone(&self.client),
            id: asked.id.into(),
            method: asked.method.into(),
            params: params.into(),
            grant: grant.map(Box::new),
        };
        self.hub.send(self.line, Command::Call(call));
        Ok(())
    }
}
