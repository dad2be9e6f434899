//! As completed: results in the order in which they come, each with the place of its call.
//!
//! Python: `asyncio.as_completed`, `concurrent.futures.as_completed`; Go: a channel that all send to. Different here:
//! it takes the handles of any goroutines. A panic comes as an `Err` in its turn, and the others go on.

use pirn::channel::bounded;
use pirn::group::as_completed;

pub(crate) fn program() {
    let pages = ["index", "about", "contact"];
    // A page is loaded when its gate opens, so that the order is known.
    let (gates, handles): (Vec<_>, Vec<_>) = pages
        .map(|page| {
            let (gate, opens) = bounded(0);
            let load = move || {
                opens.recv().expect("it is opened");
                page.len()
            };
            (gate, pirn::go(load))
        })
        .into_iter()
        .unzip();
    let mut results = as_completed(handles);
    for place in [1, 2, 0] {
        gates[place].send(()).expect("it waits for that");
        let (place, length) = results.next().expect("one has ended");
        println!("{}: {} bytes", pages[place], length.expect("it does not panic"));
    }
    println!("more: {}", results.next().is_some());
}
