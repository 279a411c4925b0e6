//! Addresses and networks.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use serde_json::{Value as Json, json};

use super::{Decode, Form, decode_from_str, decode_with};
use crate::cx::Cx;
use crate::node::Node;
use crate::schema::SchemaGen;

const SOCKET: Form = Form::new("an IP address with a port", &["0.0.0.0:8080", "[::1]:8080"]);
const IP: Form = Form::new("an IP address", &["10.0.0.1", "::1"]);
const NET: Form = Form::new("a network", &["10.0.0.0/8", "2001:db8::/32"]);

macro_rules! addresses {
    ($($type:ty, $form:expr;)*) => {$(
        impl Decode for $type {
            fn decode(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
                decode_from_str(node, cx, &$form)
            }

            fn schema(_: &mut SchemaGen) -> Json {
                $form.string_schema()
            }

            fn encode(&self) -> Option<Json> {
                Some(json!(self.to_string()))
            }
        }
    )*};
}

addresses! {
    SocketAddr, SOCKET;
    IpAddr, IP;
}

/// A network in CIDR form; a single address is the network of that address alone. Bits past the prefix must be zero,
/// since `10.0.0.5/8` is more often a slip than meant.
impl Decode for IpNet {
    fn decode(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        decode_with(node, cx, &NET, |text| {
            if let Ok(address) = text.parse::<IpAddr>() {
                return Ok(Self::from(address));
            }
            let net: Self = text.parse().map_err(|_| String::new())?;
            if net.trunc() == net {
                return Ok(net);
            }
            Err(format!("bits are set past the prefix; did you mean `{}` or `{}`?", net.trunc(), net.addr()))
        })
    }

    fn schema(_: &mut SchemaGen) -> Json {
        NET.string_schema()
    }

    fn encode(&self) -> Option<Json> {
        Some(json!(self.to_string()))
    }
}
