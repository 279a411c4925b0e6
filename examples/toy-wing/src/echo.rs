//! A filter that ends upgrades itself: what the client sends comes back, and nothing goes upstream.

use async_trait::async_trait;
use pingora_http::ResponseHeader;
use portcullis_filter::seam::{StreamEnd, Upgrade, UpgradeHandler, UpgradedStream};
use portcullis_filter::{BuildCx, ConfiguredFilter, Filter, Phase, Phases, RequestCx, Verdict};
use portcullis_types::{ProxyError, Reason};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Settings of `echo`.
#[derive(portcullis_yaml::Decode)]
pub(crate) struct EchoConfig {
    /// Whether it upgrades whoever asks for it or not.
    #[config(default)]
    always: bool,
}

/// Upgrades those who ask for it.
pub(crate) struct Echo {
    always: bool,
}

impl Filter for Echo {
    type Ctx = ();

    fn phases(&self) -> Phases {
        Phases::of(Phase::RequestFilter)
    }

    async fn request_filter(&self, cx: &mut RequestCx<'_>, _ctx: &mut ()) -> Result<Verdict, ProxyError> {
        if !cx.facts.asks_upgrade && !self.always {
            return Ok(Verdict::Continue);
        }
        let mut response = ResponseHeader::build(101, None).map_err(|_| Reason::FilterFailed)?;
        drop(response.insert_header("x-echo", "yes"));
        Ok(Verdict::Upgrade(Box::new(Upgrade { response, handler: Box::new(Handler) })))
    }
}

impl ConfiguredFilter for Echo {
    const NAME: &'static str = "echo";
    type Config = EchoConfig;

    fn build(config: EchoConfig, _cx: &BuildCx<'_>) -> Result<Self, String> {
        Ok(Self { always: config.always })
    }
}

struct Handler;

#[async_trait]
impl UpgradeHandler for Handler {
    async fn serve(self: Box<Self>, mut stream: UpgradedStream) -> StreamEnd {
        let mut end = StreamEnd::default();
        let mut bytes = [0; 256];
        loop {
            let read = tokio::select! {
                read = stream.io.read(&mut bytes) => read.unwrap_or_default(),
                _ = stream.end.due() => 0,
            };
            let said = bytes.get(..read).unwrap_or_default();
            assert_ne!(said, b"boom", "as it was told to");
            end.bytes_in += read as u64;
            let answer: &[u8] = if stream.end.is_due() { b"bye" } else { said };
            if answer.is_empty() || stream.io.write_all(answer).await.is_err() || stream.io.flush().await.is_err() {
                break;
            }
            end.bytes_out += answer.len() as u64;
            if read == 0 {
                end.error = Some(ProxyError::new(Reason::Draining));
                break;
            }
        }
        let cluster = stream.cluster.map_or_else(|| "none".to_owned(), |cluster| cluster.to_string());
        end.annotations = vec![("echo", cluster)];
        end
    }
}
