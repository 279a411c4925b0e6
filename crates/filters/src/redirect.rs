//! `redirect`: answers with a redirect to HTTPS, to another host, or to a URL by template.

mod config;
mod filter;
mod target;

#[cfg(test)]
mod tests;

pub use config::RedirectConfig;
pub use filter::Redirect;
pub use target::UrlTemplate;
