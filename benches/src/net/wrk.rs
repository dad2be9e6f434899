//! wrk, a load generator for HTTP by others: <https://github.com/wg/wrk>.

use super::Result;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::time::Duration;

/// What wrk says at its end.
#[derive(Debug, PartialEq)]
pub(super) struct Report {
    pub(super) requests: f64,
    pub(super) secs: f64,
    pub(super) p50_us: f64,
    pub(super) p99_us: f64,
    /// Requests without an answer for two seconds.
    pub(super) timeouts: f64,
}

/// Runs it with one thread for `time`, in whole seconds, which is all that it knows.
pub(super) fn run(address: SocketAddr, conns: usize, time: Duration) -> Result<Report> {
    let secs = time.as_secs_f64().ceil();
    let output = Command::new("wrk")
        .args(["--latency", "-t1", &format!("-c{conns}"), &format!("-d{secs}s"), &format!("http://{address}/")])
        .stdin(Stdio::null())
        .output()
        .map_err(|error| match error.kind() {
            ErrorKind::NotFound => "wrk is not installed (apt install wrk)".to_owned(),
            _ => format!("wrk: {error}"),
        })?;
    let text = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("wrk: {}: {}", output.status, said.trim()));
    }
    Report::parse(&text).map_err(|error| format!("wrk: {error}"))
}

impl Report {
    /// An error if an answer was wrong or a connection broke, or something is missing.
    fn parse(text: &str) -> Result<Report> {
        let lines = || text.lines().map(str::trim);
        let after = |start: &str| lines().find_map(|line| line.strip_prefix(start)).map(str::trim);
        if let Some(count) = after("Non-2xx or 3xx responses:") {
            return Err(format!("{count} answers are not those that were wanted"));
        }
        let errors = after("Socket errors:").unwrap_or("connect 0, read 0, write 0, timeout 0");
        let timeouts = errors.strip_prefix("connect 0, read 0, write 0, timeout ").ok_or(errors)?;
        let (requests, rest) =
            lines().find_map(|line| line.split_once(" requests in ")).ok_or("it has counted no requests")?;
        let secs = rest.split(',').next().and_then(micros).ok_or(rest)? / 1e6;
        if requests == "0" {
            return Err(format!("no answer in {secs} s"));
        }
        let quantile = |name: &str| after(name).and_then(micros).ok_or_else(|| format!("it knows no {name}"));
        let number = |text: &str| text.parse().map_err(|_| format!("{text:?} is no number"));
        Ok(Report {
            requests: number(requests)?,
            secs,
            p50_us: quantile("50%")?,
            p99_us: quantile("99%")?,
            timeouts: number(timeouts)?,
        })
    }
}

/// A time as wrk writes it, in microseconds.
fn micros(text: &str) -> Option<f64> {
    let units = [("us", 1.0), ("ms", 1e3), ("s", 1e6), ("m", 60e6)];
    let (number, unit) = units.iter().find_map(|(name, unit)| Some((text.strip_suffix(name)?, unit)))?;
    Some(number.parse::<f64>().ok()? * unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
Running 2s test @ http://127.0.0.1:41235/
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency   450.12us  120.00us   5.00ms   90.00%
    Req/Sec   140.00k     1.00k  145.00k    70.00%
  Latency Distribution
     50%  440.00us
     75%  500.00us
     90%    1.10ms
     99%    2.02ms
  280123 requests in 2.01s, 20.00MB read
Requests/sec: 139364.00
Transfer/sec:      9.95MB
";

    #[test]
    fn what_it_says_is_read() {
        let report = Report { requests: 280_123.0, secs: 2.01, p50_us: 440.0, p99_us: 2020.0, timeouts: 0.0 };
        assert_eq!(Report::parse(TEXT), Ok(report));
    }

    #[test]
    fn errors_are_no_figures() {
        let with = |line: &str| Report::parse(&TEXT.replace("Requests/sec:", &format!("{line}\nRequests/sec:")));
        let slow = with("  Socket errors: connect 0, read 0, write 0, timeout 7");
        assert_eq!(slow.map(|report| report.timeouts), Ok(7.0));
        let broken = "connect 0, read 1, write 0, timeout 0";
        assert_eq!(with(&format!("  Socket errors: {broken}")), Err(broken.to_owned()));
        assert!(with("  Non-2xx or 3xx responses: 5").unwrap_err().starts_with("5 answers"));
        assert_eq!(Report::parse(&TEXT.replace("280123 ", "0 ")), Err("no answer in 2.01 s".to_owned()));
        assert!(Report::parse("unable to connect").is_err());
    }

    #[test]
    fn times_have_units() {
        assert_eq!(
            ["1.5us", "2ms", "1.25s", "2.00m", "7h"].map(micros),
            [Some(1.5), Some(2000.0), Some(1_250_000.0), Some(120_000_000.0), None]
        );
    }
}
