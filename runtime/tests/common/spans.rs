//! A layer of tracing that looks whether events land in the span that they were meant for.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

/// Spans and events that have a field `number` belong together if it is the same.
#[derive(Clone, Default)]
pub(crate) struct Spans(Arc<Counts>);

#[derive(Default)]
struct Counts {
    right: AtomicUsize,
    wrong: AtomicUsize,
}

impl Spans {
    /// How many events were in their spans, and how many were not.
    pub(crate) fn counts(&self) -> (usize, usize) {
        (self.0.right.load(Ordering::Relaxed), self.0.wrong.load(Ordering::Relaxed))
    }
}

#[derive(Clone, Copy, Default, PartialEq)]
struct Number(Option<u64>);

impl Visit for Number {
    fn record_u64(&mut self, field: &Field, value: u64) {
        if field.name() == "number" {
            self.0 = Some(value);
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Spans {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut number = Number::default();
        attributes.record(&mut number);
        let span = context.span(id).expect("it is new");
        span.extensions_mut().insert(number);
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut number = Number::default();
        event.record(&mut number);
        if number == Number::default() {
            // The runtime's own.
            return;
        }
        let span = context.event_span(event);
        let theirs = span.and_then(|span| span.extensions().get::<Number>().copied());
        let count = if theirs == Some(number) { &self.0.right } else { &self.0.wrong };
        count.fetch_add(1, Ordering::Relaxed);
    }
}
