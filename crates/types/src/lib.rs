//! The words every crate shares: ids, quantities, reasons, errors, the request view.
//!
//! Nothing here does I/O, and nothing here knows Pingora. A type belongs in this crate when two crates that must
//! not depend on each other have to agree on it.

pub mod dialect;
pub mod error;
pub mod ids;
pub mod quantity;
pub mod reason;
pub mod seldom;
pub mod view;

pub use dialect::Dialect;
pub use error::ProxyError;
pub use ids::{ClusterName, EndpointName, GenerationId, ListenerName, RequestId, RouteName};
pub use quantity::{ByteSize, Percent, QuantityError, Rate};
pub use reason::{Fault, Reason, Retry};
pub use seldom::Seldom;
pub use view::{Batch, BatchPart, BodyView, ClientCertificate, Downstream, Protocol, RequestView, Scheme, TlsInfo};
