//! A body transform: the answer in capitals, as it passes.

use bytes::Bytes;
use portcullis_filter::cx::Chunk;
use portcullis_filter::{BodyCx, BuildCx, ConfiguredFilter, Filter, Phase, Phases};
use portcullis_types::ProxyError;

/// `shout` has no settings.
#[derive(portcullis_yaml::Decode)]
pub(crate) struct NoSettings {}

/// Turns ASCII letters of an answer's body into capitals; the length stays.
pub(crate) struct Shout;

impl Filter for Shout {
    type Ctx = ();

    fn phases(&self) -> Phases {
        Phases::of(Phase::ResponseBodyFilter)
    }

    fn response_body_filter(
        &self,
        _cx: &mut BodyCx<'_>,
        chunk: &mut Chunk,
        _end: bool,
        _ctx: &mut (),
    ) -> Result<(), ProxyError> {
        if let Some(bytes) = chunk {
            *bytes = Bytes::from(bytes.to_ascii_uppercase());
        }
        Ok(())
    }
}

impl ConfiguredFilter for Shout {
    const NAME: &'static str = "shout";
    type Config = NoSettings;

    fn build(_config: NoSettings, _cx: &BuildCx<'_>) -> Result<Self, String> {
        Ok(Self)
    }
}
