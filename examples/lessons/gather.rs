//! Gather: several calls at the same time, and their results in the order of the calls, or the first error.
//!
//! Python: `asyncio.gather(..., return_exceptions=True)`, and without it. Different here: a result that may be an error
//! has the type `Result`, so nobody takes an exception for a value. Where the first error counts, the others are not
//! left running: their context ends, and `try_gather` returns when they have ended.

use pirn::context::Context;
use pirn::group::{gather, try_gather};
use std::time::Duration;

const PAGES: [&str; 4] = ["index", "missing", "about", "broken"];

pub(crate) fn program() {
    let context = Context::background();
    for result in gather(PAGES.map(|page| || fetch(&context, page))) {
        println!("{result:?}");
    }
    let all = try_gather(["index", "about"].map(|page| move |context: &Context| fetch(context, page)));
    println!("all: {all:?}");
    let all = try_gather(["index", "slow", "missing"].map(|page| move |context: &Context| fetch(context, page)));
    println!("all: {all:?}");
}

/// Stands for a request. Returns the length of the page.
fn fetch(context: &Context, page: &str) -> Result<usize, String> {
    match page {
        "missing" => Err("404 Not Found".to_owned()),
        "broken" => Err("500 Internal Server Error".to_owned()),
        // The error of another one ends it.
        "slow" => context.sleep(Duration::from_secs(3600)).map(|()| 4).map_err(|error| error.to_string()),
        _ => Ok(page.len()),
    }
}
