//! What the gateway relies on in Pingora that is our change (`vendor/README.md`).

mod exact_head;
mod exchange;
mod gathered;
mod given_away;
mod half;
mod idle_pool;
mod open_end;
mod proxied;
mod queued_header;
mod socket;
