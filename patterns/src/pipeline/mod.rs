//! Stages on goroutines of their own, with bounded channels between them.
//!
//! | I want to | use |
//! | --- | --- |
//! | begin | [`Pipeline::source`], of an iterator; [`Pipeline::produce`], with a closure that sends |
//! | call a function for each item, in order | [`Flow::stage`] |
//! | the same with several goroutines, as they finish | [`Flow::fan_out`] |
//! | bring several flows together | [`Pipeline::merge`] |
//! | give each item to two | [`Flow::tee`] |
//! | make groups of items | [`Flow::batch`] |
//! | end | [`Flow::collect`], [`Flow::for_each`], or iterate over the flow |
//!
//! ```
//! use pirn::patterns::pipeline::pipeline;
//!
//! pirn::run(|| {
//!     let text = "1 2 3 x 5";
//!     let sum = |text: &str| {
//!         pipeline(|p| {
//!             let numbers = p.source(text.split(' ')).stage(|_context, word| word.parse::<u32>());
//!             let squares = numbers.fan_out(4, |_context, n| Ok(n * n));
//!             Ok(squares.into_iter().sum::<u32>())
//!         })
//!     };
//!     assert_eq!(sum("1 2 3"), Ok(14));
//!     assert!(sum(text).is_err());
//! });
//! ```
//!
//! The rest of this page is for those who work on it.
//!
//! # What lives here
//! `run` ([`pipeline`]: the group of all stages, and how it ends), `source` (what begins a flow), `flow` (what makes a
//! flow of another one, or ends it), `error`.
//!
//! # Who may come in
//! Users.
//!
//! # Invariants
//! 1. A stage ends when its input has ended, when nobody takes its output, when it fails, or when the context has ended
//!    and it comes to its next item. It drops both ends of its channels then.
//! 2. So an end spreads: downstream, as inputs end; upstream, as a send finds no receiver. No stage waits for the context
//!    at a channel: the end of one that has failed reaches it.
//! 3. All stages are tasks of one task group. `pipeline` returns when the last has ended.
//! 4. A stage that ends because of the context, with items left, says so (`is_cut`): the result is not whole then.
//!
//! # Tests
//! `tests/pipeline.rs`: the bound of the backpressure, ends from both sides, errors in each stage, a stress.

mod error;
mod flow;
mod run;
mod source;

pub use error::PipelineError;
pub use flow::{Flow, FlowIter};
pub use run::{Pipeline, pipeline, pipeline_ctx};
pub use source::Outlet;
