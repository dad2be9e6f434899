//! `select!` and `select_biased!`: the syntax of crossbeam-channel's, spelt out as calls of the public API.
//!
//! A select is read case by case. Each case becomes a row `[handle index Type method (operand) (message) (result) (body)]`
//! with two names of its own: a name that a macro writes in one step differs from the same name written in another.
//! `default` becomes `[wait (timeout) (body)]`. The list of rows is then written out once, in `@done`.
//!
//! # What holds
//!
//! 1. Operands are evaluated once, in their order; what is temporary in them lives until the chosen body has ended.
//! 2. A send's message is evaluated only when that case has been chosen.
//! 3. The `Select` has gone before a body runs, so a body may move or change the channels that were selected over.
//! 4. A body is written where the select stands, in no closure: `break`, `continue`, `return` and `?` work.

/// Waits until one of several channel operations can complete, and does it.
///
/// If several can, one of them is chosen at random, each as likely as the others. The case that is chosen receives or
/// sends, and then its body is evaluated with the result; the value of the body is the value of the `select!`.
///
/// | case | what it does |
/// | --- | --- |
/// | `recv(receiver) -> result => body` | receives; `result` is a `Result<T, RecvError>` |
/// | `send(sender, message) -> result => body` | sends; `result` is a `Result<(), SendError<T>>` |
/// | `default => body` | is chosen if no other case can complete at once |
/// | `default(timeout) => body` | is chosen if no other case can complete within this `Duration` |
///
/// `receiver` and `sender` are expressions for a channel or a reference to one. All are evaluated once and in their
/// order, but a `message` only when its case has been chosen, unless it is the only case. `result` is a pattern. A body
/// that is a block needs no comma after it. There is at most one `default`. Any number of cases may use the same
/// channel, even to send to it and to receive from it: a select does not pair with itself. A case on
/// [`never`](crate::never) is never chosen, which is what a nil channel is for in Go. `select! {}` waits for ever. Even
/// with a `default`, a receive from another select that waits to send may take up to 10 ms.
///
/// ```
/// use pirn::channel::{bounded, unbounded};
/// use pirn::select;
/// use std::time::Duration;
///
/// let (numbers_in, numbers) = unbounded();
/// let (words_in, words) = bounded::<&str>(1);
/// numbers_in.send(7).unwrap();
/// words_in.send("full").unwrap();
///
/// let text = select! {
///     recv(numbers) -> number => format!("received {}", number.unwrap()),
///     send(words_in, "more") -> result => {
///         result.unwrap();
///         "sent".to_owned()
///     }
///     default(Duration::from_secs(1)) => "nothing happened".to_owned(),
/// };
/// assert_eq!(text, "received 7");
/// # drop(words);
/// ```
///
/// A case that it does not understand is an error:
///
/// ```compile_fail
/// # use pirn::channel::unbounded;
/// # use pirn::select;
/// # let (s, r) = unbounded::<i32>();
/// select! {
///     recv(r) => {} // no result
/// }
/// ```
/// ```compile_fail
/// # use pirn::channel::unbounded;
/// # use pirn::select;
/// # let (s, r) = unbounded::<i32>();
/// select! {
///     recv(r) -> _ => {}
///     default => {}
///     default => {} // a second one
/// }
/// ```
#[macro_export]
macro_rules! select {
    ($($cases:tt)*) => {
        $crate::__pirn_select!(@read fair [] [] $($cases)*)
    };
}

/// As [`select!`], but if several cases can complete, it chooses the first of them.
///
/// ```
/// use pirn::channel::unbounded;
/// use pirn::select_biased;
///
/// let (urgent_in, urgent) = unbounded();
/// let (other_in, other) = unbounded();
/// other_in.send("other").unwrap();
/// urgent_in.send("urgent").unwrap();
///
/// let first = select_biased! {
///     recv(urgent) -> message => message,
///     recv(other) -> message => message,
/// };
/// assert_eq!(first, Ok("urgent"));
/// ```
#[macro_export]
macro_rules! select_biased {
    ($($cases:tt)*) => {
        $crate::__pirn_select!(@read biased [] [] $($cases)*)
    };
}

/// Reads the cases (`@read`, `@case`), and writes them out (`@done`).
#[doc(hidden)]
#[macro_export]
macro_rules! __pirn_select {
    // One case: its head as it stands, and its body.
    (@read $new:ident $rows:tt $default:tt) => {
        $crate::__pirn_select!(@done $new $rows $default)
    };
    (@read $new:ident $rows:tt $default:tt
     $kind:ident $(($($args:tt)*))? $(-> $result:pat)? => $body:block, $($rest:tt)*) => {
        $crate::__pirn_select!(@case $new $rows $default $kind ($($($args)*)?) ($($result)?) ($body) $($rest)*)
    };
    (@read $new:ident $rows:tt $default:tt
     $kind:ident $(($($args:tt)*))? $(-> $result:pat)? => $body:block $($rest:tt)*) => {
        $crate::__pirn_select!(@case $new $rows $default $kind ($($($args)*)?) ($($result)?) ($body) $($rest)*)
    };
    (@read $new:ident $rows:tt $default:tt
     $kind:ident $(($($args:tt)*))? $(-> $result:pat)? => $body:expr, $($rest:tt)*) => {
        $crate::__pirn_select!(@case $new $rows $default $kind ($($($args)*)?) ($($result)?) ($body) $($rest)*)
    };
    (@read $new:ident $rows:tt $default:tt
     $kind:ident $(($($args:tt)*))? $(-> $result:pat)? => $body:expr) => {
        $crate::__pirn_select!(@case $new $rows $default $kind ($($($args)*)?) ($($result)?) ($body))
    };
    (@read $new:ident $rows:tt $default:tt $kind:ident $(($($args:tt)*))? $(-> $result:pat)? => $($rest:tt)*) => {
        ::core::compile_error!(::core::concat!(
            "`select!`: after the body of `", ::core::stringify!($kind), "`: a body that is no block needs a comma \
             before the next case"
        ))
    };
    (@read $new:ident $rows:tt $default:tt $($rest:tt)*) => {
        ::core::compile_error!(::core::concat!(
            "`select!`: expected `recv(receiver) -> result => body`, `send(sender, message) -> result => body`, \
             `default => body` or `default(timeout) => body`, found `", ::core::stringify!($($rest)*), "`"
        ))
    };

    // Its kind: a row for the list, or the default.
    (@case $new:ident [$($rows:tt)*] $default:tt
     recv ($receiver:expr $(,)?) ($result:pat) $body:tt $($rest:tt)*) => {
        $crate::__pirn_select!(@read $new
            [$($rows)* [handle index Receiver recv ($receiver) () ($result) $body]] $default $($rest)*)
    };
    (@case $new:ident [$($rows:tt)*] $default:tt
     send ($sender:expr, $message:expr $(,)?) ($result:pat) $body:tt $($rest:tt)*) => {
        $crate::__pirn_select!(@read $new
            [$($rows)* [handle index Sender send ($sender) ($message) ($result) $body]] $default $($rest)*)
    };
    (@case $new:ident $rows:tt [] default () () $body:tt $($rest:tt)*) => {
        $crate::__pirn_select!(@read $new $rows [at_once () $body] $($rest)*)
    };
    (@case $new:ident $rows:tt [] default ($timeout:expr $(,)?) () $body:tt $($rest:tt)*) => {
        $crate::__pirn_select!(@read $new $rows [in_time ($timeout) $body] $($rest)*)
    };
    (@case $new:ident $rows:tt [$($first:tt)+] default $args:tt () $($rest:tt)*) => {
        ::core::compile_error!("`select!`: a second `default`: there is one at most")
    };
    (@case $new:ident $rows:tt $default:tt default $args:tt () $($rest:tt)*) => {
        ::core::compile_error!("`select!`: `default` takes a timeout or nothing: `default(timeout) => body`")
    };
    (@case $new:ident $rows:tt $default:tt default $args:tt $result:tt $($rest:tt)*) => {
        ::core::compile_error!("`select!`: `default` has no result: `default => body`")
    };
    (@case $new:ident $rows:tt $default:tt recv $args:tt () $($rest:tt)*) => {
        ::core::compile_error!("`select!`: no result: `recv(receiver) -> result => body`, or `-> _`")
    };
    (@case $new:ident $rows:tt $default:tt send $args:tt () $($rest:tt)*) => {
        ::core::compile_error!("`select!`: no result: `send(sender, message) -> result => body`, or `-> _`")
    };
    (@case $new:ident $rows:tt $default:tt recv $($rest:tt)*) => {
        ::core::compile_error!("`select!`: `recv` takes one receiver: `recv(receiver) -> result => body`")
    };
    (@case $new:ident $rows:tt $default:tt send $($rest:tt)*) => {
        ::core::compile_error!("`select!`: `send` takes two: `send(sender, message) -> result => body`")
    };
    (@case $new:ident $rows:tt $default:tt $kind:ident $($rest:tt)*) => {
        ::core::compile_error!(::core::concat!(
            "`select!`: expected `recv`, `send` or `default`, found `", ::core::stringify!($kind), "`"
        ))
    };

    // No case at all, or none but the default.
    (@done $new:ident [] []) => {
        $crate::internal::wait_for_ever()
    };
    (@done $new:ident [] [at_once () ($body:expr)]) => {{
        $body
    }};
    (@done $new:ident [] [in_time ($timeout:expr) ($body:expr)]) => {{
        $crate::internal::sleep($timeout);
        $body
    }};
    // Without a default it waits until a case completes.
    (@done $new:ident $rows:tt []) => {
        $crate::__pirn_select!(@done $new $rows [come_what_may () ($crate::internal::none_chosen())])
    };
    // One case needs no select, except a send with a default: its message must not be evaluated if it is not sent.
    (@done $new:ident [[$handle:ident $index:ident Receiver recv ($receiver:expr) () ($result:pat) ($body:expr)]]
     [$wait:ident ($($timeout:expr)?) ($default:expr)]) => {
        match &$receiver {
            $handle => {
                let $handle: &$crate::Receiver<_> = $handle;
                match $crate::internal::one::$wait($handle, $($timeout)?) {
                    ::core::option::Option::Some(result) => {
                        let $result = result;
                        $body
                    }
                    ::core::option::Option::None => $default,
                }
            }
        }
    };
    (@done $new:ident [[$handle:ident $index:ident Sender send ($sender:expr) ($message:expr) ($result:pat) ($body:expr)]]
     [come_what_may () $none:tt]) => {
        match &$sender {
            $handle => {
                let $handle: &$crate::Sender<_> = $handle;
                let $result = $handle.send($message);
                $body
            }
        }
    };
    (@done $new:ident
     [$([$handle:ident $index:ident $Type:ident $method:ident
         ($operand:expr) ($($message:expr)?) ($result:pat) ($body:expr)])+]
     [$wait:ident ($($timeout:expr)?) ($default:expr)]) => {
        match ($(&$operand,)+) {
            ($($handle,)+) => {
                $(let $handle: &$crate::$Type<_> = $handle;)+
                $(let $index;)+
                let chosen = if $crate::internal::look::$wait([$($crate::internal::$method($handle)),+]) {
                    $($index = usize::MAX;)+
                    ::core::option::Option::None
                } else {
                    let mut select = $crate::internal::$new();
                    $($index = select.$method($handle);)+
                    $crate::internal::wait::$wait(&mut select, $($timeout)?)
                };
                match chosen {
                    // It is moved as a whole. If only a part were moved, the rest would keep its borrows until the end.
                    $(operation if $crate::internal::is_chosen(&operation, $index) => {
                        let $result = $crate::internal::the_chosen(operation).$method($handle, $($message)?);
                        $body
                    })+
                    none => {
                        ::core::mem::drop(none);
                        $default
                    }
                }
            }
        }
    };
}
