//! What the options ask for together, checked, and done.

use std::path::PathBuf;

use rpmacct_primitives::Style;
use rpmacct_query::{Counter, CountsRequest, Request, RowsRequest, Then, VERSION};

use crate::Console;
use crate::error::ClientError;
use crate::options::{Ask, Options, Shown, usage};
use crate::print;
use crate::selection::selection;
use crate::talk::{Reply, talk};

/// One thing to do.
#[derive(Debug)]
pub(crate) struct Command {
    socket: PathBuf,
    action: Action,
    /// The table is erased after an action that can't do it in its own moment.
    erase_afterwards: bool,
}

#[derive(Debug)]
enum Action {
    Rows { request: RowsRequest, style: Style },
    Counts { request: CountsRequest, shown: Shown, sum: bool },
    Erase,
    Age,
    Classifiers,
    CustomPrimitives,
    Ledger,
    Help,
    Version,
}

impl Command {
    /// Checks what was asked for.
    pub(crate) fn new(mut options: Options) -> Result<Self, ClientError> {
        let ask = match options.asks.len() {
            _ if options.asks.contains(&Ask::Help) => Some(Ask::Help),
            _ if options.asks.contains(&Ask::Version) => Some(Ask::Version),
            0 if !options.erase => return Err(ClientError::NothingAsked),
            0 | 1 => options.asks.pop(),
            _ => return Err(ClientError::Exclusive),
        };
        options.check_company(ask.as_ref())?;
        let (action, erase_afterwards) = match ask {
            None => (Action::Erase, false),
            Some(ask) => {
                let within =
                    matches!(ask, Ask::Table | Ask::Counts(_) | Ask::Matches(_) | Ask::Help | Ask::Version);
                (options.action(ask)?, options.erase && !within)
            }
        };
        Ok(Self { socket: options.socket, action, erase_afterwards })
    }

    /// Does it, and returns the exit code.
    pub(crate) fn execute(self, console: &mut Console<'_>) -> Result<u8, ClientError> {
        let Self { socket, action, erase_afterwards } = self;
        let mut ask = |request: &Request| talk(&socket, request, console.complaints());
        let code = match action {
            Action::Help => writeln!(console.out, "{}", usage()).map(|()| 0).map_err(ClientError::Output)?,
            Action::Version => print::version(VERSION, console.out)?,
            Action::Rows { request, style } => {
                let reply = ask(&Request::Rows(request))?;
                print::rows(reply, style, console.out)?
            }
            Action::Counts { request, shown, sum } => {
                print::sums(ask(&Request::Counts(request))?, shown, sum, console.out)?
            }
            Action::Erase => {
                ask(&Request::Erase)?.answer()?;
                writeln!(console.out, "OK: Clearing stats.").map(|()| 0).map_err(ClientError::Output)?
            }
            Action::Age => print::age(ask(&Request::Status)?, console.out)?,
            Action::Classifiers => print::classifiers(ask(&Request::Status)?, console.out)?,
            Action::CustomPrimitives => print::custom_primitives(ask(&Request::Status)?, console.out)?,
            Action::Ledger => print::ledger(ask(&Request::Ledger)?, console.out)?,
        };
        if erase_afterwards {
            talk(&socket, &Request::Erase, console.complaints()).and_then(Reply::answer)?;
        }
        Ok(code)
    }
}

impl Options {
    /// Options that only go with some of the others.
    fn check_company(&self, ask: Option<&Ask>) -> Result<(), ClientError> {
        let (counts, matches) = (matches!(ask, Some(Ask::Counts(_))), matches!(ask, Some(Ask::Matches(_))));
        if matches!(ask, Some(Ask::Help | Ask::Version)) {
            return Ok(());
        }
        let no_primitives = self.primitives.as_ref().is_none_or(|list| list.trim().is_empty());
        if (counts || matches) && no_primitives {
            return Err(ClientError::NoPrimitives);
        }
        if (self.counter.is_some() || self.sum) && !counts {
            return Err(ClientError::OnlyForCounts);
        }
        if self.reset && !counts && !matches {
            return Err(ClientError::NothingToReset);
        }
        if self.top.is_some() && !matches && ask != Some(&Ask::Table) {
            return Err(ClientError::OnlyForRows);
        }
        Ok(())
    }

    fn action(&self, ask: Ask) -> Result<Action, ClientError> {
        let select = |data: &str| {
            selection(self.primitives.as_deref().unwrap_or_default(), data, self.style.numeric_protocols)
        };
        let (top, then, style) = (self.top, self.then(), self.style.clone());
        Ok(match ask {
            Ask::Table => Action::Rows { request: RowsRequest { selection: None, top, then }, style },
            Ask::Matches(data) => {
                Action::Rows { request: RowsRequest { selection: Some(select(&data)?), top, then }, style }
            }
            Ask::Counts(data) => Action::Counts {
                request: CountsRequest { selection: select(&data)?, then },
                shown: self.counter.unwrap_or(Shown::One(Counter::Bytes)),
                sum: self.sum,
            },
            Ask::Buckets => return Err(ClientError::NotYet('t')),
            Ask::Age => Action::Age,
            Ask::Classifiers => Action::Classifiers,
            Ask::CustomPrimitives => Action::CustomPrimitives,
            Ask::Ledger => Action::Ledger,
            Ask::Help => Action::Help,
            Ask::Version => Action::Version,
        })
    }

    fn then(&self) -> Then {
        match (self.erase, self.reset) {
            (true, _) => Then::Erase,
            (false, true) => Then::Reset,
            (false, false) => Then::Keep,
        }
    }
}
