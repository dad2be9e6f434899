//! Follows all links of a site, each page once, a few at a time.
//!
//! The pages are found while others are fetched, so nobody knows how many there will be: a wait group counts those that
//! are not done. The site is a server in the same program. Go: the web crawler of "A Tour of Go".
//!
//! ```text
//! cargo run --example crawler
//! ```

use pirn::net::{TcpListener, TcpStream};
use pirn::sync::{Mutex, Semaphore, WaitGroup};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;

const AT_ONCE: usize = 3;

/// Page, and what it links to. One link leads to nowhere.
const SITE: &[(&str, &str)] = &[
    ("/", "/about /blog /contact"),
    ("/about", "/ /team"),
    ("/blog", "/blog/1 /blog/2 /blog/3"),
    ("/blog/1", "/blog /blog/2"),
    ("/blog/2", "/blog /blog/3"),
    ("/blog/3", "/blog /old"),
    ("/contact", "/"),
    ("/team", "/about"),
];

/// What the goroutines of a crawl share.
struct Crawl {
    site: SocketAddr,
    limit: Semaphore,
    open: WaitGroup,
    /// The pages that were found, and how many links each has, or what is wrong with it.
    pages: Mutex<BTreeMap<String, Option<Result<usize, String>>>>,
}

fn main() -> io::Result<()> {
    pirn::run(|| {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let site = listener.local_addr()?;
        pirn::go(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                pirn::go(move || serve(&stream));
            }
        });
        let crawl = Arc::new(Crawl {
            site,
            limit: Semaphore::new(AT_ONCE),
            open: WaitGroup::new(),
            pages: Mutex::new(BTreeMap::new()),
        });
        visit(&crawl, "/");
        crawl.open.wait();
        for (page, result) in &*crawl.pages.lock() {
            match result.as_ref().expect("all are done") {
                Ok(links) => println!("{page}: {links} links"),
                Err(error) => println!("{page}: {error}"),
            }
        }
        Ok(())
    })
}

/// Fetches a page on a goroutine, and then what it links to, unless somebody has found it before.
fn visit(crawl: &Arc<Crawl>, page: &str) {
    match crawl.pages.lock().entry(page.to_owned()) {
        Entry::Vacant(entry) => _ = entry.insert(None),
        Entry::Occupied(_) => return,
    }
    let (this, page) = (crawl.clone(), page.to_owned());
    crawl.open.go(move || {
        let links = {
            let _permit = this.limit.acquire(1).expect("it is never closed");
            fetch(this.site, &page).unwrap_or_else(|error| Err(error.to_string()))
        };
        for link in links.iter().flat_map(|links| links.split_whitespace()) {
            visit(&this, link);
        }
        let count = links.map(|links| links.split_whitespace().count());
        this.pages.lock().insert(page, Some(count));
    });
}

/// The body of a page, or what the server says instead.
fn fetch(site: SocketAddr, page: &str) -> io::Result<Result<String, String>> {
    let mut stream = TcpStream::connect(site)?;
    write!(stream, "GET {page} HTTP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.lines().next().unwrap_or_default().trim_start_matches("HTTP/1.0 ");
    Ok(if status.starts_with("200") { Ok(body.to_owned()) } else { Err(status.to_owned()) })
}

/// Answers one request.
fn serve(mut stream: &TcpStream) -> io::Result<()> {
    let mut lines = BufReader::new(stream).lines();
    let request = lines.next().transpose()?.unwrap_or_default();
    while lines.next().transpose()?.is_some_and(|header| !header.is_empty()) {}
    let page = request.split(' ').nth(1).unwrap_or_default();
    match SITE.iter().find(|(path, _)| *path == page) {
        Some((_, links)) => write!(stream, "HTTP/1.0 200 OK\r\n\r\n{links}"),
        None => write!(stream, "HTTP/1.0 404 Not Found\r\n\r\n"),
    }
}
