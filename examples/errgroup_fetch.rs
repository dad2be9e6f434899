//! Fetches pages in a group, two at a time; the first error ends the rest.
//!
//! Go: `errgroup.WithContext` and `SetLimit`. Look at the last two lines: the fetch of `slow` would take an hour, but it
//! waits by the context of the group, which the error of `missing` has cancelled.
//!
//! ```text
//! cargo run --example errgroup_fetch
//! ```

use pirn::context::Context;
use pirn::group::ErrGroup;
use std::time::Duration;

/// Stands for a request.
fn fetch(context: &Context, page: &str) -> Result<usize, String> {
    match page {
        "slow" => context.sleep(Duration::from_secs(3600)).map_err(|error| format!("slow: {error}"))?,
        "missing" => return Err("missing: not found".to_owned()),
        _ => {}
    }
    Ok(page.len())
}

/// Fetches all of them, and returns how much that was.
fn fetch_all(pages: &[&'static str]) -> Result<usize, String> {
    let (group, context) = ErrGroup::<String>::with_context(&Context::background());
    let group = group.limit(2);
    let (sizes_in, sizes) = pirn::channel::unbounded();
    for &page in pages {
        let (context, sizes_in) = (context.clone(), sizes_in.clone());
        group.go(move || {
            sizes_in.send(fetch(&context, page)?).expect("somebody adds them up");
            Ok(())
        });
    }
    group.wait()?;
    drop(sizes_in);
    Ok(sizes.iter().sum())
}

fn main() {
    pirn::run(|| {
        println!("{:?}", fetch_all(&["index", "about", "contact"]));
        println!("{:?}", fetch_all(&["index", "slow", "missing"]));
    });
}
