//! What the options ask for together, checked, and done.

use std::path::PathBuf;

use rpmacct_primitives::{Layout, Style};
use rpmacct_query::{Counter, CountsRequest, Request, RowsRequest, Selection, Since, Then, VERSION};

use crate::Console;
use crate::error::ClientError;
use crate::follow::Follow;
use crate::options::{Ask, Options, Shown, usage};
use crate::print;
use crate::selection::{Reading, selection};
use crate::talk::{Reply, knock, talk};
use crate::token;

/// One thing to do.
#[derive(Debug)]
pub(crate) struct Command {
    socket: PathBuf,
    action: Action,
    token_file: Option<PathBuf>,
    /// The table is erased after an action that can't do it in its own moment.
    erase_afterwards: bool,
}

#[derive(Debug)]
enum Action {
    Rows { request: RowsRequest, style: Style },
    Follow(Follow),
    Counts { request: CountsRequest, shown: Shown, sum: bool },
    Erase,
    Age,
    Buckets,
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
            0 if options.follow.is_some() => Some(Ask::Table),
            0 => None,
            // The peer erases and forgets the question.
            1 if options.classic && options.erase && options.asks_for_no_entries() => None,
            1 => options.asks.pop(),
            _ => return Err(ClientError::Exclusive),
        };
        if options.classic && !matches!(ask, Some(Ask::Help | Ask::Version)) {
            // The peer asks for custom primitives before it looks at the other options.
            knock(&options.socket)?;
        }
        if ask.is_none() && !options.erase && !options.reset {
            return Err(ClientError::NothingAsked);
        }
        options.check_company(ask.as_ref())?;
        let (action, erase_afterwards) = match ask {
            None => (Action::Erase, false),
            Some(ask) => {
                let within =
                    matches!(ask, Ask::Table | Ask::Counts(_) | Ask::Matches(_) | Ask::Help | Ask::Version);
                (options.action(ask)?, options.erase && !within)
            }
        };
        Ok(Self { socket: options.socket, action, token_file: options.token_file, erase_afterwards })
    }

    /// Does it, and returns the exit code.
    pub(crate) fn execute(self, console: &mut Console<'_>) -> Result<u8, ClientError> {
        let Self { socket, action, token_file, erase_afterwards } = self;
        let token_file = token_file.as_deref();
        let mut ask = |request: &Request| talk(&socket, request, console.complaints());
        let code = match action {
            Action::Help => writeln!(console.out, "{}", usage()).map(|()| 0).map_err(ClientError::Output)?,
            Action::Version => print::version(VERSION, console.out)?,
            Action::Rows { request, style } => {
                let reply = ask(&Request::Rows(request))?;
                let context = print::rows(reply, style, console.out)?;
                token::conclude(&context, token_file, console)?
            }
            Action::Follow(follow) => follow.run(&socket, token_file, console)?,
            Action::Counts { request, shown, sum } => {
                let reply = ask(&Request::Counts(request))?;
                let context = print::sums(reply, shown, sum, console.out)?;
                token::conclude(&context, token_file, console)?
            }
            Action::Erase => {
                ask(&Request::Erase)?.answer()?;
                writeln!(console.out, "OK: Clearing stats.").map(|()| 0).map_err(ClientError::Output)?
            }
            Action::Age => print::age(ask(&Request::Status)?, console.out)?,
            Action::Buckets => {
                let status = ask(&Request::Status)?;
                let rows = ask(&Request::Rows(RowsRequest::default()))?;
                print::buckets(status, rows, console.out)?
            }
            Action::Classifiers => print::classifiers(ask(&Request::Status)?, console.out)?,
            Action::CustomPrimitives => {
                let status = ask(&Request::Status)?;
                print::custom_primitives(status, console.classic, console.out)?
            }
            Action::Ledger => print::ledger(ask(&Request::Ledger)?, console.out)?,
        };
        if erase_afterwards {
            talk(&socket, &Request::Erase, console.complaints()).and_then(Reply::answer)?;
        }
        Ok(code)
    }
}

impl Options {
    /// What the peer forgets when it erases.
    fn asks_for_no_entries(&self) -> bool {
        matches!(self.asks[..], [Ask::Age | Ask::Buckets | Ask::Classifiers])
    }

    /// Options that only go with some of the others.
    fn check_company(&self, ask: Option<&Ask>) -> Result<(), ClientError> {
        let (counts, matches) = (matches!(ask, Some(Ask::Counts(_))), matches!(ask, Some(Ask::Matches(_))));
        if matches!(ask, Some(Ask::Help | Ask::Version)) {
            return Ok(());
        }
        if let Some(stray) = self.strays.first().filter(|_| !self.classic) {
            return Err(ClientError::Stray(stray.clone()));
        }
        let no_primitives = self.primitives.as_ref().is_none_or(|list| list.trim().is_empty());
        if (counts || matches) && no_primitives {
            return Err(ClientError::NoPrimitives);
        }
        let harmless = self.classic && self.counter == Some(Shown::One(Counter::Bytes));
        if ((self.counter.is_some() && !harmless) || self.sum) && !counts {
            return Err(ClientError::OnlyForCounts);
        }
        if self.reset && !counts && !matches {
            return Err(ClientError::NothingToReset);
        }
        let rows = matches || ask == Some(&Ask::Table);
        if self.top.is_some() && !rows {
            return Err(ClientError::OnlyForRows);
        }
        if (self.since.is_some() || self.token_file.is_some()) && !rows && !counts {
            return Err(ClientError::OnlyForIncrements);
        }
        if self.follow.is_some() && (!rows || self.erase || self.reset) {
            return Err(ClientError::OnlyForFollowing);
        }
        Ok(())
    }

    fn action(&self, ask: Ask) -> Result<Action, ClientError> {
        let select = |data: &str| {
            let list = self.primitives.as_deref().unwrap_or_default();
            let reading = Reading { numeric: self.style.numeric_protocols, classic: self.classic };
            match selection(list, data, reading)? {
                // The peer finds nothing, and that is all.
                Selection { queries, .. } if queries.is_empty() && !self.classic => Err(ClientError::NoQuery),
                selection => Ok(selection),
            }
        };
        let then = self.then();
        Ok(match ask {
            Ask::Table => self.rows(None)?,
            Ask::Matches(data) => self.rows(Some(select(&data)?))?,
            Ask::Counts(data) => Action::Counts {
                request: CountsRequest { selection: select(&data)?, since: self.since()?, then },
                shown: self.counter.unwrap_or(Shown::One(Counter::Bytes)),
                sum: self.sum,
            },
            Ask::Buckets => Action::Buckets,
            Ask::Age => Action::Age,
            Ask::Classifiers => Action::Classifiers,
            Ask::CustomPrimitives => Action::CustomPrimitives,
            Ask::Ledger => Action::Ledger,
            Ask::Help => Action::Help,
            Ask::Version => Action::Version,
        })
    }

    fn rows(&self, selection: Option<Selection>) -> Result<Action, ClientError> {
        let (since, style) = (self.since()?, self.style.clone());
        let request = RowsRequest { selection, top: self.top, since, then: self.then() };
        let Some(every) = self.follow else {
            let layout = self.layout.unwrap_or(Layout::Formatted);
            return Ok(Action::Rows { request, style: Style { layout, ..style } });
        };
        let layout = self.layout.unwrap_or(Layout::Json);
        if !matches!(layout, Layout::Json | Layout::Csv) {
            return Err(ClientError::NotForFollowing);
        }
        Ok(Action::Follow(Follow { request, style: Style { layout, ..style }, every }))
    }

    /// The token, as it was given or as it lies in the file.
    fn since(&self) -> Result<Option<Since>, ClientError> {
        match (&self.since, &self.token_file) {
            (None, Some(file)) => token::read(file).map(Some),
            (since, _) => Ok(since.clone()),
        }
    }

    fn then(&self) -> Then {
        match (self.erase, self.reset) {
            (true, _) => Then::Erase,
            (false, true) => Then::Reset,
            (false, false) => Then::Keep,
        }
    }
}
