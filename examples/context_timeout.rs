//! A context with a timeout, down three calls: whoever has it gives up in time.
//!
//! Go: `context.WithTimeout`, `<-ctx.Done()` in a select, `context.Cause`. Look at who knows of the timeout: only `main`
//! says it. `query` waits in a select; `rows` looks between two rows; both return the same error.
//!
//! ```text
//! cargo run --example context_timeout
//! ```

use pirn::channel::never;
use pirn::context::{Context, ContextError, Key};
use pirn::select;
use std::time::Duration;

static REQUEST: Key<u32> = Key::new("request");

/// Waits for an answer that never comes.
fn query(context: &Context) -> Result<u32, ContextError> {
    let answers = never();
    select! {
        recv(answers) -> answer => Ok(answer.expect("it never comes")),
        recv(context.done()) -> _ => Err(context.err().expect("it is done")),
    }
}

/// Works through rows until there is no time left.
fn rows(context: &Context) -> Result<(), ContextError> {
    loop {
        context.check()?;
        pirn::sleep(Duration::from_millis(1)); // a row
    }
}

fn handle(context: &Context) {
    let request = context.value(&REQUEST).expect("main has set it");
    println!("request {request}: query: {:?}", query(context));
    println!("request {request}: rows: {:?}", rows(context));
}

fn main() {
    pirn::run(|| {
        let context = Context::background().with_value(&REQUEST, 7);
        let (context, _cancel) = context.with_timeout_cause(Duration::from_millis(20), "the client waits no longer");
        handle(&context);
        println!("cause: {}", context.cause().expect("it has ended"));
        let (child, cancel) = context.without_cancel().with_cancel();
        println!("child: {:?}", child.err());
        cancel.cancel_with("done");
        println!("child: {}", child.cause().expect("it has ended"));
    });
}
