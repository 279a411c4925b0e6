//! A sink of the config: takes a record, renders it, queues the line.

use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;

use super::emf::EmfStyle;
use super::hec::{HecStyle, Inbox};
use super::only::Only;
use super::syslog::SyslogStyle;
use crate::access_log::{Format, View, render};
use crate::record::Record;
use crate::sink::RecordSink;
use crate::writer::Writer;

/// How a record becomes a line. Every form ends with the line's only newline.
#[derive(Debug)]
pub(super) enum Style {
    Plain(Format),
    Syslog(SyslogStyle),
    Emf(EmfStyle),
    Hec(HecStyle),
}

/// Where lines wait.
#[derive(Clone)]
pub(super) enum Outlet {
    Writer(Arc<Writer>),
    Inbox(Arc<Inbox>),
}

/// A sink that a config names.
pub struct LogSink {
    only: Only,
    view: View,
    style: Style,
    outlet: Outlet,
}

impl LogSink {
    pub(super) fn new((only, view): (Only, View), style: Style, outlet: Outlet) -> Self {
        Self { only, view, style, outlet }
    }

    /// A sink of lines into a writer.
    #[must_use]
    pub fn lines(only: Only, view: View, format: Format, writer: Arc<Writer>) -> Self {
        Self::new((only, view), Style::Plain(format), Outlet::Writer(writer))
    }

    fn render(&self, record: &Record, line: &mut Vec<u8>) {
        match &self.style {
            Style::Plain(format) => render(record, *format, &self.view, line),
            Style::Syslog(style) => style.render(record, &self.view, line),
            Style::Emf(style) => style.render(record, line),
            Style::Hec(style) => style.render(record, &self.view, line),
        }
    }
}

thread_local! {
    static LINE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

impl RecordSink for LogSink {
    fn record(&self, record: &Arc<Record>) {
        if !self.only.takes(record) {
            return;
        }
        LINE.with_borrow_mut(|line| {
            line.clear();
            self.render(record, line);
            // A refused line is counted where it was refused.
            match &self.outlet {
                Outlet::Writer(writer) => drop(writer.push(line)),
                Outlet::Inbox(inbox) => inbox.push(line),
            }
        });
    }
}

impl fmt::Debug for LogSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogSink").field("style", &self.style).finish_non_exhaustive()
    }
}
